// SPDX-License-Identifier: MIT
// From image and points to the feature image, and how a model says it wants to be asked.
#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "eval/predictor.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static void begin(void) {
    backend_use(cpu_backend());
    snprintf(folder, sizeof folder, "/tmp/p2s-predictor-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void end(void) {
    folder_remove(folder);
}

TestSuite(predictor, .init = begin, .fini = end);

static void message_has(const char *words) {
    const char *message = error_take();
    cr_assert_not_null(strstr(message, words), "no \"%s\" in: %s", words, message);
}

static Model *new_model(bool branch) {
    const ModelOptions options = {.dtype = F32, .seed = 5};
    Model *model = model_init("miniature", &options);
    cr_assert_not_null(model, "%s", error_message());
    if (branch) cr_assert_eq(model_add_branch(model, 1, 6), 0);
    return model;
}

static Image new_image(int width, int height, uint64_t seed) {
    Image image;
    cr_assert_eq(image_new(&image, width, height, 3), 0);
    Rng rng = rng_stream(seed, "image", 0, 0);
    for (int i = 0; i < 3 * width * height; i++) image.pixels[i] = (uint8_t)rng_below(&rng, 256);
    return image;
}

static void expect_same(const Image *a, const Image *b) {
    cr_assert_eq(a->width, b->width);
    cr_assert_eq(a->height, b->height);
    cr_assert_eq(memcmp(a->pixels, b->pixels, 3 * (size_t)a->width * (size_t)a->height), 0);
}

static PredictSettings settings_of(PredictNormalise normalise, PredictX0 x0, int64_t resolution) {
    return (PredictSettings){normalise, x0, resolution, 0.02, CONDITION_GAUSSIAN};
}

// The pipeline written out, for an image that is neither resized nor padded.
static void write_out(Model *model, const Image *image, const PredictSettings *settings,
                      uint8_t *bytes) {
    const size_t count = 3 * (size_t)image->width * (size_t)image->height;
    float *values = malloc(count * sizeof *values);
    for (size_t i = 0; i < count; i++) values[i] = (float)image->pixels[i] / 255.0f * 2.0f - 1.0f;
    Tensor *input = tensor_new(SHAPE(F32, 1, image->height, image->width, 3));
    cr_assert_eq(tensor_write_float(input, values), 0);
    Tensor *z = vae_encode_mean(model->vae, input);
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->infer_context, NULL);
    Tensor *clean = op_affine(v, -0.99766725, 0);
    if (settings->x0 == PREDICT_X0_IMAGE) clean = op_add(clean, op_affine(z, 0.06826489, 0));
    Tensor *y = vae_decode(model->vae, clean);
    cr_assert_not_null(y, "%s", error_message());
    cr_assert_eq(tensor_read_float(y, values), 0);
    float low = values[0], high = values[0];
    for (size_t i = 0; i < count; i++) {
        low = values[i] < low ? values[i] : low;
        high = values[i] > high ? values[i] : high;
    }
    for (size_t i = 0; i < count; i++) {
        float value = settings->normalise == PREDICT_AFFINE
                          ? 127.5f * (values[i] + 1)
                          : 255 * (values[i] - low) / (high - low);
        bytes[i] = (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value);
    }
    tensor_free(input);
    tape_reset();
    free(values);
}

static void compare_with_pipeline(PredictNormalise normalise, PredictX0 x0) {
    Model *model = new_model(false);
    Image image = new_image(32, 24, 1), features = {0};
    const PredictSettings settings = settings_of(normalise, x0, 32);
    Predictor *predictor = predictor_open(model, &settings);
    cr_assert_eq(predictor_features(predictor, &image, &features), 0, "%s", error_message());
    uint8_t *expected = malloc(3 * 32 * 24);
    write_out(model, &image, &settings, expected);
    int apart = 0;
    for (int i = 0; i < 3 * 32 * 24; i++) {
        // The order of operations may differ in the last bit, at a step of the truncation.
        cr_assert_leq(abs(features.pixels[i] - expected[i]), 1);
        apart += features.pixels[i] != expected[i];
    }
    cr_assert_leq(apart, 8, "%d of %d values differ", apart, 3 * 32 * 24);
    free(expected);
    image_free(&image);
    image_free(&features);
    predictor_close(predictor);
    model_free(model);
}

Test(predictor, features_are_those_of_the_published_pipeline) {
    compare_with_pipeline(PREDICT_MINMAX, PREDICT_X0_IMAGE);
}

Test(predictor, features_of_a_model_trained_with_a_fixed_range_are_not_stretched) {
    compare_with_pipeline(PREDICT_AFFINE, PREDICT_X0_ZERO);
}

Test(predictor, any_size_gives_features_of_its_own_size) {
    static const int sizes[][2] = {{1, 1}, {7, 64}, {33, 21}, {90, 31}};
    Model *model = new_model(false);
    const PredictSettings settings = settings_of(PREDICT_MINMAX, PREDICT_X0_IMAGE, 32);
    Predictor *predictor = predictor_open(model, &settings);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        Image image = new_image(sizes[i][0], sizes[i][1], i), features = {0};
        cr_assert_eq(predictor_features(predictor, &image, &features), 0, "%s", error_message());
        cr_assert_eq(features.width, image.width);
        cr_assert_eq(features.height, image.height);
        cr_assert_eq(features.channels, 3);
        image_free(&image);
        image_free(&features);
    }
    predictor_close(predictor);
    model_free(model);
}

// The image with its last column and row repeated.
static Image new_padded(const Image *image, int width, int height) {
    Image padded = {0};
    cr_assert_eq(image_new(&padded, width, height, 3), 0);
    for (int y = 0; y < height; y++)
        for (int x = 0; x < width; x++) {
            const int from_x = x < image->width ? x : image->width - 1;
            const int from_y = y < image->height ? y : image->height - 1;
            memcpy(padded.pixels + 3 * (y * width + x),
                   image->pixels + 3 * (from_y * image->width + from_x), 3);
        }
    return padded;
}

Test(predictor, the_decoded_image_is_without_its_padding_and_has_its_fractions) {
    Model *model = new_model(false);
    Image image = new_image(30, 21, 3), padded = new_padded(&image, 32, 24), features = {0};
    const PredictSettings settings = settings_of(PREDICT_MINMAX, PREDICT_X0_IMAGE, 0);
    Predictor *predictor = predictor_open(model, &settings);
    int width, height, padded_width, padded_height, whole = 0;
    float *decoded = predictor_decoded(predictor, &image, &width, &height);
    cr_assert_not_null(decoded, "%s", error_message());
    cr_assert_eq(predictor_features(predictor, &image, &features), 0, "%s", error_message());
    float *outer = predictor_decoded(predictor, &padded, &padded_width, &padded_height);
    cr_assert_not_null(outer, "%s", error_message());
    cr_assert(width == 30 && height == 21 && padded_width == 32 && padded_height == 24);
    for (int i = 0; i < 3 * width * height; i++) {
        const int y = i / (3 * width), x = i % (3 * width);
        cr_assert_eq(decoded[i], outer[3 * padded_width * y + x], "value %d", i);
        cr_assert_eq(features.pixels[i], (uint8_t)decoded[i], "value %d", i);
        whole += decoded[i] == floorf(decoded[i]);
    }
    cr_assert_lt(whole, 20);
    free(decoded);
    free(outer);
    image_free(&image);
    image_free(&padded);
    image_free(&features);
    predictor_close(predictor);
    model_free(model);
}

Test(predictor, a_fresh_branch_changes_nothing) {
    Model *model = new_model(true);
    const PredictSettings settings = settings_of(PREDICT_MINMAX, PREDICT_X0_IMAGE, 32);
    Image image = new_image(30, 20, 2), plain = {0}, prompted = {0};
    const PixelPoint point = {29, 19};
    Predictor *predictor = predictor_open(model, &settings);
    cr_assert_eq(predictor_features(predictor, &image, &plain), 0);
    cr_assert_eq(predictor_branch_features(predictor, &image, &point, 1, &prompted), 0, "%s",
                 error_message());
    expect_same(&plain, &prompted);
    image_free(&image);
    image_free(&plain);
    image_free(&prompted);
    predictor_close(predictor);
    model_free(model);
}

// Opens the branch's gates, so that the prompt has an effect.
static void open_gates(Model *model) {
    Rng rng = rng_stream(9, "gates", 0, 0);
    for (size_t i = 0; i < model->control->params.count; i++) {
        const Param *param = &model->control->params.items[i];
        const int64_t count = tensor_numel(param->tensor);
        if (strncmp(param->name, "controlnet_", 11) != 0) continue;
        float *values = malloc((size_t)count * sizeof *values);
        for (int64_t k = 0; k < count; k++) values[k] = (float)rng_range(&rng, -0.5, 0.5);
        cr_assert_eq(tensor_write_float(param->tensor, values), 0);
        free(values);
    }
}

Test(predictor, what_is_kept_of_an_image_does_not_change_the_next_answer) {
    Model *model = new_model(true);
    open_gates(model);
    const PredictSettings settings = settings_of(PREDICT_AFFINE, PREDICT_X0_ZERO, 32);
    Image first = new_image(32, 32, 3), second = new_image(32, 32, 4), features[4] = {0};
    const PixelPoint here = {3, 4}, there = {28, 27};
    Predictor *kept = predictor_open(model, &settings);
    cr_assert_eq(predictor_branch_features(kept, &first, &here, 1, &features[0]), 0);
    cr_assert_eq(predictor_branch_features(kept, &second, &here, 1, &features[1]), 0);
    cr_assert_eq(predictor_branch_features(kept, &second, &there, 1, &features[2]), 0);
    predictor_close(kept);
    Predictor *fresh = predictor_open(model, &settings);
    cr_assert_eq(predictor_branch_features(fresh, &second, &there, 1, &features[3]), 0);
    predictor_close(fresh);
    expect_same(&features[2], &features[3]);
    cr_assert_neq(memcmp(features[1].pixels, features[2].pixels, 3 * 32 * 32), 0,
                  "the prompt has no effect");
    cr_assert_neq(memcmp(features[0].pixels, features[1].pixels, 3 * 32 * 32), 0,
                  "the image has no effect");
    for (int i = 0; i < 4; i++) image_free(&features[i]);
    image_free(&first);
    image_free(&second);
    model_free(model);
}

Test(predictor, what_cannot_be_asked_is_refused) {
    Model *model = new_model(false);
    Predictor *predictor = predictor_open(model, NULL);
    Image image = new_image(8, 8, 5), thin = new_image(800, 1, 5), grey, features = {0};
    const PixelPoint inside = {1, 1}, outside = {8, 1};
    cr_assert_eq(image_new(&grey, 8, 8, 1), 0);
    cr_assert_eq(predictor_branch_features(predictor, &image, &inside, 1, &features), -1);
    message_has("no prompt branch");
    cr_assert_eq(predictor_features(predictor, &thin, &features), -1);
    message_has("800x1");
    cr_assert_eq(predictor_features(predictor, &grey, &features), -1);
    message_has("channels");
    predictor_close(predictor);
    cr_assert_eq(model_add_branch(model, 1, 6), 0);
    predictor = predictor_open(model, NULL);
    cr_assert_eq(predictor_branch_features(predictor, &image, &outside, 1, &features), -1);
    message_has("outside");
    cr_assert_eq(predictor_branch_features(predictor, &image, &inside, 0, &features), -1);
    cr_assert_neq(*error_take(), '\0');
    predictor_close(predictor);
    image_free(&image);
    image_free(&thin);
    image_free(&grey);
    model_free(model);
}

// ---- p2s.json -----------------------------------------------------------------------------------

Test(predictor, settings_come_back_as_they_were_written) {
    PredictSettings written = settings_of(PREDICT_AFFINE, PREDICT_X0_ZERO, 64), read;
    written.encoding = CONDITION_BOTH;
    cr_assert_eq(predict_settings_write(&written, folder), 0, "%s", error_message());
    cr_assert_eq(predict_settings_read(&read, folder), 0, "%s", error_message());
    cr_assert_eq(read.normalise, PREDICT_AFFINE);
    cr_assert_eq(read.x0, PREDICT_X0_ZERO);
    cr_assert_eq(read.resolution, 64);
    cr_assert_eq(read.prompt_sigma, 0.02);
    cr_assert_eq(read.encoding, CONDITION_BOTH);
}

Test(predictor, a_folder_without_settings_is_asked_as_published) {
    PredictSettings read;
    cr_assert_eq(predict_settings_read(&read, folder), 0);
    cr_assert_eq(read.normalise, PREDICT_MINMAX);
    cr_assert_eq(read.x0, PREDICT_X0_IMAGE);
    cr_assert_eq(read.resolution, 768);
    cr_assert_eq(read.prompt_sigma, 0.01);
    cr_assert_eq(read.encoding, CONDITION_GAUSSIAN);
}

static void settings_fail(const char *json, const char *words) {
    char path[128];
    PredictSettings read;
    snprintf(path, sizeof path, "%s/p2s.json", folder);
    cr_assert_eq(file_write(path, json, strlen(json)), 0);
    cr_assert_eq(predict_settings_read(&read, folder), -1, "accepted: %s", json);
    cr_assert_not_null(strstr(error_message(), "p2s.json"), "%s", error_message());
    message_has(words);
}

Test(predictor, impossible_settings_are_refused_with_their_file) {
    settings_fail("{\"normalise\": \"min-max\"}", "\"minmax\" or \"affine\"");
    settings_fail("{\"x0\": 1}", "\"image\" or \"zero\"");
    settings_fail("{\"resolution\": -1}", "resolution");
    settings_fail("{\"prompt_sigma\": 0}", "prompt_sigma");
    settings_fail("{\"prompt_encoding\": \"points\"}", "\"gaussian\", \"similarity\" or \"both\"");
    settings_fail("{\"resolutions\": 64}", "resolutions");
    settings_fail("[1", "");
}
