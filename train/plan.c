// SPDX-License-Identifier: MIT
// The plan of a run. See plan.h.
#include "train/plan.h"

#include "autograd/backend.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/job.h"
#include "base/memory.h"
#include "train/data_parallel.h"
#include "train/optimizer.h"
#include "train/run_data.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PLANNED_INSTANCES = 4 };

// A batch of the run's largest shape with a few instances in stripes.
static Batch *striped_batch(const TrainConfig *config, int64_t images) {
    int64_t tall, wide;
    if (run_data_largest(config, &tall, &wide) != 0) return NULL;
    size_t count = (size_t)images, height = (size_t)tall, width = (size_t)wide;
    Batch *batch = batch_new((int)images, (int)tall, (int)wide);
    if (!batch) return NULL;
    for (size_t i = 0; i < count * height * width; i++)
        batch->labels[i] = (int32_t)(i / width % height * (PLANNED_INSTANCES + 1) / height);
    for (size_t b = 0; b < count; b++) batch->instances[b] = PLANNED_INSTANCES;
    return batch;
}

// The fullest moment of a forward and backward pass; *flops of it.
static int plan_pass(const Task *task, TaskContext *context, const DeviceBatch *batch, size_t *peak,
                     double *flops) {
    const Backend *backend = backend_current();
    Tensor *shown, *prompt;
    backend->reset_stats();
    tape_record(true);
    int result = tape_backward(task->loss(context, batch, &shown, &prompt));
    tape_record(false);
    tape_reset();
    *peak = backend->stats().peak;
    *flops = backend->stats().flops;
    return result;
}

// Two passes: gradients come with the first and are there in the second.
static int plan_passes(const TrainConfig *config, TaskContext *context, const DeviceBatch *batch,
                       const Optimizer *optimizer, bool gradients_stay, TrainPlan *plan) {
    const Task *task = task_find(config);
    size_t alone, beside;
    double flops;
    if (plan_pass(task, context, batch, &alone, &flops) != 0) return -1;
    for (int64_t i = 0; i < optimizer->count; i++) {
        plan->gradients += tensor_bytes(optimizer->params[i]);
        tensor_clear_grad(optimizer->params[i]);
        if (tensor_grad_alloc(optimizer->params[i]) != 0) return -1;
    }
    if (plan_pass(task, context, batch, &beside, &flops) != 0) return -1;
    plan->activations = beside - plan->weights - 3 * plan->gradients;
    plan->peak = (gradients_stay ? beside : alone) + plan->copies;
    plan->flops = flops;
    return 0;
}

static int plan_step(const TrainConfig *config, TaskContext *context, bool gradients_stay,
                     TrainPlan *plan) {
    ParamSet *sets[TASK_SETS];
    Optimizer optimizer;
    StepShare share;
    if (step_share(config, &share) != 0) return -1;
    Batch *host = striped_batch(config, share.batch);
    DeviceBatch batch = {0};
    plan->weights = backend_current()->stats().live;
    plan->copies = config->precision == PRECISION_BF16 ? plan->weights / 2 : 0;
    int result = optimizer_begin(&optimizer, sets, task_sets(context->model, sets));
    if (result == 0) result = host ? device_batch_begin(&batch, host) : -1;
    gradients_stay |= share.parts > 1;
    if (result == 0)
        result = plan_passes(config, context, &batch, &optimizer, gradients_stay, plan);
    plan->flops *= (double)share.parts;
    device_batch_done(&batch);
    batch_free(host);
    optimizer_done(&optimizer);
    return result;
}

int train_plan(const TrainConfig *config, const char *from, TaskStart start, TrainPlan *plan) {
    const Backend *backend = backend_current();
    const bool gradients_stay = backend && optimizer_keeps_gradients(backend);
    *plan = (TrainPlan){0};
    backend_use(plan_backend());
    ModelOptions options = task_model_options(config);
    Model *model = model_init(from, &options);
    TaskContext context = {.config = config, .model = model, .step = config->first_steps};
    const Task *task = task_find(config);
    int result = model ? 0 : -1;
    if (result == 0 && task->prepare) result = task->prepare(&context, start);
    if (model) task_recompute(model, config->recompute);
    if (result == 0) result = plan_step(config, &context, gradients_stay, plan);
    model_free(model);
    backend_use(backend);
    return result == 0 ? 0 : error_context("plan");
}

// The memory of the device of the run, of this process' share of it.
static double room_of(const TrainConfig *config) {
    if (config->device == 0)
        return (double)sysconf(_SC_PHYS_PAGES) * (double)sysconf(_SC_PAGE_SIZE) / job_local_size();
    return (double)backend_current()->stats().room;
}

static void print_plan(const TrainConfig *config, const TrainPlan *plan) {
    const double gigabyte = 1e9;
    const size_t all = plan->weights + plan->copies + 3 * plan->gradients + plan->activations;
    const double room = room_of(config);
    fprintf(stderr, "plan");
    if (job_size() > 1) fprintf(stderr, " of each of %d processes", job_size());
    fprintf(stderr, ": weights %.2f GB, ", (double)plan->weights / gigabyte);
    if (plan->copies > 0)
        fprintf(stderr, "their copies in bf16 %.2f GB, ", (double)plan->copies / gigabyte);
    fprintf(stderr,
            "gradients %.2f GB, moments %.2f GB, activations and batch %.2f GB at most%s: %.2f GB "
            "in all; %.4g GFLOP a step\n",
            (double)plan->gradients / gigabyte, 2 * (double)plan->gradients / gigabyte,
            (double)plan->activations / gigabyte,
            plan->peak < all ? ", mostly before the gradients and in their place" : "",
            (double)plan->peak / gigabyte, plan->flops / 1e9);
    if (room > 0 && (double)plan->peak > room)
        fprintf(stderr,
                "warning: this %s has %.2f GB; train.recompute=true, a smaller train.batch or "
                "smaller data.height and data.width need less\n",
                config->device == 0 ? "machine" : "device", room / gigabyte);
}

int train_plan_tell(const TrainConfig *config, const char *from, TaskStart start) {
    TrainPlan plan;
    if (train_plan(config, from, start, &plan) != 0) return -1;
    print_plan(config, &plan);
    return 0;
}
