// SPDX-License-Identifier: MIT
// Weight files: what is written is read back, and every damaged file is refused by name.
#include "base/error.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "nn/safetensors.h"
#include "nn/weights.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void) {
    backend_use(cpu_backend());
    snprintf(folder, sizeof folder, "/tmp/p2s-safe-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void remove_folder(void) {
    folder_remove(folder);
}

static const char *in_folder(const char *name) {
    static char path[128];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

// A file of this header and `data_size` zero bytes.
static const char *file_of(const char *header, size_t data_size) {
    size_t length = strlen(header);
    unsigned char *bytes = calloc(1, 8 + length + data_size);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)(length >> 8 * i & 255);
    memcpy(bytes + 8, header, length);
    const char *path = in_folder("made.safetensors");
    cr_assert_eq(file_write(path, bytes, 8 + length + data_size), 0);
    free(bytes);
    return path;
}

// The file must be refused with a message that names it and contains these words.
static void refuses(const char *path, const char *words) {
    error_take();
    SafeFile *file = safetensors_open(path);
    cr_assert_null(file, "%s was accepted where \"%s\" is expected", path, words);
    const char *message = error_take();
    cr_assert_not_null(strstr(message, path), "no path in: %s", message);
    cr_assert_not_null(strstr(message, words), "no \"%s\" in: %s", words, message);
}

static void refuses_header(const char *header, size_t data_size, const char *words) {
    refuses(file_of(header, data_size), words);
}

TestSuite(safetensors, .init = make_folder, .fini = remove_folder);
TestSuite(weights, .init = make_folder, .fini = remove_folder);

// ---- reading and writing ------------------------------------------------------------------------

static void written_in_type_reads_back(SafeType type, const float *values, const float *expected,
                                       size_t count) {
    double bytes[16];
    safetensors_from_float(type, values, count, bytes);
    SafeEntry entry = {"x", type, 2, {1, (int64_t)count}, bytes};
    const char *path = in_folder("typed.safetensors");
    cr_assert_eq(safetensors_write(path, &entry, 1, NULL, NULL), 0, "%s", error_message());
    SafeFile *file = safetensors_open(path);
    cr_assert_not_null(file, "%s", error_message());
    const SafeTensor *tensor = safetensors_find(file, "x");
    cr_assert_not_null(tensor);
    cr_assert_eq(tensor->type, type);
    cr_assert_eq(tensor->ndim, 2);
    cr_assert_eq(tensor->numel, (int64_t)count);
    float back[16];
    safetensors_read_float(tensor, back);
    for (size_t i = 0; i < count; i++)
        cr_assert(back[i] == expected[i] || (isnan(back[i]) && isnan(expected[i])),
                  "%s: %g became %g, expected %g", safe_type_name(type), (double)values[i],
                  (double)back[i], (double)expected[i]);
    double wide[16];
    safetensors_read_double(tensor, wide);
    cr_assert_eq((float)wide[0], expected[0]);
    safetensors_close(file);
}

Test(safetensors, every_type_reads_back_what_was_written) {
    float values[] = {1.0f, -2.5f, 0.1f, 65504.0f, 65520.0f, 1e-7f, -INFINITY, NAN};
    written_in_type_reads_back(SAFE_F32, values, values, 8);
    written_in_type_reads_back(SAFE_F64, values, values, 8);
    float half[] = {1.0f, -2.5f, 0.0999755859375f, 65504.0f, INFINITY, 0x1p-23f, -INFINITY, NAN};
    written_in_type_reads_back(SAFE_F16, values, half, 8);
    float bfloat[] = {1.0f, -2.5f, 0.10009765625f, 65536.0f, 65536.0f, 0x1.aep-24f, -INFINITY, NAN};
    written_in_type_reads_back(SAFE_BF16, values, bfloat, 8);
    float numbers[] = {3.0f, -2.5f, 300.0f, 2.5f}, whole[] = {3.0f, -2.0f, 300.0f, 2.0f};
    written_in_type_reads_back(SAFE_I32, numbers, whole, 4);
    written_in_type_reads_back(SAFE_I64, numbers, whole, 4);
    float bytes[] = {3.0f, 0.0f, 255.0f, 2.0f};
    written_in_type_reads_back(SAFE_U8, numbers, bytes, 4);
}

Test(safetensors, half_precision_survives_for_all_65536_patterns) {
    static uint16_t patterns[65536], again[65536];
    static float values[65536];
    for (int i = 0; i < 65536; i++) patterns[i] = (uint16_t)i;
    SafeTensor tensor = {.type = SAFE_F16, .numel = 65536, .data = patterns};
    safetensors_read_float(&tensor, values);
    safetensors_from_float(SAFE_F16, values, 65536, again);
    for (int i = 0; i < 65536; i++)
        cr_assert(again[i] == patterns[i] || isnan(values[i]), "pattern %04x became %04x", i,
                  again[i]);
    cr_assert_eq(values[0x3c00], 1.0f);
    cr_assert_eq(values[0x0001], 0x1p-24f);
    cr_assert_eq(values[0x7bff], 65504.0f);
}

Test(safetensors, a_set_of_tensors_is_listed_aligned_and_marked_as_pt) {
    uint8_t odd[3] = {1, 2, 3};
    float number = 7;
    SafeEntry entries[] = {{"b", SAFE_U8, 1, {3}, odd},
                           {"a", SAFE_F32, 0, {0}, &number},
                           {"empty", SAFE_F32, 2, {0, 5}, NULL}};
    const char *path = in_folder("set.safetensors");
    cr_assert_eq(safetensors_write(path, entries, 3, NULL, NULL), 0, "%s", error_message());
    SafeFile *file = safetensors_open(path);
    cr_assert_not_null(file, "%s", error_message());
    cr_assert_eq(safetensors_count(file), 3);
    cr_assert_str_eq(safetensors_at(file, 0)->name, "a");
    cr_assert_str_eq(safetensors_at(file, 1)->name, "b");
    cr_assert_str_eq(safetensors_metadata(file, "format"), "pt");
    cr_assert_null(safetensors_find(file, "c"));
    cr_assert_eq((uintptr_t)safetensors_find(file, "a")->data % 8, 0);
    cr_assert_eq(memcmp(safetensors_find(file, "b")->data, odd, 3), 0);
    cr_assert_eq(safetensors_find(file, "empty")->numel, 0);
    safetensors_close(file);
}

static int failing_fill(void *context, size_t index, void *values) {
    (void)context, (void)index, (void)values;
    return error_int("no such luck");
}

Test(safetensors, a_failed_write_leaves_the_old_file_alone) {
    const char *path = in_folder("kept.safetensors");
    float number = 7;
    SafeEntry entry = {"a", SAFE_F32, 1, {1}, &number};
    cr_assert_eq(safetensors_write(path, &entry, 1, NULL, NULL), 0);
    entry.values = NULL;
    cr_assert_eq(safetensors_write(path, &entry, 1, failing_fill, NULL), -1);
    cr_assert_not_null(strstr(error_take(), "no such luck"));
    SafeEntry twice[] = {{"a", SAFE_F32, 1, {1}, &number}, {"a", SAFE_F32, 1, {1}, &number}};
    cr_assert_eq(safetensors_write(path, twice, 2, NULL, NULL), -1);
    cr_assert_not_null(strstr(error_take(), "taken"));
    SafeFile *file = safetensors_open(path);
    cr_assert_not_null(file, "%s", error_message());
    safetensors_close(file);
    size_t count = 0;
    char **names = folder_list(folder, &count);
    cr_assert_eq(count, 1, "an aside file was left");
    folder_list_free(names, count);
}

// ---- damaged files ------------------------------------------------------------------------------

#define A "\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}"

Test(safetensors, a_sound_small_file_is_accepted) {
    SafeFile *file = safetensors_open(file_of("{" A "}", 8));
    cr_assert_not_null(file, "%s", error_message());
    safetensors_close(file);
    file = safetensors_open(file_of("{}", 0));
    cr_assert_not_null(file, "%s", error_message());
    safetensors_close(file);
}

Test(safetensors, a_missing_file_and_a_tiny_one_are_refused) {
    refuses(in_folder("none.safetensors"), "none.safetensors");
    const char *path = in_folder("tiny.safetensors");
    cr_assert_eq(file_write(path, "1234567", 7), 0);
    refuses(path, "7 bytes are no safetensors file");
}

Test(safetensors, a_header_beyond_the_file_or_the_limit_is_refused) {
    const char *path = in_folder("long.safetensors");
    cr_assert_eq(file_write(path, "\x40\0\0\0\0\0\0\0{}", 10), 0);
    refuses(path, "truncated");
    cr_assert_eq(file_write(path, "\xff\xff\xff\xff\xff\xff\xff\xff{}", 10), 0);
    refuses(path, "at most 100000000");
}

Test(safetensors, a_truncated_file_is_refused) {
    refuses_header("{" A "}", 7, "tensor a: data_offsets end at 8");
}

Test(safetensors, bytes_behind_the_data_are_refused) {
    refuses_header("{" A "}", 9, "9 bytes of data, but the tensors use 8");
}

Test(safetensors, bad_json_is_refused) {
    refuses_header("{" A, 8, "header: ");
    refuses_header("[1]", 0, "not an object");
    refuses_header("{" A "} x", 8, "header: ");
    refuses_header("{\"\xff\":{}}", 0, "header: ");
}

Test(safetensors, a_doubled_name_is_refused) {
    refuses_header("{" A "," A "}", 8, "duplicate");
}

Test(safetensors, an_unknown_dtype_is_refused) {
    refuses_header("{\"a\":{\"dtype\":\"F8\",\"shape\":[2],\"data_offsets\":[0,2]}}", 2,
                   "tensor a: unknown dtype F8");
    refuses_header("{\"a\":{\"shape\":[2],\"data_offsets\":[0,2]}}", 2, "unknown dtype (missing)");
}

Test(safetensors, a_bad_shape_is_refused) {
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[-2],\"data_offsets\":[0,8]}}", 8,
                   "tensor a: side 0");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1.5],\"data_offsets\":[0,8]}}", 8,
                   "side 0");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":2,\"data_offsets\":[0,8]}}", 8, "shape");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,2],"
                   "\"data_offsets\":[0,8]}}",
                   8, "9 sides");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[4294967296,4294967296],"
                   "\"data_offsets\":[0,8]}}",
                   8, "overflows");
    refuses_header("{\"a\":7}", 0, "tensor a: its entry is not an object");
}

Test(safetensors, bad_offsets_are_refused) {
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,0]}}", 8,
                   "are not a range");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[-8,0]}}", 8,
                   "are not a range");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0]}}", 8,
                   "not a pair");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[2]}}", 8, "not a pair");
    refuses_header("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,8]}}", 8,
                   "span 8 bytes, shape and dtype need 12");
}

Test(safetensors, overlap_and_holes_are_refused) {
    refuses_header("{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[4,12]}}", 12,
                   "tensor b begins at 4, inside a");
    refuses_header("{" A ",\"b\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[12,16]}}", 16,
                   "hole of 4 bytes before tensor b");
}

Test(safetensors, bad_metadata_is_refused) {
    refuses_header("{\"__metadata__\":3," A "}", 8, "__metadata__ is not an object");
    refuses_header("{\"__metadata__\":{\"n\":3}," A "}", 8, "n is not a string");
}

// ---- parameters ---------------------------------------------------------------------------------

static void declare_small(ParamSet *set) {
    cr_assert_eq(params_begin(set, "small", F32), 0);
    params_conv(set, "conv.weight", 2, 3, 3, INIT_UNIFORM);
    params_vector(set, "conv.bias", 2, INIT_UNIFORM, 27);
    params_linear(set, "mid_block.attentions.0.to_q.weight", 4, 4, INIT_UNIFORM);
    params_last(set)->accepts_1x1 = true;
    params_vector(set, "norm.weight", 5, INIT_ONES, 0);
    cr_assert_not(set->failed, "%s", error_message());
}

Test(weights, a_convolution_is_stored_with_channels_before_the_window) {
    ParamSet set;
    declare_small(&set);
    cr_assert_eq(params_init(&set, 1), 0);
    float memory[54], stored[54];
    cr_assert_eq(tensor_read_float(params_find(&set, "conv.weight")->tensor, memory), 0);
    const char *path = in_folder("w.safetensors");
    cr_assert_eq(weights_save(&set, path), 0, "%s", error_message());
    SafeFile *file = safetensors_open(path);
    cr_assert_not_null(file, "%s", error_message());
    safetensors_read_float(safetensors_find(file, "conv.weight"), stored);
    for (int o = 0; o < 2; o++)
        for (int c = 0; c < 3; c++)
            for (int k = 0; k < 9; k++)
                cr_assert_eq(stored[(o * 3 + c) * 9 + k], memory[(o * 9 + k) * 3 + c]);
    safetensors_close(file);
    params_done(&set);
}

static void expect_equal(const ParamSet *a, const ParamSet *b) {
    for (size_t i = 0; i < a->count; i++) {
        float x[64], y[64];
        cr_assert_eq(tensor_read_float(a->items[i].tensor, x), 0, "%s", error_message());
        cr_assert_eq(tensor_read_float(b->items[i].tensor, y), 0, "%s", error_message());
        cr_assert_eq(memcmp(x, y, tensor_bytes(a->items[i].tensor)), 0, "%s", a->items[i].name);
    }
}

Test(weights, frozen_and_trained_parameters_load_to_the_same_bits) {
    ParamSet set, frozen, trained;
    declare_small(&set);
    declare_small(&frozen);
    declare_small(&trained);
    params_train(&trained, "");
    const char *path = in_folder("w.safetensors");
    cr_assert_eq(params_init(&set, 3), 0);
    cr_assert_eq(weights_save(&set, path), 0);
    cr_assert_eq(weights_load(&frozen, path), 0, "%s", error_message());
    cr_assert_eq(weights_load(&trained, path), 0, "%s", error_message());
    expect_equal(&set, &frozen);
    expect_equal(&set, &trained);
    // A borrowed tensor that is written to after all does not change the file.
    cr_assert_eq(tensor_fill(params_find(&frozen, "norm.weight")->tensor, 9), 0);
    cr_assert_eq(weights_load(&trained, path), 0);
    expect_equal(&set, &trained);
    params_done(&set);
    params_done(&frozen);
    params_done(&trained);
}

static void load_fails(const char *path, const char *words) {
    ParamSet set;
    declare_small(&set);
    error_take();
    cr_assert_eq(weights_load(&set, path), -1);
    const char *message = error_take();
    cr_assert_not_null(strstr(message, words), "no \"%s\" in: %s", words, message);
    cr_assert_not_null(strstr(message, path), "no path in: %s", message);
    params_done(&set);
}

Test(weights, names_and_shapes_are_compared_as_sets) {
    float zeros[81] = {0};
    SafeEntry entries[] = {
        {"conv.weight", SAFE_F32, 4, {2, 3, 3, 3}, zeros},
        {"conv.bias", SAFE_F32, 1, {2}, zeros},
        {"mid_block.attentions.0.query.weight", SAFE_F32, 4, {4, 4, 1, 1}, zeros},
        {"norm.weight", SAFE_F16, 1, {5}, zeros}};
    const char *path = in_folder("w.safetensors");
    ParamSet set;
    declare_small(&set);
    cr_assert_eq(safetensors_write(path, entries, 4, NULL, NULL), 0);
    cr_assert_eq(weights_load(&set, path), 0, "old names: %s", error_message());
    params_done(&set);

    cr_assert_eq(safetensors_write(path, entries, 3, NULL, NULL), 0);
    load_fails(path, "missing norm.weight");
    entries[3].name = "norm.wait";
    cr_assert_eq(safetensors_write(path, entries, 4, NULL, NULL), 0);
    load_fails(path, "1 missing, 1 unexpected, 0 of another shape");
    entries[3].name = "norm.weight";
    entries[3].shape[0] = 6;
    cr_assert_eq(safetensors_write(path, entries, 4, NULL, NULL), 0);
    load_fails(path, "norm.weight is [6] where [5] is expected");
    entries[3].shape[0] = 5;
    entries[3].type = SAFE_I32;
    cr_assert_eq(safetensors_write(path, entries, 4, NULL, NULL), 0);
    load_fails(path, "norm.weight has type I32");
    entries[3] = (SafeEntry){"mid_block.attentions.0.to_q.weight", SAFE_F32, 2, {4, 4}, zeros};
    cr_assert_eq(safetensors_write(path, entries, 4, NULL, NULL), 0);
    load_fails(path, "stored twice");
    // The memory's own layout is not the file's.
    entries[0].shape[1] = 3, entries[0].shape[2] = 3, entries[0].shape[3] = 3;
    entries[0].shape[0] = 3;
    cr_assert_eq(safetensors_write(path, entries, 1, NULL, NULL), 0);
    load_fails(path, "conv.weight is [3,3,3,3] where [2,3,3,3] is expected");
}

Test(weights, starting_values_depend_on_the_name_not_on_the_order) {
    ParamSet set, other;
    declare_small(&set);
    cr_assert_eq(params_begin(&other, "other", F32), 0);
    params_linear(&other, "mid_block.attentions.0.to_q.weight", 4, 4, INIT_UNIFORM);
    cr_assert_eq(params_init(&set, 5), 0);
    cr_assert_eq(params_init(&other, 5), 0);
    float x[16], y[16];
    tensor_read_float(params_find(&set, "mid_block.attentions.0.to_q.weight")->tensor, x);
    tensor_read_float(other.items[0].tensor, y);
    cr_assert_eq(memcmp(x, y, sizeof x), 0);
    for (int i = 0; i < 16; i++) cr_assert(fabsf(x[i]) <= 0.5f && x[i] != x[(i + 1) % 16]);
    cr_assert_eq(params_init(&other, 6), 0);
    tensor_read_float(other.items[0].tensor, y);
    cr_assert_neq(memcmp(x, y, sizeof x), 0);
    params_done(&set);
    params_done(&other);
}

Test(weights, freezing_follows_whole_parts_of_names) {
    ParamSet set;
    cr_assert_eq(params_begin(&set, "set", F32), 0);
    params_vector(&set, "up.1.bias", 2, INIT_ONES, 0);
    params_vector(&set, "up.10.bias", 3, INIT_ONES, 0);
    params_vector(&set, "up.1", 4, INIT_ONES, 0);
    cr_assert_eq(params_train(&set, ""), 3);
    cr_assert_eq(params_trained_elements(&set), 9);
    cr_assert_eq(params_freeze(&set, "up.1"), 2);
    size_t count = 0;
    Tensor **list = params_trained(&set, &count);
    cr_assert_eq(count, 1);
    cr_assert_eq(list[0], params_find(&set, "up.10.bias")->tensor);
    free(list);
    cr_assert_eq(params_elements(&set), 9);
    params_vector(&set, "up.1", 4, INIT_ONES, 0);
    cr_assert(set.failed);
    cr_assert_not_null(strstr(error_take(), "declared twice"));
    params_done(&set);
}
