// SPDX-License-Identifier: MIT
// Our networks against diffusers and transformers: same weights, same inputs, same outputs and
// gradients. The fixtures are made by scripts/make_fixtures.py in float64; weights, inputs and
// probes are a hash of (name, index). Of a gradient its product with a probe is compared.
#include "autograd/tape.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "nn/controlnet.h"
#include "nn/safetensors.h"
#include "nn/text_encoder.h"
#include "nn/unet.h"
#include "nn/vae.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef P2S_FIXTURES
#define P2S_FIXTURES "tests/fixtures"
#endif

// ---- the hash -----------------------------------------------------------------------------------

static uint32_t seed_of(const char *name) {
    uint32_t seed = 2166136261u;
    for (; *name; name++) seed = (seed ^ (unsigned char)*name) * 16777619u;
    return seed;
}

static double hashed(uint32_t seed, int64_t index) {
    uint32_t x = (uint32_t)index * 0x9E3779B9u + seed;
    x = (x ^ x >> 16) * 0x85EBCA6Bu;
    x = (x ^ x >> 13) * 0xC2B2AE35u;
    return (double)(x ^ x >> 16) / 2147483648.0 - 1;
}

static uint32_t probe_seed(const char *name) {
    char text[256];
    snprintf(text, sizeof text, "%s.probe", name);
    return seed_of(text);
}

// Index in the file's layout of element i in memory.
static int64_t file_index(const Param *param, int64_t i) {
    if (param->kind != PARAM_CONV) return i;
    int64_t in = param->file_shape[1], window = param->file_shape[2] * param->file_shape[3];
    int64_t channel = i % in, k = i / in % window, out = i / in / window;
    return (out * in + channel) * window + k;
}

static double start_value(const Param *param, int64_t index) {
    double u = hashed(seed_of(param->name), index);
    if (param->file_ndim > 1) return u * sqrt(3 / (double)param->fan_in);
    size_t length = strlen(param->name);
    bool weight = length > 7 && strcmp(param->name + length - 7, ".weight") == 0;
    return weight ? 1 + 0.2 * u : 0.1 * u;
}

static void start(ParamSet *set) {
    cr_assert_eq(params_materialize(set), 0, "%s", error_message());
    for (size_t p = 0; p < set->count; p++) {
        const Param *param = &set->items[p];
        int64_t count = tensor_numel(param->tensor);
        double *values = malloc((size_t)count * sizeof *values);
        for (int64_t i = 0; i < count; i++) values[i] = start_value(param, file_index(param, i));
        cr_assert_eq(tensor_write_double(param->tensor, values), 0);
        free(values);
    }
}

// ---- one case -----------------------------------------------------------------------------------

typedef struct {
    SafeFile *file;
    Dtype dtype;
    double limit; // largest difference of gradients, relative
    Tensor *inputs[4];
    int count;
    double worst;
    const char *worst_name;
} Case;

static const char *fixture(const char *name) {
    static char paths[2][512];
    static int turn;
    char *path = paths[turn++ % 2];
    snprintf(path, sizeof paths[0], "%s/%s", P2S_FIXTURES, name);
    return path;
}

static Case begin(const char *name, Dtype dtype, double limit) {
    backend_use(cpu_backend());
    tape_reset();
    tape_record(true);
    char file[128];
    snprintf(file, sizeof file, "%s.safetensors", name);
    Case run = {.file = safetensors_open(fixture(file)),
                .dtype = dtype,
                .limit = limit,
                .worst_name = "nothing"};
    cr_assert_not_null(run.file, "%s", error_message());
    return run;
}

static Tensor *input(Case *run, const char *name, int ndim, const int64_t *shape) {
    Tensor *x = tensor_new(run->dtype, ndim, shape);
    int64_t count = tensor_numel(x);
    double *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++) values[i] = hashed(seed_of(name), i);
    cr_assert_eq(tensor_write_double(x, values), 0);
    free(values);
    x->needs_grad = true;
    tensor_named(x, "%s", name);
    run->inputs[run->count++] = x;
    return x;
}

static double *expected(const Case *run, const char *name, int64_t count) {
    const SafeTensor *tensor = safetensors_find(run->file, name);
    cr_assert_not_null(tensor, "fixture has no %s", name);
    cr_assert_eq(tensor->numel, count, "%s has %lld elements, fixture %lld", name, (long long)count,
                 (long long)tensor->numel);
    double *values = malloc((size_t)(count + 1) * sizeof *values);
    safetensors_read_double(tensor, values);
    return values;
}

static void note(Case *run, double difference, const char *name) {
    if (!(difference > run->worst)) {
        cr_assert_not(isnan(difference), "%s is not a number", name);
        return;
    }
    run->worst = difference;
    run->worst_name = name;
}

// In single precision outputs may be off by a tenth of what gradients may.
static double outputs_weight(Dtype dtype) {
    return dtype == F32 ? 10 : 1;
}

// Compares an output, and adds its product with the probe to the loss.
static Tensor *output(Case *run, const char *name, Tensor *y, Tensor *loss) {
    cr_assert_not_null(y, "%s", error_message());
    int64_t count = tensor_numel(y);
    double *values = malloc((size_t)count * sizeof *values), *want = expected(run, name, count);
    cr_assert_eq(tensor_read_double(y, values), 0);
    double largest = 0, difference = 0;
    for (int64_t i = 0; i < count; i++) {
        largest = fmax(largest, fabs(want[i]));
        difference = fmax(difference, fabs(values[i] - want[i]));
        cr_assert_not(isnan(values[i]));
    }
    note(run, outputs_weight(run->dtype) * difference / largest, name);
    for (int64_t i = 0; i < count; i++) values[i] = hashed(probe_seed(name), i);
    Tensor *probe = tape_result(run->dtype, y->ndim, y->shape);
    cr_assert_eq(tensor_write_double(probe, values), 0);
    free(values);
    free(want);
    Tensor *ones = tape_result(run->dtype, DIMS(1, count));
    cr_assert_eq(tensor_fill(ones, 1), 0);
    Tensor *row = op_reshape(op_mul(y, probe), DIMS(1, count));
    Tensor *sum = op_linear(row, ones, NONE, NONE);
    return loss ? op_add(loss, sum) : sum;
}

static double probed(const Tensor *x, const Param *param, const char *name, double *size) {
    if (!x->has_grad) return 0;
    int64_t count = tensor_numel(x);
    double *values = malloc((size_t)count * sizeof *values), total = 0, squares = 0;
    cr_assert_eq(tensor_read_double(x->grad, values), 0);
    for (int64_t i = 0; i < count; i++) {
        total += values[i] * hashed(probe_seed(name), param ? file_index(param, i) : i);
        squares += values[i] * values[i];
    }
    free(values);
    *size = sqrt(squares / 3);
    return total;
}

static int by_name(const void *a, const void *b) {
    return strcmp((*(const Param *const *)a)->name, (*(const Param *const *)b)->name);
}

// Some gradients are 0 in exact arithmetic (a key's bias shifts all logits alike), so differences
// are also measured against a hundredth of the root mean square of all.
static double gradient_floor(const double *values, size_t count) {
    double squares = 0;
    for (size_t i = 0; i < count; i++) squares += values[i] * values[i];
    return 0.01 * sqrt(squares / (double)count);
}

// Runs backward, compares every gradient, and ends the case.
static void finish(Case *run, ParamSet *set, Tensor *loss) {
    cr_assert_eq(tape_backward(loss), 0, "%s", error_message());
    const Param **sorted = malloc(set->count * sizeof *sorted);
    for (size_t i = 0; i < set->count; i++) sorted[i] = &set->items[i];
    qsort(sorted, set->count, sizeof *sorted, by_name);
    double *want = expected(run, "gradients", (int64_t)set->count);
    double floor = gradient_floor(want, set->count);
    for (size_t i = 0; i < set->count; i++) {
        double size = 0, got = probed(sorted[i]->tensor, sorted[i], sorted[i]->name, &size);
        double scale = fmax(floor, fmax(size, fabs(want[i])));
        note(run, fabs(got - want[i]) / scale, sorted[i]->name);
    }
    free(want);
    free(sorted);
    for (int i = 0; i < run->count; i++) {
        char name[128];
        snprintf(name, sizeof name, "d%s", run->inputs[i]->name);
        want = expected(run, name, 1);
        double size = 0, got = probed(run->inputs[i], NULL, run->inputs[i]->name, &size);
        note(run, fabs(got - want[0]) / fmax(size, fabs(want[0])), name);
        free(want);
    }
    fprintf(stderr, "%s: largest relative difference %.2g (%s), limit %g\n",
            strrchr(safetensors_path(run->file), '/') + 1, run->worst, run->worst_name, run->limit);
    cr_assert_leq(run->worst, run->limit, "%s differs by %g, limit %g", run->worst_name, run->worst,
                  run->limit);
    tape_reset();
    for (int i = 0; i < run->count; i++) tensor_free(run->inputs[i]);
    safetensors_close(run->file);
}

// ---- networks -----------------------------------------------------------------------------------

static Unet *unet_of(const char *config_file, Dtype dtype) {
    UnetConfig config;
    cr_assert_eq(unet_config_read(&config, fixture(config_file)), 0, "%s", error_message());
    Unet *unet = unet_new(&config, dtype);
    cr_assert_not_null(unet, "%s", error_message());
    start(&unet->params);
    return unet;
}

typedef struct {
    const char *name;
    int64_t batch, height, width;
    double timestep;
} UnetCase;

static void unet_agrees(UnetCase c, Dtype dtype, double limit, bool checkpointing) {
    char config_file[128];
    snprintf(config_file, sizeof config_file, "%s.json", c.name);
    Case run = begin(c.name, dtype, limit);
    Unet *unet = unet_of(config_file, dtype);
    params_train(&unet->params, "");
    unet_recompute(unet, checkpointing);
    Tensor *z = input(&run, "z", DIMS(c.batch, c.height, c.width, 4));
    Tensor *context = input(&run, "context", DIMS(1, 5, unet->config.context_width));
    Tensor *v = unet_forward(unet, z, c.timestep, context, NULL);
    finish(&run, &unet->params, output(&run, "v", v, NULL));
    unet_free(unet);
}

static const UnetCase miniature = {"unet_miniature", 2, 16, 25, 1},
                      sd2 = {"unet_sd2", 2, 12, 23, 1}, sd15 = {"unet_sd15", 1, 8, 16, 1},
                      late = {"unet_t999", 1, 8, 8, 999};

// The sinusoid is float in both, so its last digit sets the limit: 1e-7 at timestep 1. In single
// precision the limit is that of scripts/fidelity/trial.py.
static const double F64_LIMIT = 1e-6, F32_LIMIT = 1e-4;

Test(reference, miniature_unet_in_double) {
    unet_agrees(miniature, F64, F64_LIMIT, false);
}

Test(reference, miniature_unet_in_float) {
    unet_agrees(miniature, F32, F32_LIMIT, false);
}

Test(reference, miniature_unet_with_checkpointing) {
    unet_agrees(miniature, F64, F64_LIMIT, true);
}

Test(reference, unet_built_like_sd2_at_a_size_not_divisible_by_8) {
    unet_agrees(sd2, F64, F64_LIMIT, false);
    unet_agrees(sd2, F32, F32_LIMIT, false);
}

Test(reference, unet_built_like_sd15) {
    unet_agrees(sd15, F64, F64_LIMIT, false);
    unet_agrees(sd15, F32, F32_LIMIT, false);
}

// Two float exponentials may differ by an ulp of f_k, times 999 radians.
Test(reference, unet_at_the_last_timestep) {
    unet_agrees(late, F64, 2e-4, false);
}

static void vae_agrees(Dtype dtype, double limit, bool checkpointing) {
    Case run = begin("vae", dtype, limit);
    VaeConfig config;
    cr_assert_eq(vae_config_read(&config, fixture("vae.json")), 0, "%s", error_message());
    Vae *vae = vae_new(&config, dtype);
    cr_assert_not_null(vae, "%s", error_message());
    start(&vae->params);
    params_train(&vae->params, "");
    vae_recompute(vae, checkpointing);
    Tensor *image = input(&run, "image", DIMS(2, 21, 30, 3));
    Tensor *latent = input(&run, "latent", DIMS(1, 5, 7, 4));
    Tensor *loss = output(&run, "moments", vae_encode_moments(vae, image), NULL);
    loss = output(&run, "decoded", vae_decode(vae, latent), loss);
    finish(&run, &vae->params, loss);
    vae_free(vae);
}

Test(reference, auto_encoder_with_odd_sizes) {
    vae_agrees(F64, 1e-10, false);
    vae_agrees(F32, F32_LIMIT, false);
    vae_agrees(F64, 1e-10, true);
}

static void controlnet_agrees(const char *name, int64_t batch, int64_t height, int64_t width,
                              Dtype dtype, double limit) {
    char config_file[128], unet_file[128];
    snprintf(config_file, sizeof config_file, "%s.json", name);
    snprintf(unet_file, sizeof unet_file, "%s_unet.json", name);
    Case run = begin(name, dtype, limit);
    ControlNetConfig config;
    cr_assert_eq(controlnet_config_read(&config, fixture(config_file)), 0, "%s", error_message());
    ControlNet *control = controlnet_new(&config, dtype);
    cr_assert_not_null(control, "%s", error_message());
    start(&control->params);
    params_train(&control->params, "");
    Unet *unet = unet_of(unet_file, dtype); // frozen
    int64_t factor = (int64_t)1 << (config.widths - 1);
    Tensor *z = input(&run, "z", DIMS(batch, height, width, 4));
    Tensor *context = input(&run, "context", DIMS(1, 5, config.encoder.context_width));
    Tensor *condition = input(&run, "condition", DIMS(batch, factor * height, factor * width, 2));
    UnetResiduals residuals;
    cr_assert_eq(controlnet_forward(control, z, 1, context, condition, 0.75, &residuals), 0, "%s",
                 error_message());
    Tensor *v = unet_forward(unet, z, 1, context, &residuals);
    finish(&run, &control->params, output(&run, "v", v, NULL));
    unet_free(unet);
    controlnet_free(control);
}

Test(reference, miniature_branch_through_a_frozen_unet) {
    controlnet_agrees("controlnet_miniature", 2, 6, 9, F64, F64_LIMIT);
    controlnet_agrees("controlnet_miniature", 2, 6, 9, F32, F32_LIMIT);
}

Test(reference, branch_built_like_sd2_through_a_frozen_unet) {
    controlnet_agrees("controlnet_sd2", 1, 12, 11, F64, F64_LIMIT);
    controlnet_agrees("controlnet_sd2", 1, 12, 11, F32, F32_LIMIT);
}

static void text_encoder_agrees(const char *name, Dtype dtype, double limit) {
    enum { TEXTS = 2, TOKENS = 7 };
    char config_file[128];
    snprintf(config_file, sizeof config_file, "%s.json", name);
    Case run = begin(name, dtype, limit);
    TextConfig config;
    cr_assert_eq(text_config_read(&config, fixture(config_file)), 0, "%s", error_message());
    TextEncoder *encoder = text_encoder_new(&config, dtype);
    cr_assert_not_null(encoder, "%s", error_message());
    start(&encoder->params);
    params_train(&encoder->params, "");
    int32_t ids[TEXTS * TOKENS];
    for (int i = 0; i < TEXTS * TOKENS; i++) {
        const int n = i < TOKENS ? i : 11 + i - TOKENS;
        ids[i] = n * n * 7 % 50;
    }
    Tensor *tokens = tensor_new(SHAPE(I32, TEXTS, TOKENS));
    cr_assert_eq(tensor_write(tokens, ids), 0);
    Tensor *hidden = text_encoder_forward(encoder, tokens);
    finish(&run, &encoder->params, output(&run, "hidden", hidden, NULL));
    tensor_free(tokens);
    text_encoder_free(encoder);
}

Test(reference, text_encoder_with_exact_gelu) {
    text_encoder_agrees("text_gelu", F64, 1e-10);
    text_encoder_agrees("text_gelu", F32, F32_LIMIT);
}

Test(reference, text_encoder_with_quick_gelu) {
    text_encoder_agrees("text_quick_gelu", F64, 1e-10);
    text_encoder_agrees("text_quick_gelu", F32, F32_LIMIT);
}
