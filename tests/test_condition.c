// SPDX-License-Identifier: MIT
// What the branch is shown of a prompt: the encodings, and that training and prediction agree.
#include "eval/condition.h"

#include "autograd/tape.h"
#include "cli/command.h"
#include "eval/gaussian_query.h"
#include "eval/predictor.h"
#include "eval/similarity.h"
#include "tests/train_runs.h"
#include "train/task.h"

#include <math.h>

TestSuite(condition, .init = begin, .fini = end);

enum { SIDE = 32, PIXELS = SIDE * SIDE };

static const PromptMapSize one_channel = {SIDE, SIDE, SIDE, SIDE, 1};
static const PromptMapSize two_channels = {SIDE, SIDE, SIDE, SIDE, 2};

static Image pattern(void) {
    Image image;
    cr_assert_eq(image_new(&image, SIDE, SIDE, 3), 0);
    for (int i = 0; i < 3 * PIXELS; i++)
        image.pixels[i] = (uint8_t)((i * 37 + i / 96 * 11 + i / 512 * 90) % 256);
    return image;
}

Test(condition, confidence_is_one_at_the_query_and_half_at_32_levels) {
    uint8_t pixels[] = {100, 50, 20, 132, 50, 20, 100, 50, 116};
    const Image features = {.width = 3, .height = 1, .channels = 3, .pixels = pixels};
    float confidence[3];
    similarity_confidence(&features, (double[]){100, 50, 20}, confidence);
    cr_assert_float_eq(confidence[0], 1, 1e-6);
    cr_assert_float_eq(confidence[1], 0.5, 1e-6);
    cr_assert_float_eq(confidence[2], 0.25, 1e-6);
}

Test(condition, both_is_the_two_others_side_by_side) {
    const PromptPoint points[] = {{3, 4}, {20, 9}};
    Image features = pattern();
    float gaussian[PIXELS] = {0}, similarity[PIXELS] = {0}, both[2 * PIXELS] = {0};
    cr_assert_eq(
        condition_write(CONDITION_GAUSSIAN, &one_channel, points, 2, 0.05, NULL, 0, gaussian), 0,
        "%s", error_message());
    cr_assert_eq(condition_write(CONDITION_SIMILARITY, &one_channel, points, 2, 0.05, &features, 0,
                                 similarity),
                 0, "%s", error_message());
    cr_assert_eq(
        condition_write(CONDITION_BOTH, &two_channels, points, 2, 0.05, &features, 0, both), 0,
        "%s", error_message());
    for (int i = 0; i < PIXELS; i++) {
        cr_assert_eq(both[2 * i], gaussian[i]);
        cr_assert_eq(both[2 * i + 1], similarity[i]);
    }
    cr_assert_float_eq(gaussian[4 * SIDE + 3], 1, 1e-6);
    image_free(&features);
}

Test(condition, what_does_not_fit_is_refused) {
    const PromptPoint point = {3, 4}, outside = {40, 4};
    Image features = pattern();
    Image narrow = {.width = SIDE - 1, .height = SIDE, .channels = 3, .pixels = features.pixels};
    float map[2 * PIXELS] = {0};
    cr_assert_eq(
        condition_write(CONDITION_SIMILARITY, &one_channel, &point, 1, 0.05, &narrow, 0, map), -1);
    cr_assert_not_null(strstr(error_take(), "31x32"));
    cr_assert_eq(
        condition_write(CONDITION_SIMILARITY, &one_channel, &outside, 1, 0.05, &features, 0, map),
        -1);
    error_take();
    cr_assert_eq(condition_write(CONDITION_BOTH, &two_channels, &point, 1, 0.05, &features, 1, map),
                 -1);
    error_take();
    image_free(&features);
}

// ---- training and prediction --------------------------------------------------------------------

// An image of the batch, as bytes and as the network's input.
static void fill(Batch *batch, Image *image) {
    *image = pattern();
    for (int i = 0; i < 3 * PIXELS; i++)
        batch->image[i] = (float)image->pixels[i] / 255.0f * 2.0f - 1.0f;
    for (int i = 0; i < PIXELS; i++) batch->labels[i] = i % SIDE < SIDE / 2 ? 1 : 2;
    batch->instances[0] = 2;
}

// Where the Gaussian, channel 0 of 2, has its greatest value.
static PromptPoint peak(const float *map) {
    int best = 0;
    for (int i = 0; i < PIXELS; i++)
        if (map[2 * i] > map[2 * best]) best = i;
    return (PromptPoint){best % SIDE, best / SIDE};
}

// On trained weights: the picture that random ones paint hardly depends on anything.
static void expect_agreement(const char *normalise, const char *x0) {
    const char *const more[] = {"task=prompt2seg",
                                "prompt.encoding=both",
                                "random_branch=true",
                                "predict.resolution=32",
                                normalise,
                                x0,
                                NULL};
    TrainConfig config;
    configure(&config, "run", more);
    ModelOptions options = task_model_options(&config);
    Model *model = model_open(P2S_FIXTURES "/../../models/miniature", &options);
    cr_assert_not_null(model, "%s", error_message());
    TaskContext context = {.config = &config, .model = model};
    cr_assert_eq(task_prompt2seg.prepare(&context, START_RANDOM), 0, "%s", error_message());
    cr_assert_eq(model->control->config.condition_channels, 2);
    Batch *batch = batch_new(1, SIDE, SIDE);
    DeviceBatch device;
    Image image, features;
    fill(batch, &image);
    cr_assert_eq(device_batch_begin(&device, batch), 0);
    Tensor *shown = NONE, *prompt = NONE;
    cr_assert_not_null(task_prompt2seg.loss(&context, &device, &shown, &prompt), "%s",
                       error_message());
    float map[2 * PIXELS], expected[2 * PIXELS] = {0};
    cr_assert_eq(tensor_read_float(prompt, map), 0);
    tape_reset();

    const PredictSettings settings = task_predict_settings(&config);
    Predictor *predictor = predictor_open(model, &settings);
    const PromptPoint point = peak(map);
    cr_assert_eq(predictor_features(predictor, &image, &features), 0, "%s", error_message());
    cr_assert_eq(condition_write(CONDITION_BOTH, &two_channels, &point, 1, config.prompt_sigma,
                                 &features, 0, expected),
                 0, "%s", error_message());
    for (int i = 0; i < 2 * PIXELS; i++)
        cr_assert_float_eq(map[i], expected[i], 1e-6, "%d: %g, expected %g", i, (double)map[i],
                           (double)expected[i]);
    predictor_close(predictor);
    image_free(&image);
    image_free(&features);
    device_batch_done(&device);
    batch_free(batch);
    model_free(model);
    config_free(&train_table, &config);
}

Test(condition, training_shows_the_branch_what_prediction_will) {
    expect_agreement("train.normalise=affine", "predict.x0=zero");
    expect_agreement("train.normalise=batch", "predict.x0=image");
}

Test(condition, similarity_is_trained_from_a_frozen_unet_only) {
    const char *const more[] = {"task=prompt2seg", "prompt.encoding=similarity",
                                "prompt.train_unet=true", NULL};
    refuse("run", more, "prompt.train_unet");
}

Test(condition, a_model_is_made_with_the_channels_that_its_config_shows) {
    static const char text[] = "model: miniature\ntask: prompt2seg\nprompt: {encoding: both}\n";
    char config[128], out[128];
    snprintf(config, sizeof config, "%s/both.yaml", folder);
    snprintf(out, sizeof out, "%s/both", folder);
    cr_assert_eq(file_write(config, text, strlen(text)), 0);
    char *argv[] = {"init", config, "--out", out};
    cr_assert_eq(cmd_init(4, argv), EXIT_OK);
    PredictSettings settings;
    cr_assert_eq(predict_settings_read(&settings, out), 0, "%s", error_message());
    cr_expect_eq(settings.encoding, CONDITION_BOTH);
    Model *model = model_open(out, &(ModelOptions){.dtype = F32});
    cr_assert_not_null(model, "%s", error_message());
    cr_expect_eq(model->control->config.condition_channels, 2);
    model_free(model);
}
