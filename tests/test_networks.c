// SPDX-License-Identifier: MIT
// The published networks by name, shape and count, and what every small one must do. Numbers are
// compared with diffusers in test_reference.c.
#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "nn/controlnet.h"
#include "nn/text_encoder.h"
#include "nn/unet.h"
#include "nn/vae.h"
#include "nn/weights.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void use_cpu(void) {
    backend_use(cpu_backend());
}

TestSuite(networks, .init = use_cpu);

// ---- full size, without memory ------------------------------------------------------------------

static int by_text(const void *a, const void *b) {
    return strcmp(*(char *const *)a, *(char *const *)b);
}

// FNV-1a of the sorted lines "name side,side\n", as scripts/make_fixtures.py makes it.
static uint64_t fingerprint(const ParamSet *set) {
    char **lines = malloc(set->count * sizeof *lines);
    for (size_t i = 0; i < set->count; i++) {
        const Param *param = &set->items[i];
        lines[i] = malloc(512);
        int used = snprintf(lines[i], 512, "%s ", param->name);
        for (int d = 0; d < param->file_ndim; d++)
            used += snprintf(lines[i] + used, 512 - (size_t)used, "%s%lld", d ? "," : "",
                             (long long)param->file_shape[d]);
        snprintf(lines[i] + used, 512 - (size_t)used, "\n");
    }
    qsort(lines, set->count, sizeof *lines, by_text);
    uint64_t value = 14695981039346656037u;
    for (size_t i = 0; i < set->count; i++) {
        for (const char *c = lines[i]; *c; c++)
            value = (value ^ (unsigned char)*c) * 1099511628211u;
        free(lines[i]);
    }
    free(lines);
    return value;
}

static void is_published(const char *name, const ParamSet *set, size_t tensors,
                         int64_t parameters) {
    json_t *root = json_load_file(P2S_FIXTURES "/full_size.json", 0, NULL);
    json_t *published = json_object_get(root, name);
    cr_assert_not_null(published);
    cr_assert_eq(set->count, tensors, "%s has %zu tensors", name, set->count);
    cr_assert_eq(params_elements(set), parameters, "%s has %lld parameters", name,
                 (long long)params_elements(set));
    char text[32];
    snprintf(text, sizeof text, "%016llx", (unsigned long long)fingerprint(set));
    cr_assert_str_eq(text, json_string_value(json_object_get(published, "names")));
    json_decref(root);
}

static void unet_is_published(const char *config, const char *name, int64_t parameters) {
    Unet *unet = unet_new(unet_config_named(config), F32);
    cr_assert_not_null(unet, "%s", error_message());
    is_published(name, &unet->params, 686, parameters);
    unet_free(unet);
}

Test(networks, sd2_unet_has_the_published_names_and_shapes) {
    unet_is_published("sd2", "unet sd2", 865910724);
}

static void text_is_published(const char *config, const char *name, size_t tensors,
                              int64_t parameters) {
    TextEncoder *encoder = text_encoder_new(text_config_named(config), F32);
    cr_assert_not_null(encoder, "%s", error_message());
    is_published(name, &encoder->params, tensors, parameters);
    text_encoder_free(encoder);
}

Test(networks, text_encoders_have_the_published_names_and_shapes) {
    text_is_published("sd2", "text sd2", 372, 340387840);
    text_is_published("sd15", "text sd15", 196, 123060480);
}

Test(networks, sd15_unet_has_the_published_names_and_shapes) {
    unet_is_published("sd15", "unet sd15", 859520964);
}

Test(networks, auto_encoder_has_the_published_names_and_shapes) {
    Vae *vae = vae_new(vae_config_named("sd2"), F32);
    cr_assert_not_null(vae, "%s", error_message());
    is_published("vae sd2", &vae->params, 248, 83653863);
    vae_free(vae);
}

// At the largest level: the input of 256 channels, its norm, and the convolution's 128.
Test(networks, decoding_holds_no_map_that_is_no_longer_needed) {
    const Backend *before = backend_current(), *plan = plan_backend();
    backend_use(plan);
    Vae *vae = vae_new(vae_config_named("sd2"), F32);
    cr_assert_eq(params_materialize(&vae->params), 0, "%s", error_message());
    Tensor *z = tensor_new(SHAPE(F32, 1, 60, 80, 4));
    const size_t weights = plan->stats().live, map = (size_t)480 * 640 * 128 * sizeof(float);
    plan->reset_stats();
    cr_expect_not_null(vae_decode(vae, z), "%s", error_message());
    const size_t peak = plan->stats().peak - weights;
    cr_expect_lt(peak, 5 * map + map / 8, "%.2f maps", (double)peak / (double)map);
    tape_reset();
    tensor_free(z);
    vae_free(vae);
    backend_use(before);
}

static ControlNet *miniature_branch(void) {
    const ControlNetConfig config = controlnet_config_beside(unet_config_named("miniature"), 3, 1);
    return controlnet_new(&config, F32);
}

Test(networks, branch_has_the_published_names_and_shapes) {
    ControlNetConfig config = controlnet_config_beside(unet_config_named("sd2"), 4, 1);
    ControlNet *control = controlnet_new(&config, F32);
    cr_assert_not_null(control, "%s", error_message());
    is_published("controlnet sd2 1", &control->params, 340, 364227952);
    controlnet_free(control);
    config.condition_channels = 3;
    control = controlnet_new(&config, F32);
    is_published("controlnet sd2 3", &control->params, 340, 364228240);
    controlnet_free(control);
}

Test(networks, miniature_has_the_stated_sizes) {
    Unet *unet = unet_new(unet_config_named("miniature"), F32);
    Vae *vae = vae_new(vae_config_named("miniature"), F32);
    ControlNet *control = miniature_branch();
    cr_assert_eq(params_elements(&unet->params), 1946644);
    cr_assert_eq(params_elements(&vae->params), 428871);
    cr_assert_eq(params_elements(&control->params), 957664);
    unet_free(unet);
    vae_free(vae);
    controlnet_free(control);
}

// ---- running ------------------------------------------------------------------------------------

static Tensor *filled(double phase, int ndim, const int64_t *shape) {
    Tensor *x = tape_result(F32, ndim, shape);
    int64_t count = tensor_numel(x);
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++) values[i] = (float)sin((double)i * 0.7 + phase);
    cr_assert_eq(tensor_write_float(x, values), 0);
    free(values);
    return x;
}

static float *values_of(const Tensor *x) {
    cr_assert_not_null(x, "%s", error_message());
    float *values = malloc(tensor_bytes(x) + 1);
    cr_assert_eq(tensor_read_float(x, values), 0, "%s", error_message());
    return values;
}

static void is_finite(const Tensor *x) {
    float *values = values_of(x);
    for (int64_t i = 0; i < tensor_numel(x); i++)
        cr_assert(isfinite(values[i]), "%s is not finite", x->name);
    free(values);
}

static void same_bits(const Tensor *x, const float *expected) {
    float *values = values_of(x);
    cr_assert_eq(memcmp(values, expected, tensor_bytes(x)), 0);
    free(values);
}

static Unet *miniature_unet(void) {
    Unet *unet = unet_new(unet_config_named("miniature"), F32);
    cr_assert_not_null(unet, "%s", error_message());
    cr_assert_eq(params_init(&unet->params, 1), 0, "%s", error_message());
    return unet;
}

static void gradients_reach_all(const ParamSet *set) {
    for (size_t i = 0; i < set->count; i++) {
        const Tensor *tensor = set->items[i].tensor;
        cr_assert(tensor->has_grad, "no gradient reaches %s", tensor->name);
        is_finite(tensor->grad);
    }
}

static void unet_trains_at(int64_t height, int64_t width) {
    Unet *unet = miniature_unet();
    params_train(&unet->params, "");
    tape_record(true);
    Tensor *v = unet_forward(unet, filled(0, DIMS(1, height, width, 4)), 999,
                             filled(1, DIMS(1, 2, 32)), NULL);
    cr_assert_not_null(v, "%s", error_message());
    cr_assert(v->shape[1] == height && v->shape[2] == width && v->shape[3] == 4);
    Tensor *gradient = filled(2, v->ndim, v->shape);
    cr_assert_eq(tape_backward_from(v, gradient), 0, "%s", error_message());
    gradients_reach_all(&unet->params);
    tape_reset();
    unet_free(unet);
}

Test(networks, unet_trains_at_odd_latent_sizes) {
    unet_trains_at(16, 25);
    unet_trains_at(23, 64);
    unet_trains_at(12, 23);
    unet_trains_at(1, 1);
}

Test(networks, nothing_is_recorded_or_kept_by_frozen_networks) {
    tape_record(true);
    Vae *vae = vae_new(vae_config_named("miniature"), F32);
    cr_assert_eq(params_init(&vae->params, 1), 0);
    Tensor *image = filled(0, DIMS(1, 64, 64, 3));
    size_t live = backend_current()->stats().live;
    Tensor *z = vae_encode_mean(vae, image);
    cr_assert_not_null(z, "%s", error_message());
    cr_assert_eq(tape_length(), 0);
    cr_assert_leq(backend_current()->stats().live, live + 16 * tensor_bytes(z));
    cr_assert(z->shape[1] == 16 && z->shape[2] == 16 && z->shape[3] == 4);
    tape_reset();
    vae_free(vae);
}

Test(networks, a_gradient_passes_a_frozen_decoder) {
    tape_record(true);
    Vae *vae = vae_new(vae_config_named("miniature"), F32);
    cr_assert_eq(params_init(&vae->params, 1), 0);
    Tensor *z = tensor_zeros(SHAPE(F32, 1, 5, 6, 4));
    z->needs_grad = true;
    Tensor *y = vae_decode(vae, z);
    cr_assert_not_null(y, "%s", error_message());
    cr_assert(y->shape[1] == 20 && y->shape[2] == 24 && y->shape[3] == 3);
    cr_assert_eq(tape_backward_from(y, filled(0, y->ndim, y->shape)), 0, "%s", error_message());
    cr_assert(z->has_grad);
    is_finite(z->grad);
    for (size_t i = 0; i < vae->params.count; i++)
        cr_assert_null(vae->params.items[i].tensor->grad);
    tape_reset();
    tensor_free(z);
    vae_free(vae);
}

typedef struct {
    Unet *unet;
    ControlNet *control;
} Pair;

static Pair started_pair(void) {
    Pair pair = {miniature_unet(), miniature_branch()};
    cr_assert_not_null(pair.control, "%s", error_message());
    cr_assert_eq(controlnet_start(pair.control, pair.unet, 2), 0, "%s", error_message());
    return pair;
}

static void free_pair(Pair pair) {
    unet_free(pair.unet);
    controlnet_free(pair.control);
}

Test(networks, a_fresh_branch_leaves_the_unet_bit_identical) {
    Pair pair = started_pair();
    Tensor *z = filled(0, DIMS(2, 9, 7, 4)), *context = filled(1, DIMS(1, 2, 32));
    float *alone = values_of(unet_forward(pair.unet, z, 999, context, NULL));
    UnetResiduals residuals;
    cr_assert_eq(controlnet_forward(pair.control, z, 999, context, filled(2, DIMS(2, 36, 28, 1)), 1,
                                    &residuals),
                 0, "%s", error_message());
    cr_assert_eq(residuals.count, unet_skip_count(&pair.unet->config));
    same_bits(unet_forward(pair.unet, z, 999, context, &residuals), alone);
    free(alone);
    tape_reset();
    free_pair(pair);
}

Test(networks, at_the_start_only_the_gates_of_the_branch_learn) {
    Pair pair = started_pair();
    params_train(&pair.control->params, "");
    tape_record(true);
    Tensor *z = filled(0, DIMS(1, 8, 8, 4)), *context = filled(1, DIMS(1, 2, 32));
    UnetResiduals residuals;
    cr_assert_eq(controlnet_forward(pair.control, z, 999, context, filled(2, DIMS(1, 32, 32, 1)), 1,
                                    &residuals),
                 0, "%s", error_message());
    Tensor *v = unet_forward(pair.unet, z, 999, context, &residuals);
    cr_assert_eq(tape_backward_from(v, filled(3, DIMS(1, 8, 8, 4))), 0, "%s", error_message());
    for (size_t i = 0; i < pair.control->params.count; i++) {
        const Tensor *tensor = pair.control->params.items[i].tensor;
        cr_assert(tensor->has_grad, "no gradient reaches %s", tensor->name);
        float *gradient = values_of(tensor->grad);
        double size = 0;
        for (int64_t k = 0; k < tensor_numel(tensor); k++) size += fabs((double)gradient[k]);
        free(gradient);
        bool gate =
            strstr(tensor->name, "controlnet_down") || strstr(tensor->name, "controlnet_mid");
        cr_assert_eq(size > 0, gate, "%s: gradient %g", tensor->name, size);
    }
    for (size_t i = 0; i < pair.unet->params.count; i++)
        cr_assert_null(pair.unet->params.items[i].tensor->grad);
    tape_reset();
    free_pair(pair);
}

Test(networks, held_features_decode_to_the_same_bits_after_a_reset) {
    Unet *unet = miniature_unet();
    Tensor *context = filled(1, DIMS(1, 2, 32));
    UnetFeatures features, held;
    cr_assert_eq(unet_encode(unet, filled(0, DIMS(1, 8, 8, 4)), 999, context, &features), 0, "%s",
                 error_message());
    float *first = values_of(unet_decode(unet, &features, 999, context, NULL));
    cr_assert_eq(unet_features_hold(&held, &features), 0);
    tape_reset();
    same_bits(unet_decode(unet, &held, 999, filled(1, DIMS(1, 2, 32)), NULL), first);
    free(first);
    tape_reset();
    unet_features_free(&held);
    unet_free(unet);
}

Test(networks, one_context_for_all_equals_the_same_for_each) {
    Unet *unet = miniature_unet();
    Tensor *z = filled(0, DIMS(2, 8, 8, 4)), *context = filled(1, DIMS(1, 3, 32));
    Tensor *both = op_concat(context, context, 0);
    float *a = values_of(unet_forward(unet, z, 999, context, NULL));
    float *b = values_of(unet_forward(unet, z, 999, both, NULL));
    for (int i = 0; i < 2 * 8 * 8 * 4; i++) cr_assert_float_eq(a[i], b[i], 1e-5);
    free(a);
    free(b);
    tape_reset();
    unet_free(unet);
}

Test(networks, a_wrong_shape_is_refused_by_name) {
    Pair pair = started_pair();
    Tensor *z = filled(0, DIMS(1, 8, 8, 4)), *context = filled(1, DIMS(1, 2, 32));
    cr_assert_null(unet_forward(pair.unet, filled(0, DIMS(1, 8, 8, 3)), 999, context, NULL));
    cr_assert_not_null(strstr(error_take(), "unet: latent is [1,8,8,3] f32"));
    cr_assert_null(unet_forward(pair.unet, z, 999, filled(1, DIMS(1, 2, 31)), NULL));
    cr_assert_not_null(strstr(error_take(), "unet: context is [1,2,31] f32"));
    UnetResiduals residuals;
    cr_assert_eq(controlnet_forward(pair.control, z, 999, context, filled(2, DIMS(1, 32, 31, 1)), 1,
                                    &residuals),
                 -1);
    cr_assert_not_null(strstr(error_take(), "controlnet: condition is [1,32,31,1]"));
    tape_reset();
    free_pair(pair);
}

// ---- files --------------------------------------------------------------------------------------

Test(networks, saved_and_loaded_weights_are_bit_identical) {
    char folder[] = "/tmp/p2s-nets-XXXXXX", path[128];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/unet.safetensors", folder);
    Unet *unet = miniature_unet(), *loaded = unet_new(unet_config_named("miniature"), F32);
    cr_assert_eq(weights_save(&unet->params, path), 0, "%s", error_message());
    cr_assert_eq(weights_load(&loaded->params, path), 0, "%s", error_message());
    for (size_t i = 0; i < unet->params.count; i++) {
        float *values = values_of(unet->params.items[i].tensor);
        same_bits(loaded->params.items[i].tensor, values);
        free(values);
    }
    unet_free(unet);
    unet_free(loaded);
    folder_remove(folder);
}

static void config_fails(const char *json, const char *words) {
    char path[] = "/tmp/p2s-config-XXXXXX";
    int handle = mkstemp(path);
    cr_assert_geq(handle, 0);
    cr_assert_eq(file_write(path, json, strlen(json)), 0);
    UnetConfig config;
    error_take();
    cr_assert_eq(unet_config_read(&config, path), -1, "accepted: %s", json);
    const char *message = error_take();
    cr_assert_not_null(strstr(message, words), "no \"%s\" in: %s", words, message);
    cr_assert_not_null(strstr(message, path));
    remove(path);
}

#define UNET_JSON(more)                                                                       \
    "{\"block_out_channels\":[32,64],\"down_block_types\":[\"DownBlock2D\",\"DownBlock2D\"]," \
    "\"up_block_types\":[\"UpBlock2D\",\"UpBlock2D\"]" more "}"

Test(networks, a_config_that_means_something_else_is_refused) {
    config_fails(UNET_JSON(",\"only_cross_attention\":true"), "only_cross_attention is true");
    config_fails(UNET_JSON(",\"act_fn\":\"gelu\""), "act_fn is \"gelu\"");
    config_fails(UNET_JSON(",\"freq_shift\":1"), "freq_shift is 1; only 0");
    config_fails(UNET_JSON(",\"tweak\":3"), "tweak is unknown");
    config_fails(UNET_JSON(",\"norm_num_groups\":5"), "not a multiple");
    config_fails(UNET_JSON(",\"attention_head_dim\":[8,7]"), "7 heads do not divide 64");
    config_fails(UNET_JSON(",\"attention_head_dim\":[8]"), "attention_head_dim has 1 entries");
    config_fails(UNET_JSON(",\"layers_per_block\":0"), "layers_per_block is 0");
    config_fails(UNET_JSON(",\"layers_per_block\":2.5"), "not an integer");
    config_fails("{\"block_out_channels\":[32],\"down_block_types\":[\"AttnDownBlock2D\"],"
                 "\"up_block_types\":[\"UpBlock2D\"]}",
                 "block type AttnDownBlock2D is not supported");
    config_fails("{}", "block_out_channels is missing");
    config_fails("{\"a\":1,\"a\":2}", "duplicate");
}

Test(networks, an_auto_encoder_without_levels_is_refused) {
    static const char *const texts[] = {
        "{\"down_block_types\":[],\"up_block_types\":[]}",
        "{\"block_out_channels\":null,\"down_block_types\":[],\"up_block_types\":[]}"};
    char path[] = "/tmp/p2s-config-XXXXXX";
    cr_assert_geq(mkstemp(path), 0);
    for (int i = 0; i < 2; i++) {
        VaeConfig config;
        cr_assert_eq(file_write(path, texts[i], strlen(texts[i])), 0);
        cr_expect_eq(vae_config_read(&config, path), -1, "accepted: %s", texts[i]);
        cr_expect(strstr(error_take(), "block_out_channels is missing"));
    }
    remove(path);
}

Test(networks, a_written_config_reads_back) {
    char folder[] = "/tmp/p2s-config-XXXXXX", path[128];
    cr_assert_not_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/config.json", folder);
    static const char *const names[] = {"sd2", "sd15", "miniature"};
    for (int i = 0; i < 3; i++) {
        UnetConfig unet;
        cr_assert_eq(unet_config_write(unet_config_named(names[i]), path), 0);
        cr_assert_eq(unet_config_read(&unet, path), 0, "%s", error_message());
        size_t size, again_size;
        char *first = file_read(path, 1 << 16, &size);
        cr_assert_eq(unet_config_write(&unet, path), 0);
        char *again = file_read(path, 1 << 16, &again_size);
        cr_assert(size == again_size && memcmp(first, again, size) == 0, "%s", names[i]);
        cr_assert_eq(unet.layers, unet_config_named(names[i])->layers);
        free(first);
        free(again);
        VaeConfig vae;
        cr_assert_eq(vae_config_write(vae_config_named(names[i]), path), 0);
        cr_assert_eq(vae_config_read(&vae, path), 0, "%s", error_message());
        cr_assert_eq(vae.levels, vae_config_named(names[i])->levels);
        cr_assert_eq(vae.channels[2], vae_config_named(names[i])->channels[2]);
        cr_assert_eq(vae.scaling_factor, 0.18215);
        ControlNetConfig control;
        const ControlNetConfig branch =
            controlnet_config_beside(unet_config_named(names[i]), vae.levels, 1);
        cr_assert_eq(controlnet_config_write(&branch, path), 0);
        cr_assert_eq(controlnet_config_read(&control, path), 0, "%s", error_message());
        cr_assert_eq(control.condition_channels, 1);
        cr_assert_eq(control.widths, vae.levels);
        cr_assert_eq(
            memcmp(control.width, branch.width, (size_t)branch.widths * sizeof branch.width[0]), 0);
        cr_assert_eq(control.encoder.heads[1], unet_config_named(names[i])->heads[1]);
    }
    folder_remove(folder);
}
