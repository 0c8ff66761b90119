// SPDX-License-Identifier: MIT
// What a task makes of one batch: targets and weights, and that a failure is never passed over.
#include "tests/train_runs.h"

#include "autograd/tape.h"
#include "train/task.h"

#include <math.h>

TestSuite(task, .init = begin, .fini = end, .timeout = 120);

enum { SIDE = 16 };

typedef struct {
    TrainConfig config;
    Batch *host;
    DeviceBatch batch;
    TaskContext context;
} Bench;

// A batch of one small image without labels, and a random model.
static void bench_begin(Bench *bench, const char *const *settings) {
    *bench = (Bench){0};
    configure(&bench->config, "run", settings);
    ModelOptions options = task_model_options(&bench->config);
    bench->host = batch_new(1, SIDE, SIDE);
    cr_assert_not_null(bench->host);
    cr_assert_eq(device_batch_begin(&bench->batch, bench->host), 0, "%s", error_message());
    bench->context =
        (TaskContext){.config = &bench->config, .model = model_init("miniature", &options)};
    cr_assert_not_null(bench->context.model, "%s", error_message());
}

static void bench_end(Bench *bench) {
    tape_reset();
    device_batch_done(&bench->batch);
    batch_free(bench->host);
    model_free(bench->context.model);
    config_free(&train_table, &bench->config);
}

static Tensor *loss_of_task(Bench *bench) {
    Tensor *shown = NONE, *prompt = NONE;
    return task_find(&bench->config)->loss(&bench->context, &bench->batch, &shown, &prompt);
}

// The decoder, which nothing but the picture asks, refuses.
Test(task, a_picture_that_fails_fails_the_loss) {
    const char *const gen2seg[] = {"train.first_steps=1", "train.sample_every=1", NULL};
    const char *const diffusion[] = {"task=diffusion", "train.sample_every=1", NULL};
    const char *const *const settings[] = {gen2seg, diffusion};
    for (int i = 0; i < 2; i++) {
        Bench bench;
        bench_begin(&bench, settings[i]);
        Tensor *weight =
            params_find(&bench.context.model->vae->params, "decoder.conv_in.weight")->tensor;
        weight->shape[3]++;
        cr_expect_null(loss_of_task(&bench), "task %d", i);
        cr_expect(strstr(error_take(), "conv_in"));
        weight->shape[3]--;
        bench_end(&bench);
    }
}

Test(task, the_first_steps_do_not_learn_from_pixels_of_which_nothing_is_known) {
    const char *const more[] = {"train.first_steps=1", NULL};
    Bench bench;
    bench_begin(&bench, more);
    cr_assert_gt(tensor_item(loss_of_task(&bench)), 0);
    tape_reset();
    bench.host->no_background[0] = 1;
    cr_assert_eq(tensor_item(loss_of_task(&bench)), 0);
    bench_end(&bench);
}

static double mean_weight(const float *target) {
    double sum = 0;
    for (int i = 0; i < SIDE * SIDE; i++) sum += (double)target[3 * SIDE * SIDE + i];
    return sum / (SIDE * SIDE);
}

Test(task, an_empty_prompt_weighs_one_in_the_mean_however_images_are_balanced) {
    static const int balances[] = {BALANCE_HALVES, BALANCE_OBJECT, BALANCE_ROOT, BALANCE_PIXELS};
    Batch *batch = batch_new(1, SIDE, SIDE);
    int8_t object[SIDE * SIDE] = {-1, -1};
    for (int i = 0; i < 4; i++) {
        float *target = task_target(batch, object, balances[i]);
        cr_expect_float_eq(mean_weight(target), 1, 1e-6, "balance %d", balances[i]);
        free(target);
    }
    batch_free(batch);
}

// Sets a key; whether the model folder of such a run can be read again.
static bool is_read_back(const char *setting, bool *accepted) {
    TrainConfig config;
    PredictSettings settings;
    configure(&config, "run", NULL);
    *accepted = config_override(&train_table, &config, setting, "test") == 0;
    settings = task_predict_settings(&config);
    bool read = *accepted && predict_settings_write(&settings, folder) == 0 &&
                predict_settings_read(&settings, folder) == 0;
    config_free(&train_table, &config);
    error_take();
    return read;
}

Test(task, how_a_model_is_asked_has_the_bounds_that_reading_it_has) {
    static const struct {
        const char *setting;
        bool accepted;
    } bounds[] = {{"predict.resolution=65528", true},
                  {"predict.resolution=65529", false},
                  {"prompt.sigma=1e-6", true},
                  {"prompt.sigma=9e-7", false}};
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) {
        bool accepted, read = is_read_back(bounds[i].setting, &accepted);
        cr_expect_eq(accepted, bounds[i].accepted, "%s", bounds[i].setting);
        cr_expect_eq(read, bounds[i].accepted, "%s", bounds[i].setting);
    }
}
