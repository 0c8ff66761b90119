// SPDX-License-Identifier: MIT
// Weights of a model folder in every form that diffusers writes.
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/device.h"
#include "nn/model.h"
#include "nn/weights.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[] = "/tmp/p2s-weights-XXXXXX";
static ParamSet set;

static void begin(void) {
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(device_use("cpu", 1), 0);
    cr_assert_eq(params_begin(&set, "net", F32), 0);
    params_vector(&set, "a", 2, INIT_ZEROS, 0);
    params_vector(&set, "b", 1, INIT_ZEROS, 0);
}

static void end(void) {
    params_done(&set);
    folder_remove(folder);
}

TestSuite(weights_folder, .init = begin, .fini = end);

static void write_tensors(const char *name, const SafeEntry *entries, size_t count) {
    char *path = path_join(folder, name);
    cr_assert_eq(safetensors_write(path, entries, count, NULL, NULL), 0, "%s", error_message());
    free(path);
}

static void write_text(const char *name, const char *text) {
    char *path = path_join(folder, name);
    cr_assert_eq(file_write(path, text, strlen(text)), 0);
    free(path);
}

static const float first[] = {1, 2}, second[] = {3};
static const uint16_t first_half[] = {0x3c00, 0x4000}, second_half[] = {0x4200};
static const SafeEntry a = {"a", SAFE_F32, 1, {2}, first}, b = {"b", SAFE_F32, 1, {1}, second};

static void expect_values(void) {
    float values[2];
    cr_assert_eq(weights_load_folder(&set, folder, "w"), 0, "%s", error_message());
    cr_assert_eq(tensor_read_float(params_find(&set, "a")->tensor, values), 0);
    cr_expect_eq(values[0], 1);
    cr_expect_eq(values[1], 2);
    cr_assert_eq(tensor_read_float(params_find(&set, "b")->tensor, values), 0);
    cr_expect_eq(values[0], 3);
}

static void expect_error(const char *part) {
    cr_assert_eq(weights_load_folder(&set, folder, "w"), -1);
    cr_expect_not_null(strstr(error_message(), part), "%s", error_message());
    error_take();
}

Test(weights_folder, one_file_is_read) {
    write_tensors("w.safetensors", (SafeEntry[]){a, b}, 2);
    expect_values();
}

Test(weights_folder, shards_are_read_together) {
    write_tensors("w-00001-of-00002.safetensors", &a, 1);
    write_tensors("w-00002-of-00002.safetensors", &b, 1);
    write_text(
        "w.safetensors.index.json",
        "{\"metadata\": {\"total_size\": 12}, \"weight_map\": {"
        "\"a\": \"w-00001-of-00002.safetensors\", \"b\": \"w-00002-of-00002.safetensors\"}}");
    expect_values();
}

Test(weights_folder, the_fp16_variant_is_read_when_it_is_alone) {
    write_tensors(
        "w.fp16.safetensors",
        (SafeEntry[]){{"a", SAFE_F16, 1, {2}, first_half}, {"b", SAFE_F16, 1, {1}, second_half}},
        2);
    cr_expect(weights_in_folder(folder, "w"));
    expect_values();
}

Test(weights_folder, what_an_index_promises_must_be_there) {
    write_tensors("w-00001-of-00002.safetensors", &a, 1);
    write_text("w.safetensors.index.json",
               "{\"weight_map\": {\"a\": \"w-00001-of-00002.safetensors\"}}");
    expect_error("1 missing");
    write_text("w.safetensors.index.json", "{\"weight_map\": {\"b\": \"absent.safetensors\"}}");
    expect_error("absent.safetensors");
    write_text("w.safetensors.index.json", "{\"weight_map\": {\"b\": \"../w.safetensors\"}}");
    expect_error("is not a plain file name");
    write_text("w.safetensors.index.json", "{\"weight_map\": [1]}");
    expect_error("weight_map is missing or no object");
}

Test(weights_folder, an_empty_folder_is_named) {
    cr_expect_not(weights_in_folder(folder, "w"));
    expect_error("w.safetensors is missing");
}

Test(weights_folder, info_finds_weights_that_are_not_one_file, .init = cr_redirect_stdout) {
    char *vae = path_join(folder, "vae");
    cr_assert_eq(folder_make(vae), 0);
    free(vae);
    char *config = path_join(folder, "vae/config.json");
    cr_assert_eq(vae_config_write(vae_config_named("miniature"), config), 0);
    free(config);
    write_text("vae/diffusion_pytorch_model.fp16.safetensors", "");
    cr_assert_eq(cmd_info(2, (char *[]){"info", folder}), EXIT_OK, "%s", error_message());
    fflush(stdout);
    char printed[256] = "";
    FILE *out = cr_get_redirected_stdout();
    printed[fread(printed, 1, sizeof printed - 1, out)] = '\0';
    cr_expect_not_null(strstr(printed, "weights in shards or as fp16"), "%s", printed);
}
