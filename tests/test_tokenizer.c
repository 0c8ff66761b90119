// SPDX-License-Identifier: MIT
// The tokenizer beside transformers' CLIPTokenizerFast on recorded strings, its limits and errors,
// and the empty prompt that tokenizer and text encoder make together.
#include "base/error.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "nn/empty_prompt.h"
#include "nn/model.h"
#include "nn/text_encoder.h"
#include "nn/tokenizer.h"
#include "nn/weights.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MODEL P2S_FIXTURES "/text"

static char folder[128];

static void set_up(void) {
    backend_use(cpu_backend());
    snprintf(folder, sizeof folder, "/tmp/p2s-test-tokenizer-%d", (int)getpid());
    char *inner = path_join(folder, "tokenizer");
    cr_assert_eq(folder_make(inner), 0, "%s", error_message());
    free(inner);
}

static void tear_down(void) {
    folder_remove(folder);
}

TestSuite(tokenizer, .init = set_up, .fini = tear_down);

// Puts a file into folder/tokenizer: the fixture's, or `text` if that is not NULL.
static void put(const char *name, const char *text) {
    char from[256], to[256];
    snprintf(from, sizeof from, "%s/tokenizer/%s", MODEL, name);
    snprintf(to, sizeof to, "%s/tokenizer/%s", folder, name);
    if (text)
        cr_assert_eq(file_write(to, text, strlen(text)), 0);
    else
        cr_assert_eq(file_link_or_copy(from, to), 0, "%s", error_message());
}

static Tokenizer *opened(const char *model) {
    Tokenizer *tokenizer = tokenizer_open(model);
    cr_assert_not_null(tokenizer, "%s", error_message());
    return tokenizer;
}

static void has_ids(const Tokenizer *tokenizer, const json_t *row) {
    const char *text = json_string_value(json_object_get(row, "text"));
    const json_t *expected = json_object_get(row, "ids");
    const size_t size = json_string_length(json_object_get(row, "text"));
    size_t count = 0;
    int32_t *ids = tokenizer_encode(tokenizer, text, size, &count);
    cr_assert_not_null(ids, "%s", error_message());
    cr_expect_eq(count, json_array_size(expected), "\"%s\" has %zu ids", text, count);
    for (size_t i = 0; i < count && i < json_array_size(expected); i++)
        cr_assert_eq(ids[i], json_integer_value(json_array_get(expected, i)), "\"%s\", id %zu",
                     text, i);
    free(ids);
}

Test(tokenizer, gives_the_ids_of_the_fast_reference_tokenizer) {
    json_t *rows = json_load_file(MODEL "/strings.json", JSON_ALLOW_NUL, NULL);
    cr_assert_gt(json_array_size(rows), 300);
    Tokenizer *tokenizer = opened(MODEL);
    for (size_t i = 0; i < json_array_size(rows); i++) has_ids(tokenizer, json_array_get(rows, i));
    tokenizer_free(tokenizer);
    json_decref(rows);
}

static int32_t pad_of(const char *model) {
    const int32_t ids[] = {1, 2};
    int32_t out[3];
    Tokenizer *tokenizer = opened(model);
    tokenizer_fit(tokenizer, ids, 2, out, 3);
    tokenizer_free(tokenizer);
    return out[2];
}

Test(tokenizer, pads_with_what_the_map_says_only_beside_an_old_config) {
    put("vocab.json", NULL);
    put("merges.txt", NULL);
    const int32_t end = pad_of(folder); // without the files: the end token
    put("special_tokens_map.json", "{\"pad_token\": \"!\"}");
    put("tokenizer_config.json", "{\"pad_token\": \"<|endoftext|>\"}");
    cr_assert_eq(pad_of(folder), 0);
    put("tokenizer_config.json", "{\"added_tokens_decoder\": {}, \"pad_token\": \"<|endoftext|>\","
                                 " \"model_max_length\": 1000000000000000019884624838656}");
    cr_assert_eq(pad_of(folder), end);
    cr_assert_neq(end, 0);
}

Test(tokenizer, cuts_before_the_end_token) {
    const int32_t ids[] = {7, 1, 2, 3, 8};
    int32_t out[4], end = 0;
    size_t count;
    Tokenizer *tokenizer = opened(MODEL);
    int32_t *empty = tokenizer_encode(tokenizer, "", 0, &count);
    cr_assert_eq(count, 2);
    end = empty[1];
    tokenizer_fit(tokenizer, ids, 5, out, 4);
    cr_assert(out[0] == 7 && out[1] == 1 && out[2] == 2 && out[3] == end);
    free(empty);
    tokenizer_free(tokenizer);
}

Test(tokenizer, refuses_text_that_is_too_long_or_not_utf8) {
    Tokenizer *tokenizer = opened(MODEL);
    char *text = calloc(1, TOKENIZER_MAX_TEXT + 1);
    memset(text, 'a', TOKENIZER_MAX_TEXT + 1);
    size_t count = 0;
    cr_assert_null(tokenizer_encode(tokenizer, text, TOKENIZER_MAX_TEXT + 1, &count));
    cr_assert(strstr(error_take(), "65537 bytes"));
    cr_assert_null(tokenizer_encode(tokenizer, "a\xff", 2, &count));
    cr_assert(strstr(error_take(), "not UTF-8"));
    free(text);
    tokenizer_free(tokenizer);
}

static void is_refused(const char *part) {
    cr_assert_null(tokenizer_open(folder));
    const char *message = error_take();
    cr_assert(strstr(message, part), "%s", message);
}

Test(tokenizer, names_what_is_wrong_with_its_files) {
    is_refused("vocab.json");
    put("vocab.json", "{\"a\": -1}");
    is_refused("the id of \"a\"");
    put("vocab.json", "{\"a\": 1}");
    put("merges.txt", "#version\n");
    is_refused("\"<|startoftext|>\" is not in vocab.json");
    put("vocab.json", "{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1, \"a\": 2}");
    put("merges.txt", "#version\na b\n");
    is_refused("merge 1: \"b\" is not in vocab.json");
    put("merges.txt", "#version\na\n");
    is_refused("expected two tokens");
    put("merges.txt", "#version\n");
    put("special_tokens_map.json", "{\"pad_token\": {\"content\": \"a\", \"lstrip\": true}}");
    is_refused("lstrip is not supported");
    put("special_tokens_map.json", "{\"pad_token\": 3}");
    is_refused("pad_token");
}

Test(tokenizer, bytes_that_the_vocabulary_lacks_are_unknown) {
    put("vocab.json", "{\"<|startoftext|>\": 0, \"<|endoftext|>\": 1, \"a</w>\": 2}");
    put("merges.txt", "#version\n");
    Tokenizer *tokenizer = opened(folder);
    size_t count;
    int32_t *ids = tokenizer_encode(tokenizer, "ba a", 4, &count);
    cr_assert_eq(count, 5);
    cr_assert(ids[1] == 1 && ids[2] == 2 && ids[3] == 2 && ids[4] == 1);
    free(ids);
    tokenizer_free(tokenizer);
}

// A random text encoder beside the fixture's tokenizer.
static void put_encoder(const char *config_text) {
    char path[256];
    snprintf(path, sizeof path, "%s/text_encoder", folder);
    folder_make(path);
    strcat(path, "/config.json");
    cr_assert_eq(file_write(path, config_text, strlen(config_text)), 0);
    TextConfig config;
    cr_assert_eq(text_config_read(&config, path), 0, "%s", error_message());
    TextEncoder *encoder = text_encoder_new(&config, F32);
    cr_assert_eq(params_init(&encoder->params, 1), 0);
    snprintf(path, sizeof path, "%s/text_encoder/model.safetensors", folder);
    cr_assert_eq(weights_save(&encoder->params, path), 0, "%s", error_message());
    text_encoder_free(encoder);
}

static void put_tokenizer(void) {
    put("vocab.json", NULL);
    put("merges.txt", NULL);
    put("tokenizer_config.json", NULL);
    put("special_tokens_map.json", NULL);
}

Test(tokenizer, the_empty_prompt_is_written_in_both_forms) {
    put_tokenizer();
    put_encoder("{\"vocab_size\": 1000, \"hidden_size\": 16, \"intermediate_size\": 24,"
                " \"num_hidden_layers\": 2, \"num_attention_heads\": 2, \"hidden_act\": \"gelu\","
                " \"max_position_embeddings\": 7}");
    EmptyPrompt made;
    cr_assert_eq(empty_prompt_write(folder, &made), 0, "%s", error_message());
    cr_assert(made.positions == 7 && made.width == 16 && made.pad == 0 && made.end > made.begin);
    char *path = path_join(folder, EMPTY_PROMPT_FILE);
    SafeFile *file = safetensors_open(path);
    const SafeTensor *train = safetensors_find(file, "train"),
                     *infer = safetensors_find(file, "infer");
    cr_assert(train->ndim == 2 && train->shape[0] == 7 && train->shape[1] == 16);
    cr_assert(infer->ndim == 2 && infer->shape[0] == 2 && infer->shape[1] == 16);
    float values[7 * 16], first[2 * 16];
    safetensors_read_float(train, values);
    safetensors_read_float(infer, first);
    for (int i = 0; i < 2 * 16; i++) cr_assert_float_eq(values[i], first[i], 1e-5);
    safetensors_close(file);
    free(path);
}

static const char small_encoder[] =
    "{\"vocab_size\": 1000, \"hidden_size\": 4, \"intermediate_size\": 4,"
    " \"num_hidden_layers\": 1, \"num_attention_heads\": 1, \"max_position_embeddings\": 4}";

Test(tokenizer, an_encoder_that_answers_no_numbers_is_refused) {
    put_tokenizer();
    put_encoder(small_encoder);
    char *path = path_join(folder, "text_encoder/config.json");
    TextConfig config;
    cr_assert_eq(text_config_read(&config, path), 0, "%s", error_message());
    free(path);
    TextEncoder *encoder = text_encoder_new(&config, F32);
    cr_assert_eq(params_init(&encoder->params, 1), 0);
    cr_assert_eq(tensor_fill(encoder->norm_out.weight, NAN), 0);
    path = path_join(folder, "text_encoder/model.safetensors");
    cr_assert_eq(weights_save(&encoder->params, path), 0, "%s", error_message());
    text_encoder_free(encoder);
    free(path);
    EmptyPrompt made;
    cr_expect_eq(empty_prompt_write(folder, &made), -1);
    cr_expect(strstr(error_take(), "not finite"));
}

Test(tokenizer, an_encoder_with_fewer_rows_than_tokens_is_refused) {
    put_tokenizer();
    put_encoder("{\"vocab_size\": 10, \"hidden_size\": 8, \"intermediate_size\": 8,"
                " \"num_hidden_layers\": 1, \"num_attention_heads\": 1}");
    EmptyPrompt made;
    cr_assert_neq(empty_prompt_write(folder, &made), 0);
    cr_assert(strstr(error_take(), "is outside 0..9"));
}

Test(tokenizer, a_text_encoder_of_another_kind_is_refused) {
    const char *const wrong[] = {"{\"hidden_act\": \"relu\"}", "{\"model_type\": \"bert\"}",
                                 "{\"hidden_size\": 10, \"num_attention_heads\": 3}",
                                 "{\"num_hidden_layers\": 0}"};
    char path[256];
    snprintf(path, sizeof path, "%s/config.json", folder);
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        TextConfig config;
        cr_assert_eq(file_write(path, wrong[i], strlen(wrong[i])), 0);
        cr_assert_neq(text_config_read(&config, path), 0, "%s", wrong[i]);
        cr_assert(strstr(error_take(), "config.json"));
    }
}
