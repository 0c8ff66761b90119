// SPDX-License-Identifier: MIT
// Model folders, the noise schedule, prompt maps.
#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "nn/model.h"
#include "nn/prompt_map.h"
#include "nn/safetensors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static void begin(void) {
    backend_use(cpu_backend());
    snprintf(folder, sizeof folder, "/tmp/p2s-model-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void end(void) {
    folder_remove(folder);
}

TestSuite(model, .init = begin, .fini = end);

static const char *inside(const char *name) {
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static void message_has(const char *words) {
    const char *message = error_take();
    cr_assert_not_null(strstr(message, words), "no \"%s\" in: %s", words, message);
}

// ---- schedule -----------------------------------------------------------------------------------

Test(model, the_schedule_has_the_published_floats) {
    Schedule schedule;
    schedule_make(&schedule, 0.00085, 0.012);
    cr_assert_float_eq(schedule.signal[999], 0.06826489f, 4e-9);
    cr_assert_float_eq(schedule.noise[999], 0.99766725f, 4e-8);
    cr_assert_float_eq(schedule.signal[0], 0.99957490f, 4e-8);
    cr_assert_float_eq(schedule.noise[0], 0.02915513f, 5e-9);
    cr_assert_float_eq(schedule.noise[1], 0.04127926f, 5e-9);
    cr_assert_float_eq(schedule.signal[499], 0.52694350f, 4e-8);
    cr_assert_float_eq(schedule.noise[499], 0.84990031f, 4e-8);
}

static void schedule_fails(const char *json, const char *words) {
    Schedule schedule;
    cr_assert_eq(file_write(inside("s.json"), json, strlen(json)), 0);
    cr_assert_eq(schedule_read(&schedule, inside("s.json")), -1, "accepted: %s", json);
    message_has(words);
}

#define SCHEDULE_JSON(rest) "{\"beta_schedule\":\"scaled_linear\"," rest "}"

Test(model, a_schedule_of_another_kind_is_refused) {
    schedule_fails(SCHEDULE_JSON("\"prediction_type\":\"epsilon\""), "prediction_type is epsilon");
    schedule_fails("{\"beta_schedule\":\"scaled_linear\"}",
                   "prediction_type is epsilon when missing");
    schedule_fails("{\"prediction_type\":\"v_prediction\"}",
                   "beta_schedule is linear when missing");
    schedule_fails(SCHEDULE_JSON("\"prediction_type\":\"v_prediction\""), "clip_sample");
    schedule_fails(SCHEDULE_JSON("\"prediction_type\":\"v_prediction\",\"clip_sample\":false,"
                                 "\"rescale_betas_zero_snr\":true"),
                   "rescale_betas_zero_snr");
    schedule_fails(SCHEDULE_JSON("\"prediction_type\":\"v_prediction\",\"clip_sample\":false,"
                                 "\"num_train_timesteps\":500"),
                   "num_train_timesteps is 500");
}

// ---- folders ------------------------------------------------------------------------------------

static void same_parameters(const ParamSet *a, const ParamSet *b) {
    cr_assert_eq(a->count, b->count);
    for (size_t i = 0; i < a->count; i++) {
        size_t bytes = tensor_bytes(a->items[i].tensor);
        void *x = malloc(bytes), *y = malloc(bytes);
        cr_assert_eq(tensor_read(a->items[i].tensor, x), 0);
        cr_assert_eq(tensor_read(b->items[i].tensor, y), 0);
        cr_assert_eq(memcmp(x, y, bytes), 0, "%s", a->items[i].name);
        free(x);
        free(y);
    }
}

// Every value to 11 significant bits, or to the spacing of F16's subnormals.
static void rounded_parameters(const ParamSet *exact, const ParamSet *half) {
    int64_t changed = 0;
    cr_assert_eq(exact->count, half->count);
    for (size_t i = 0; i < exact->count; i++) {
        const int64_t count = tensor_numel(exact->items[i].tensor);
        float *x = malloc((size_t)count * sizeof *x), *y = malloc((size_t)count * sizeof *y);
        cr_assert_eq(tensor_read_float(exact->items[i].tensor, x), 0);
        cr_assert_eq(tensor_read_float(half->items[i].tensor, y), 0);
        for (int64_t k = 0; k < count; k++) {
            const double limit = fmax(fabs((double)x[k]) * 0x1p-11, 0x1p-25);
            cr_assert_leq(fabs((double)x[k] - (double)y[k]), limit, "%s", exact->items[i].name);
            changed += x[k] != y[k];
        }
        free(x);
        free(y);
    }
    cr_assert_gt(changed, 0);
}

Test(model, a_half_model_opens_with_its_weights_rounded) {
    Model *model = model_init("miniature", &(ModelOptions){.seed = 4});
    cr_assert_not_null(model, "%s", error_message());
    cr_assert_eq(model_add_branch(model, 1, 5), 0, "%s", error_message());
    cr_assert_eq(model_save(model, inside("whole"), NULL), 0, "%s", error_message());
    const int64_t whole = file_size(inside("whole/unet/diffusion_pytorch_model.safetensors"));
    cr_assert_eq(model_save_half(model, inside("half")), 0, "%s", error_message());
    const int64_t half = file_size(inside("half/unet/diffusion_pytorch_model.safetensors"));
    cr_assert_lt(half, whole * 6 / 10);
    Model *opened = model_open(inside("half"), &(ModelOptions){.train_branch = true});
    cr_assert_not_null(opened, "%s", error_message());
    rounded_parameters(&model->unet->params, &opened->unet->params);
    rounded_parameters(&model->vae->params, &opened->vae->params);
    rounded_parameters(&model->control->params, &opened->control->params);
    model_free(model);
    model_free(opened);
}

Test(model, a_saved_model_opens_with_the_same_bits) {
    ModelOptions options = {.seed = 4};
    Model *model = model_init("miniature", &options);
    cr_assert_not_null(model, "%s", error_message());
    cr_assert_eq(model_add_branch(model, 1, 5), 0, "%s", error_message());
    cr_assert_eq(params_elements(&model->control->params), 957664);
    cr_assert_eq(model_save(model, inside("m"), NULL), 0, "%s", error_message());
    Model *opened = model_open(inside("m"), &(ModelOptions){.train_branch = true});
    cr_assert_not_null(opened, "%s", error_message());
    same_parameters(&model->unet->params, &opened->unet->params);
    same_parameters(&model->vae->params, &opened->vae->params);
    same_parameters(&model->control->params, &opened->control->params);
    cr_assert_eq(params_trained_elements(&opened->unet->params), 0);
    cr_assert_eq(params_trained_elements(&opened->control->params), 957664);
    float a[64], b[64];
    cr_assert_eq(tensor_read_float(model->infer_context, a), 0);
    cr_assert_eq(tensor_read_float(opened->infer_context, b), 0);
    cr_assert_eq(memcmp(a, b, sizeof a), 0);
    cr_assert_neq(memcmp(a, a + 32, 32 * sizeof *a), 0, "the rows of the empty prompt are equal");
    cr_assert_eq(memcmp(&model->schedule, &opened->schedule, sizeof model->schedule), 0);
    model_free(opened);
    opened = model_open(inside("m"), &(ModelOptions){.without_branch = true});
    cr_assert_not_null(opened, "%s", error_message());
    cr_assert_null(opened->control);
    model_free(opened);
    model_free(model);
}

Test(model, missing_weights_are_an_error_unless_random_ones_are_asked_for) {
    Model *model = model_init("miniature", &(ModelOptions){.seed = 4});
    cr_assert_eq(model_save(model, inside("m"), NULL), 0, "%s", error_message());
    cr_assert_eq(remove(inside("m/vae/diffusion_pytorch_model.safetensors")), 0);
    cr_assert_null(model_open(inside("m"), &(ModelOptions){0}));
    message_has("vae/diffusion_pytorch_model.safetensors is missing");
    Model *opened = model_open(inside("m"), &(ModelOptions){.random_seed = true, .seed = 4});
    cr_assert_not_null(opened, "%s", error_message());
    same_parameters(&model->vae->params, &opened->vae->params);
    model_free(opened);
    cr_assert_eq(remove(inside("m/unet/config.json")), 0);
    cr_assert_null(model_open(inside("m"), &(ModelOptions){.random_seed = true}));
    message_has("unet/config.json");
    cr_assert_null(model_open(inside("nothing"), &(ModelOptions){0}));
    message_has("no such model folder");
    model_free(model);
}

Test(model, a_missing_or_misshapen_empty_prompt_is_an_error) {
    Model *model = model_init("miniature", &(ModelOptions){.seed = 4});
    cr_assert_eq(model_save(model, inside("m"), NULL), 0, "%s", error_message());
    model_free(model);
    cr_assert_eq(remove(inside("m/empty_prompt.safetensors")), 0);
    cr_assert_null(model_open(inside("m"), &(ModelOptions){0}));
    message_has("train [77,32] and infer [2,32]");
    float values[31] = {0};
    SafeEntry entry = {"train", SAFE_F32, 2, {1, 31}, values};
    cr_assert_eq(safetensors_write(inside("m/empty_prompt.safetensors"), &entry, 1, NULL, NULL), 0);
    cr_assert_null(model_open(inside("m"), &(ModelOptions){0}));
    message_has("train is missing or not [T,32]");
}

Test(model, the_clean_latent_has_both_published_forms) {
    Model *model = model_init("miniature", &(ModelOptions){.seed = 4});
    Tensor *v = tape_result(F32, DIMS(1, 1, 1, 1)), *z = tape_result(F32, DIMS(1, 1, 1, 1));
    cr_assert_eq(tensor_fill(v, -0.3), 0);
    cr_assert_eq(tensor_fill(z, 0.7), 0);
    cr_assert_float_eq(tensor_item(model_clean_training(model, v)), 0.29930018, 1e-7);
    cr_assert_float_eq(tensor_item(model_clean_inference(model, z, v)), 0.3470856, 1e-7);
    tape_reset();
    model_free(model);
}

Test(model, an_image_becomes_a_feature_image_from_end_to_end) {
    Model *model = model_init("miniature", &(ModelOptions){.seed = 4});
    Tensor *image = tape_result(F32, DIMS(1, 20, 28, 3));
    cr_assert_eq(tensor_fill(image, 0.25), 0);
    Tensor *z = vae_encode_mean(model->vae, image);
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->infer_context, NULL);
    Tensor *y = vae_decode(model->vae, model_clean_inference(model, z, v));
    cr_assert_not_null(y, "%s", error_message());
    cr_assert(y->shape[1] == 20 && y->shape[2] == 28 && y->shape[3] == 3);
    tape_reset();
    model_free(model);
}

// ---- prompt maps --------------------------------------------------------------------------------

Test(prompt_map, a_gaussian_is_measured_by_the_image_not_by_the_padding) {
    PromptMapSize size = {
        .height = 11, .width = 21, .padded_height = 16, .padded_width = 24, .channels = 2};
    float map[16 * 24 * 2];
    for (int i = 0; i < 16 * 24 * 2; i++) map[i] = 7;
    PromptPoint point = {.x = 4, .y = 3};
    cr_assert_eq(prompt_map_gaussian(&size, &point, 1, 0.1, 1, map), 0, "%s", error_message());
#define AT(row, column, channel) map[((row)*24 + (column)) * 2 + (channel)]
    cr_assert_eq(AT(3, 4, 1), 1.0f);
    cr_assert_float_eq(AT(3, 6, 1), exp(-0.5), 1e-7); // sigma is 2 columns
    cr_assert_float_eq(AT(4, 4, 1), exp(-0.5), 1e-7); // and 1 row
    cr_assert_float_eq(AT(4, 6, 1), exp(-1), 1e-7);
    cr_assert_eq(AT(3, 21, 1), 0.0f);
    cr_assert_eq(AT(11, 4, 1), 0.0f);
    cr_assert_eq(AT(3, 4, 0), 7.0f);
}

Test(prompt_map, several_points_take_the_larger_value) {
    PromptMapSize size = {5, 5, 5, 5, 1};
    float both[25], first[25], second[25];
    PromptPoint points[] = {{0, 0}, {4, 3}};
    cr_assert_eq(prompt_map_gaussian(&size, points, 2, 0.3, 0, both), 0);
    cr_assert_eq(prompt_map_gaussian(&size, &points[0], 1, 0.3, 0, first), 0);
    cr_assert_eq(prompt_map_gaussian(&size, &points[1], 1, 0.3, 0, second), 0);
    for (int i = 0; i < 25; i++) cr_assert_eq(both[i], fmaxf(first[i], second[i]));
}

Test(prompt_map, a_confidence_map_is_resized_and_clamped) {
    PromptMapSize size = {
        .height = 2, .width = 4, .padded_height = 3, .padded_width = 5, .channels = 1};
    float map[15];
    const float confidence[] = {0.0f, 1.0f};
    cr_assert_eq(prompt_map_confidence(&size, confidence, 1, 2, 0, map), 0, "%s", error_message());
    const float row[] = {0.0f, 0.25f, 0.75f, 1.0f, 0.0f};
    for (int i = 0; i < 5; i++) {
        cr_assert_eq(map[i], row[i]);
        cr_assert_eq(map[5 + i], row[i]);
        cr_assert_eq(map[10 + i], 0.0f);
    }
    const float wild[] = {-3.0f, NAN, 9.0f, 0.5f};
    cr_assert_eq(prompt_map_confidence(&size, wild, 1, 4, 0, map), 0);
    const float tame[] = {0.0f, 0.0f, 1.0f, 0.5f, 0.0f};
    for (int i = 0; i < 5; i++) cr_assert_eq(map[i], tame[i]);
}

Test(prompt_map, impossible_requests_are_refused) {
    PromptMapSize size = {4, 4, 4, 4, 1};
    float map[16];
    PromptPoint point = {1, 1}, nowhere = {NAN, 1};
    cr_assert_eq(prompt_map_gaussian(&size, &point, 1, 0.1, 1, map), -1);
    message_has("channel 1 of 1");
    cr_assert_eq(prompt_map_gaussian(&size, &point, 0, 0.1, 0, map), -1);
    message_has("no point");
    cr_assert_eq(prompt_map_gaussian(&size, &point, 1, 0, 0, map), -1);
    message_has("sigma is 0");
    cr_assert_eq(prompt_map_gaussian(&size, &nowhere, 1, 0.1, 0, map), -1);
    message_has("not finite");
    size.padded_width = 3;
    cr_assert_eq(prompt_map_gaussian(&size, &point, 1, 0.1, 0, map), -1);
    message_has("image of 4 x 4 in a map of 4 x 3");
}
