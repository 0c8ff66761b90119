// SPDX-License-Identifier: MIT
// p2s bench step, unet and predict: whole networks on random weights, which time does not depend
// on. A step is what training does: it encodes the images too, nothing is cached, and a device that
// records steps replays it.
#include "cli/bench.h"

#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/clock.h"
#include "cli/machine.h"
#include "cpu/cpu.h"
#include "train/step.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const BenchOptions *options;
    TrainConfig config;
    const Task *task;
    TaskContext context;
    Model *model;
    Optimizer optimizer;
    Step step;
    Batch *host;
    DeviceBatch *batch; // the step's
    Tensor *latent;     // unet: zeros [N,h,w,4]
    int64_t batch_size, baseline_rss;
    int64_t steps, replays; // steps done, replays before them
} NetworkBench;

static int fill_config(NetworkBench *bench) {
    const BenchOptions *options = bench->options;
    TrainConfig *config = &bench->config;
    if (config_defaults(&train_table, config) != 0) return -1;
    config->task = strcmp(options->kind, "prompt2seg") == 0 ? TASK_PROMPT2SEG : TASK_GEN2SEG;
    config->batch = bench->batch_size;
    config->height = options->height;
    config->width = options->width;
    config->lr = 6e-5;
    config->precision = strcmp(options->type, "bf16") == 0   ? PRECISION_BF16
                        : strcmp(options->type, "tf32") == 0 ? PRECISION_TF32
                                                             : PRECISION_F32;
    bench->task = task_find(config);
    return 0;
}

// A step of the branch with the loss over all instances, which the peer computes as well: the
// training task's own reads a few regions only. Its condition is all zero.
static int branch_feed(const TaskContext *context, DeviceBatch *batch) {
    const int64_t *shape = batch->image->shape;
    batch->condition = tensor_zeros(SHAPE(F32, shape[0], shape[1], shape[2],
                                          context->model->control->config.condition_channels));
    return batch->condition ? 0 : -1;
}

static Tensor *branch_loss(TaskContext *context, const DeviceBatch *batch, Tensor **shown,
                           Tensor **prompt) {
    Model *model = context->model;
    UnetResiduals residuals;
    *shown = *prompt = NONE;
    Tensor *z = vae_encode_mean(model->vae, batch->image);
    if (controlnet_forward(model->control, z, MODEL_TIMESTEP, model->train_context,
                           batch->condition, 1, &residuals) != 0)
        return NULL;
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->train_context, &residuals);
    return op_coloring_loss(task_decode(context, v), batch->labels, batch->no_background, NONE,
                            coloring_options_default(COLORING_CODE));
}

static bool branch_repeats(const TaskContext *context) {
    (void)context;
    return true;
}

static const Task branch_task = {
    .name = "branch", .feed = branch_feed, .repeats = branch_repeats, .loss = branch_loss};

// Replaces the long empty prompt by `tokens` rows of zeros.
static int set_tokens(Model *model, int64_t tokens) {
    Tensor *context = tensor_zeros(SHAPE(F32, 1, tokens, model->unet->config.context_width));
    if (!context) return -1;
    tensor_free(model->train_context);
    model->train_context = context;
    return 0;
}

static int open_model(NetworkBench *bench, bool trains) {
    const BenchOptions *options = bench->options;
    ModelOptions how = task_model_options(&bench->config);
    how.random_seed = true;
    how.without_branch = bench->config.task == TASK_GEN2SEG;
    if (!trains) how.train_unet = how.train_vae = how.train_branch = false;
    bench->model = folder_exists(options->model) ? model_open(options->model, &how)
                                                 : model_init(options->model, &how);
    if (!bench->model || set_tokens(bench->model, options->tokens) != 0) return -1;
    bench->context = (TaskContext){.config = &bench->config, .model = bench->model};
    if (bench->task->prepare && bench->task->prepare(&bench->context, true) != 0) return -1;
    if (bench->model->control) bench->task = &branch_task;
    const int64_t multiple = model_image_multiple(bench->model);
    if (options->height % multiple == 0 && options->width % multiple == 0) return 0;
    return error_int("--size %s: both sides must be multiples of %lld", options->size,
                     (long long)multiple);
}

// ---- inputs -------------------------------------------------------------------------------------

static int make_batch(NetworkBench *bench) {
    const size_t n = (size_t)bench->batch_size;
    const int64_t height = bench->options->height, width = bench->options->width;
    const int64_t pixels = height * width, instances = bench->options->instances;
    Batch *host = bench->host = batch_new((int)n, (int)height, (int)width);
    if (!host) return -1;
    Rng rng = rng_stream(1, "bench image", 0, 0);
    for (size_t i = 0; i < 3 * n * (size_t)pixels; i++)
        host->image[i] = (float)rng_range(&rng, -1, 1);
    for (size_t b = 0; b < n; b++) {
        host->instances[b] = (int32_t)instances - 1;
        if (bench_voronoi(instances, height, width, b, host->labels + b * (size_t)pixels) != 0)
            return -1;
    }
    step_begin(&bench->step, bench->task, &bench->context, &bench->optimizer);
    bench->batch = step_batch(&bench->step, host);
    return bench->batch ? 0 : -1;
}

static int make_latent(NetworkBench *bench) {
    const int64_t factor = model_image_multiple(bench->model);
    bench->latent =
        tensor_zeros(SHAPE(F32, bench->batch_size, bench->options->height / factor,
                           bench->options->width / factor, bench->model->unet->config.in_channels));
    return bench->latent ? 0 : -1;
}

// ---- work ---------------------------------------------------------------------------------------

static double step(void *context) {
    NetworkBench *bench = context;
    Optimizer *optimizer = &bench->optimizer;
    const double start = clock_seconds();
    int result = optimizer_give(optimizer, bench->config.lr);
    if (result == 0) result = step_micro(&bench->step, bench->batch, 0, 1);
    if (result == 0) result = step_update(&bench->step);
    optimizer->step++;
    bench->steps++;
    if (result == 0) result = bench_wait(optimizer->found);
    return result == 0 ? clock_seconds() - start : -1;
}

static double unet(void *context) {
    NetworkBench *bench = context;
    Model *model = bench->model;
    const double start = clock_seconds();
    params_clear_grad(&model->unet->params);
    tape_record(true);
    Tensor *v =
        unet_forward(model->unet, bench->latent, MODEL_TIMESTEP, model->train_context, NULL);
    Tensor *loss = op_mean(op_square(v), REDUCE_ALL);
    int result = loss ? tape_backward(loss) : -1;
    if (result == 0) result = bench_wait(bench->latent);
    tape_record(false);
    tape_reset();
    return result == 0 ? clock_seconds() - start : -1;
}

static double predict(void *context) {
    NetworkBench *bench = context;
    Model *model = bench->model;
    UnetResiduals residuals;
    const double start = clock_seconds();
    Tensor *z = vae_encode_mean(model->vae, bench->batch->image), *y = NULL;
    int result = z ? 0 : -1;
    if (result == 0 && model->control)
        result = controlnet_forward(model->control, z, MODEL_TIMESTEP, model->train_context,
                                    bench->batch->condition, 1, &residuals);
    if (result == 0) {
        Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->train_context,
                                 model->control ? &residuals : NULL);
        y = vae_decode(model->vae, model_clean_training(model, v));
    }
    if (y && bench_wait(y) != 0) y = NULL;
    tape_reset();
    return y ? clock_seconds() - start : -1;
}

// ---- the cases ----------------------------------------------------------------------------------

// Weights, with the gradients of trained ones and two moments each where an optimizer is there.
static int64_t static_bytes(const NetworkBench *bench, bool trains) {
    const int copies = trains ? (bench->optimizer.count > 0 ? 3 : 1) : 0;
    ParamSet *sets[TASK_SETS];
    const int count = task_sets(bench->model, sets);
    int64_t elements = 0;
    for (int i = 0; i < count; i++)
        elements += params_elements(sets[i]) + copies * params_trained_elements(sets[i]);
    return elements * (int64_t)sizeof(float);
}

static int say(const NetworkBench *bench, const char *name, double seconds, bool trains) {
    const BenchOptions *options = bench->options;
    const BackendStats stats = backend_current()->stats();
    return bench_say(
        options,
        json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:s,s:i,s:f,s:I,s:I,s:I,s:I,s:I,s:I,s:I}", "case", name,
                  "kind", options->kind, "model", path_name(options->model), "size", options->size,
                  "batch", (json_int_t)bench->batch_size, "settings", options->device, "type",
                  options->type, "threads", cpu_threads(), "seconds", seconds, "peak_rss",
                  (json_int_t)machine_peak_rss(), "baseline_rss", (json_int_t)bench->baseline_rss,
                  "static_bytes", (json_int_t)static_bytes(bench, trains), "held_bytes",
                  (json_int_t)stats.held, "peak_bytes", (json_int_t)stats.peak, "steps",
                  (json_int_t)bench->steps, "replays",
                  (json_int_t)(stats.replays - bench->replays)));
}

static int open_bench(NetworkBench *bench, const BenchOptions *options, bool trains) {
    *bench = (NetworkBench){.options = options,
                            .batch_size = options->batch > 0 ? options->batch : 1,
                            .baseline_rss = machine_peak_rss()};
    return fill_config(bench) != 0 ? -1 : open_model(bench, trains);
}

static int begin(NetworkBench *bench, const BenchOptions *options, bool trains) {
    return open_bench(bench, options, trains) == 0 ? make_batch(bench) : -1;
}

static void drop_batch(NetworkBench *bench) {
    tape_reset();
    step_done(&bench->step);
    batch_free(bench->host);
    bench->host = NULL;
}

static int end(NetworkBench *bench, int result) {
    drop_batch(bench);
    tensor_free(bench->latent);
    optimizer_done(&bench->optimizer);
    model_free(bench->model);
    config_free(&train_table, &bench->config);
    return result;
}

static int time_and_say(NetworkBench *bench, const char *name, BenchWork work, bool trains) {
    const double spend = bench->options->seconds < 0 ? 4 : bench->options->seconds;
    const double seconds = bench_median(work, bench, spend, 2);
    return seconds < 0 ? -1 : say(bench, name, seconds, trains);
}

static int step_of_batch(NetworkBench *bench) {
    int result = make_batch(bench);
    // A device that records does so in the second step.
    for (int i = 0; result == 0 && step_is_late() && i < 2; i++) result = step(bench) < 0 ? -1 : 0;
    bench->steps = 0;
    bench->replays = backend_current()->stats().replays;
    return result == 0 ? time_and_say(bench, "step", step, true) : -1;
}

// What a batch has left on the device must not count as the next one's, or take its room.
static void forget_batch(NetworkBench *bench) {
    const Backend *backend = backend_current();
    drop_batch(bench);
    if (backend->trim) backend->trim();
    backend->reset_stats();
    machine_reset_peak_rss();
}

// A row that says why there is none: of several batches one that does not fit ends no other.
static int say_failed(const NetworkBench *bench) {
    const BenchOptions *options = bench->options;
    return bench_say(options, json_pack("{s:s,s:s,s:s,s:s,s:I,s:s,s:s}", "case", "step", "kind",
                                        options->kind, "model", path_name(options->model), "size",
                                        options->size, "batch", (json_int_t)bench->batch_size,
                                        "type", options->type, "failed", error_take()));
}

int bench_step(const BenchOptions *options) {
    NetworkBench bench;
    ParamSet *sets[TASK_SETS];
    const int count = options->batches.count > 0 ? options->batches.count : 1;
    int good = 0, result = open_bench(&bench, options, true);
    if (result == 0) result = optimizer_begin(&bench.optimizer, sets, task_sets(bench.model, sets));
    for (int i = 0; result == 0 && i < count; i++) {
        if (options->batches.count > 0) bench.batch_size = options->batches.items[i];
        const bool done = step_of_batch(&bench) == 0;
        good += done;
        if (!done) result = count > 1 ? say_failed(&bench) : -1;
        if (count > 1) forget_batch(&bench);
    }
    if (result == 0 && good == 0) result = error_int("no batch could be timed");
    return end(&bench, result);
}

int bench_step_once(const BenchOptions *options) {
    NetworkBench bench;
    ParamSet *sets[TASK_SETS];
    int result = begin(&bench, options, true);
    if (result == 0) result = optimizer_begin(&bench.optimizer, sets, task_sets(bench.model, sets));
    if (result == 0 && step(&bench) < 0) result = -1;
    return end(&bench, result);
}

int bench_unet(const BenchOptions *options) {
    NetworkBench bench;
    int result = begin(&bench, options, true);
    if (result == 0) result = make_latent(&bench);
    if (result == 0) result = time_and_say(&bench, "unet", unet, true);
    return end(&bench, result);
}

int bench_predict(const BenchOptions *options) {
    NetworkBench bench;
    int result = begin(&bench, options, false);
    if (result == 0) result = time_and_say(&bench, "predict", predict, false);
    return end(&bench, result);
}
