// SPDX-License-Identifier: MIT
// p2s run: what it answers, and what it says about files that do not fit.
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cli/command.h"
#include "cpu/cpu.h"
#include "nn/safetensors.h"
#include "nn/text_encoder.h"
#include "nn/weights.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORDS = 12, MAX_ENTRIES = 8 };

static char folder[] = "/tmp/p2s-run-XXXXXX";
static char in_path[64], out_path[64];

static void begin(void) {
    cr_assert_not_null(mkdtemp(folder));
    snprintf(in_path, sizeof in_path, "%s/in.safetensors", folder);
    snprintf(out_path, sizeof out_path, "%s/out.safetensors", folder);
}

static void end(void) {
    folder_remove(folder);
}

TestSuite(run, .init = begin, .fini = end);

static void write_in(const SafeEntry *entries, size_t count) {
    cr_assert_eq(safetensors_write(in_path, entries, count, NULL, NULL), 0, "%s", error_message());
}

// Runs `p2s run COMPONENT in out WORDS...`; what it says on stderr is left in `said`.
static int run_said(const char *component, const char *words, char *said, size_t size) {
    char *argv[MAX_WORDS] = {"run", (char *)component, in_path, out_path}, copy[256], *state = NULL;
    int argc = 4;
    snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok_r(copy, " ", &state); word; word = strtok_r(NULL, " ", &state))
        argv[argc++] = word;
    FILE *file = tmpfile();
    cr_assert_not_null(file);
    fflush(stderr);
    int kept = dup(2);
    dup2(fileno(file), 2);
    int code = cmd_run(argc, argv);
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
    rewind(file);
    said[fread(said, 1, size - 1, file)] = '\0';
    fclose(file);
    return code;
}

static void run_ok(const char *component, const char *words) {
    char said[1024];
    int code = run_said(component, words, said, sizeof said);
    cr_assert_eq(code, EXIT_OK, "%s", said);
}

static void run_fails(const char *component, const char *words, const char *expected) {
    char said[1024];
    int code = run_said(component, words, said, sizeof said);
    cr_assert_eq(code, EXIT_FAILED, "exit code %d: %s", code, said);
    cr_assert_not_null(strstr(said, expected), "said \"%s\", not \"%s\"", said, expected);
}

// Compares an output with expected values.
static void expect(const char *name, const float *values, size_t count, double tolerance) {
    SafeFile *file = safetensors_open(out_path);
    cr_assert_not_null(file, "%s", error_message());
    const SafeTensor *tensor = safetensors_find(file, name);
    cr_assert_not_null(tensor, "%s is missing", name);
    cr_assert_eq((size_t)tensor->numel, count);
    float *found = calloc(count, sizeof *found);
    safetensors_read_float(tensor, found);
    for (size_t i = 0; i < count; i++)
        cr_expect(fabs((double)found[i] - (double)values[i]) <= tolerance,
                  "%s[%zu] is %.9g, not %.9g", name, i, (double)found[i], (double)values[i]);
    free(found);
    safetensors_close(file);
}

static const float six[] = {-1, -1, -0.5f, 0.25f, 2, 2};
static const SafeEntry image_y = {"y", SAFE_F32, 4, {1, 3, 1, 2}, six};

// Method 10.3.
Test(run, normalise_equals_its_vector_with_gradient) {
    const float gradient[] = {0.1f, -0.2f, 0.3f, 0.4f, -0.5f, 0.6f};
    write_in((SafeEntry[]){image_y, {"grad.normalised", SAFE_F32, 4, {1, 3, 1, 2}, gradient}}, 2);
    run_ok("normalise", "form=training");
    expect("normalised",
           (float[]){0, 0, 42.499858334f, 106.249645835f, 254.999150003f, 254.999150003f}, 6, 1e-4);
    expect("grad.y",
           (float[]){-7.791685555f, -33.291600556f, 25.499915000f, 33.999886667f, -55.958101945f,
                     37.541586389f},
           6, 1e-4);
}

// Method 2.4.
Test(run, the_coloring_loss_equals_its_vector) {
    const float prediction[] = {2, 0,  100, 104, 5, 60, 62, 98, 0, 3,   20,  20,
                                1, 60, 58,  22,  1, 0,  30, 28, 0, 200, 204, 32};
    const int64_t labels[] = {0, 0, 1, 1, 0, 2, 2, 1}, no_background[] = {1};
    write_in((SafeEntry[]){{"prediction", SAFE_F32, 4, {1, 3, 2, 4}, prediction},
                           {"labels", SAFE_I64, 3, {1, 2, 4}, labels},
                           {"no_background", SAFE_I64, 1, {1}, no_background}},
             3);
    run_ok("loss.coloring", "form=code");
    expect("loss", (float[]){1.034692222f}, 1, 1e-6);
    write_in((SafeEntry[]){{"prediction", SAFE_F32, 4, {1, 3, 2, 4}, prediction},
                           {"labels", SAFE_I64, 3, {1, 2, 4}, labels}},
             2);
    run_ok("loss.coloring", "form=paper --kernels reference");
    expect("loss", (float[]){8.867912034f}, 1, 1e-5);
}

Test(run, a_component_or_key_that_does_not_exist_is_named_with_the_nearest) {
    write_in(&image_y, 1);
    run_fails("normalize", "", "no component is called \"normalize\"; nearest is normalise");
    run_fails("normalise", "frm=training", "unknown key \"frm\"; did you mean \"form\"?");
    run_fails("normalise", "form=other", "form");
    run_fails("normalise", "--model /tmp", "takes no --model");
}

Test(run, a_missing_an_unknown_and_a_wrong_tensor_are_named) {
    write_in(&image_y, 1);
    run_fails("v_to_x0", "", "tensor v is missing; v_to_x0 wants image [N,C,h,w]");
    write_in((SafeEntry[]){image_y, {"x", SAFE_F32, 1, {1}, six}}, 2);
    run_fails("normalise", "", "normalise knows no tensor x");
    write_in((SafeEntry[]){{"y", SAFE_F32, 3, {3, 1, 2}, six}}, 1);
    run_fails("normalise", "", "tensor y is F32 [3,1,2]; expected image [N,C,H,W]");
    write_in((SafeEntry[]){{"y", SAFE_I32, 4, {1, 3, 1, 2}, six}}, 1);
    run_fails("normalise", "", "tensor y is I32 [1,3,1,2]; expected image [N,C,H,W]");
}

Test(run, sizes_of_the_same_name_must_agree) {
    const int32_t labels[] = {0, 1, 2};
    write_in((SafeEntry[]){{"prediction", SAFE_F32, 4, {1, 3, 1, 2}, six},
                           {"labels", SAFE_I32, 3, {1, 1, 3}, labels}},
             2);
    run_fails("loss.coloring", "", ", where W is 3 as in labels");
}

Test(run, a_gradient_of_something_that_has_none_is_refused) {
    write_in((SafeEntry[]){image_y, {"grad.y", SAFE_F32, 4, {1, 3, 1, 2}, six}}, 2);
    run_fails("normalise", "", "normalise has no float output y");
    write_in((SafeEntry[]){image_y, {"grad.normalised", SAFE_F32, 4, {1, 3, 2, 1}, six}}, 2);
    run_fails("normalise", "", "tensor grad.normalised is not of the shape of normalised");
    write_in((SafeEntry[]){{"grad.signal", SAFE_F32, 1, {1}, six}}, 1);
    run_fails("schedule", "", "schedule has no gradients");
}

// What the tape noted of a network must go before the network does.
Test(run, a_gradient_of_another_shape_ends_a_network_cleanly) {
    static const TextConfig config = {
        .vocabulary = 9, .positions = 3, .width = 4, .inner = 4, .layers = 1, .heads = 1, .eps = 1};
    static const char json[] = "{\"vocab_size\": 9, \"max_position_embeddings\": 3, "
                               "\"hidden_size\": 4, \"intermediate_size\": 4, "
                               "\"num_hidden_layers\": 1, \"num_attention_heads\": 1}";
    const float values[8] = {0};
    const int32_t ids[] = {1, 2};
    char path[128], words[96];
    snprintf(path, sizeof path, "%s/text_encoder", folder);
    cr_assert_eq(folder_make(path), 0);
    snprintf(path, sizeof path, "%s/text_encoder/config.json", folder);
    cr_assert_eq(file_write(path, json, strlen(json)), 0);
    backend_use(cpu_backend());
    TextEncoder *encoder = text_encoder_new(&config, F32);
    cr_assert_eq(params_init(&encoder->params, 1), 0, "%s", error_message());
    snprintf(path, sizeof path, "%s/text_encoder/model.safetensors", folder);
    cr_assert_eq(weights_save(&encoder->params, path), 0, "%s", error_message());
    text_encoder_free(encoder);
    write_in((SafeEntry[]){{"ids", SAFE_I32, 2, {1, 2}, ids},
                           {"grad.hidden", SAFE_F32, 3, {1, 2, 3}, values}},
             2);
    snprintf(words, sizeof words, "--model %s", folder);
    run_fails("text", words, "tensor grad.hidden is not of the shape of hidden");
}

Test(run, a_gradient_of_another_shape_ends_a_block_cleanly) {
    const float values[4] = {0};
    write_in((SafeEntry[]){{"param.linear_1.weight", SAFE_F32, 2, {2, 2}, values},
                           {"param.linear_1.bias", SAFE_F32, 1, {2}, values},
                           {"param.linear_2.weight", SAFE_F32, 2, {2, 2}, values},
                           {"param.linear_2.bias", SAFE_F32, 1, {2}, values},
                           {"grad.time", SAFE_F32, 2, {1, 3}, values}},
             5);
    run_fails("block.time", "", "tensor grad.time is not of the shape of time");
}

Test(run, a_damaged_file_is_named) {
    cr_assert_eq(file_write(in_path, "nothing", 7), 0);
    run_fails("normalise", "", "in.safetensors");
}

// One channel, one group: the norm's answer is known, and so is a 1 x 1 kernel within the 3 x 3.
Test(run, a_block_takes_its_parameters_from_the_file) {
    const float kernel[9] = {[4] = 2}, bias[] = {0.5f}, x[] = {1, 2, 3, 4},
                gradient[] = {1, 1, 1, 1};
    const SafeEntry entries[] = {{"x", SAFE_F32, 4, {1, 1, 2, 2}, x},
                                 {"param.conv.weight", SAFE_F32, 4, {1, 1, 3, 3}, kernel},
                                 {"param.conv.bias", SAFE_F32, 1, {1}, bias},
                                 {"grad.y", SAFE_F32, 4, {1, 1, 1, 1}, gradient}};
    write_in(entries, 4);
    run_ok("block.downsample", "form=vae");
    expect("y", (float[]){2 * 4 + 0.5f}, 1, 1e-6);
    run_ok("block.downsample", "form=unet");
    expect("y", (float[]){2 * 1 + 0.5f}, 1, 1e-6);
    expect("grad.x", (float[]){2, 0, 0, 0}, 4, 1e-6);
    expect("grad.param.conv.weight", (float[]){0, 0, 0, 0, 1, 2, 0, 3, 4}, 9, 1e-6);
    expect("grad.param.conv.bias", (float[]){1}, 1, 1e-6);
}

Test(run, a_block_s_parameters_must_be_those_it_has) {
    const float x[4] = {0}, kernel[9] = {0};
    const SafeEntry entries[] = {{"x", SAFE_F32, 4, {1, 1, 2, 2}, x},
                                 {"param.conv.weight", SAFE_F32, 4, {1, 1, 3, 3}, kernel},
                                 {"param.other", SAFE_F32, 1, {1}, x}};
    write_in(entries, 2);
    run_fails("block.downsample", "", "missing conv.bias");
    write_in(entries, 3);
    run_fails("block.upsample", "", "unexpected param.other");
    run_fails("block.transformer", "heads=1", "tensor context is missing");
}

Test(run, a_model_that_is_not_there_is_named) {
    const float z[4] = {0};
    write_in(
        (SafeEntry[]){{"z", SAFE_F32, 4, {1, 4, 1, 1}, z}, {"context", SAFE_F32, 3, {1, 1, 4}, z}},
        2);
    run_fails("unet", "", "unet needs --model DIR");
    run_fails("unet", "--model /nowhere", "/nowhere/unet/config.json");
}

// Method 10.4, the first step.
Test(run, adamw_equals_its_vector) {
    const float p[] = {1, -2, 0.5f, 0}, g[] = {0.1f, -0.2f, 0.3f, 0}, zeros[4] = {0};
    write_in((SafeEntry[]){{"param.w", SAFE_F32, 2, {2, 2}, p},
                           {"g.w", SAFE_F32, 2, {2, 2}, g},
                           {"m.w", SAFE_F32, 2, {2, 2}, zeros},
                           {"v.w", SAFE_F32, 2, {2, 2}, zeros}},
             4);
    run_ok("adamw", "lr=0.01");
    expect("param.w", (float[]){0.989900001f, -1.9898000005f, 0.489950000333f, 0}, 4, 2e-7);
    expect("norm", (float[]){0.374165739f}, 1, 1e-6);
    write_in((SafeEntry[]){{"param.w", SAFE_F32, 2, {2, 2}, p},
                           {"g.w", SAFE_F32, 1, {4}, g},
                           {"m.w", SAFE_F32, 2, {2, 2}, zeros},
                           {"v.w", SAFE_F32, 2, {2, 2}, zeros}},
             4);
    run_fails("adamw", "", "tensor g.w does not fit parameter w");
}

Test(run, the_learning_rate_follows_the_published_table) {
    const int32_t steps[] = {0, 50, 100, 30000};
    write_in((SafeEntry[]){{"steps", SAFE_I32, 1, {4}, steps}}, 1);
    run_ok("lr", "train.lr=6e-5 train.warmup=100 train.schedule_steps=40000");
    expect("rates", (float[]){0, 3e-5f, 6e-5f, 6.3561e-6f}, 4, 1e-10);
    run_fails("lr", "train.lr=-1", "train.lr");
}

Test(run, an_integer_beyond_32_bits_is_named) {
    const int64_t steps[] = {0, INT64_C(1) << 32};
    write_in((SafeEntry[]){{"steps", SAFE_I64, 1, {2}, steps}}, 1);
    run_fails("lr", "", "tensor steps[1] is 4294967296; expected -2147483648 to 2147483647");
}
