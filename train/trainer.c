// SPDX-License-Identifier: MIT
// The training loop. See trainer.h.
#include "train/trainer.h"

#include "autograd/backend.h"
#include "autograd/tape.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/progress.h"
#include "base/text.h"
#include "train/checkpoint.h"
#include "train/plan.h"
#include "train/run_data.h"
#include "train/run_log.h"
#include "train/sample_picture.h"
#include "train/schedule.h"
#include "train/task.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const TrainConfig *config;
    const Task *task;
    TaskContext context;
    Model *model;
    Optimizer optimizer;
    RunData data;
    Loader *loader;
    FILE *log;
    int lock;
    bool quiet;
} Trainer;

// ---- setting up ---------------------------------------------------------------------------------

static int open_loader(Trainer *trainer) {
    const TrainConfig *config = trainer->config;
    LoaderOptions options = {.batch = (int)config->batch,
                             .flip = config->flip,
                             .seed = (uint64_t)config->seed,
                             .first = trainer->optimizer.step * config->accumulate,
                             .end = config->steps * config->accumulate,
                             .workers = (int)config->workers,
                             .ahead = (int)config->ahead};
    trainer->loader = loader_open_mixed(trainer->data.sets, trainer->data.count, &options);
    return trainer->loader ? 0 : -1;
}

static int check_sizes(const Trainer *trainer) {
    int64_t factor = vae_factor(&trainer->model->vae->config);
    for (int i = 0; i < trainer->data.count; i++) {
        const LoaderSet *set = &trainer->data.sets[i];
        if (set->height % factor != 0 || set->width % factor != 0)
            return error_int("data.height and data.width are %d and %d for %s, but must be "
                             "multiples of %lld",
                             set->height, set->width, dataset_type(set->set), (long long)factor);
    }
    return 0;
}

// Weights: the run's newest checkpoint when resuming, else the config's model.
static int open_model(Trainer *trainer, const char *checkpoint) {
    const TrainConfig *config = trainer->config;
    if (!checkpoint && config->model[0] == '\0')
        return error_int("model: say where training starts: a model folder, sd2 or miniature");
    const char *from = checkpoint ? checkpoint : config->model;
    bool fresh = !checkpoint && !folder_exists(from);
    ModelOptions options = task_model_options(config);
    trainer->model = fresh ? model_init(from, &options) : model_open(from, &options);
    if (!trainer->model) return -1;
    if (config->random_unet && !checkpoint &&
        params_init(&trainer->model->unet->params, (uint64_t)config->seed) != 0)
        return -1;
    trainer->context = (TaskContext){.config = config, .model = trainer->model};
    if (trainer->task->prepare && trainer->task->prepare(&trainer->context, fresh) != 0) return -1;
    task_recompute(trainer->model, config->recompute);
    ParamSet *sets[TASK_SETS];
    int count = task_sets(trainer->model, sets);
    if (optimizer_begin(&trainer->optimizer, sets, count) != 0) return -1;
    return check_sizes(trainer);
}

static int load_state(Trainer *trainer, const char *checkpoint) {
    int64_t step = 0;
    if (checkpoint_state(checkpoint, trainer->config, &step) != 0) return -1;
    char *path = path_join(checkpoint, "optimizer.safetensors");
    int result = path ? optimizer_load(&trainer->optimizer, path) : -1;
    free(path);
    trainer->optimizer.step = step;
    return result;
}

static int write_config(const TrainConfig *config) {
    char *path = path_join(config->run, "config.yaml");
    int result = path ? config_write(&train_table, config, path,
                                     "Written by p2s " P2S_VERSION "; p2s train --resume reads it.")
                      : -1;
    free(path);
    return result;
}

static int open_log(Trainer *trainer) {
    char *path = path_join(trainer->config->run, "metrics.jsonl");
    trainer->log = path ? run_log_open(path, trainer->optimizer.step) : NULL;
    free(path);
    return trainer->log ? 0 : -1;
}

static int print_plan(const Trainer *trainer, const char *from) {
    TrainPlan plan;
    if (trainer->quiet) return 0;
    if (train_plan(trainer->config, from, &plan) != 0) return -1;
    train_plan_print(trainer->config, &plan);
    return 0;
}

// Before config.yaml changes: what the run cannot continue with must not replace it. Returns 1 when
// nothing is left to do.
static int check_resume(const TrainConfig *config, const char *checkpoint, bool quiet) {
    int64_t done = 0;
    if (checkpoint_state(checkpoint, config, &done) != 0) return -1;
    if (done < config->steps) return 0;
    if (!quiet)
        fprintf(stderr, "%s is finished: %lld of %lld steps\n", config->run, (long long)done,
                (long long)config->steps);
    return 1;
}

// Returns 1 when the run is finished already.
static int begin(Trainer *trainer, bool resume) {
    const TrainConfig *config = trainer->config;
    if (folder_make(config->run) != 0) return -1;
    trainer->lock = folder_lock(config->run);
    if (trainer->lock < 0) return -1;
    char *checkpoint = checkpoint_latest(config->run);
    if (!checkpoint && error_is_set()) return -1;
    if (checkpoint && !resume) {
        free(checkpoint);
        return error_int("%s holds checkpoints: continue it with --resume, or choose another run=",
                         config->run);
    }
    const char *from = checkpoint ? checkpoint : config->model;
    int result = checkpoint ? check_resume(config, checkpoint, trainer->quiet) : 0;
    if (result == 0 && from[0]) result = print_plan(trainer, from);
    if (result == 0) result = write_config(config);
    if (result == 0) result = run_data_open(config, trainer->quiet, &trainer->data);
    if (result == 0) result = open_model(trainer, checkpoint);
    if (result == 0 && checkpoint) result = load_state(trainer, checkpoint);
    if (result == 0) result = open_log(trainer);
    if (result == 0) result = open_loader(trainer);
    free(checkpoint);
    return result;
}

static void end(Trainer *trainer) {
    tape_record(false);
    tape_reset();
    loader_close(trainer->loader);
    if (trainer->log) fclose(trainer->log);
    optimizer_done(&trainer->optimizer);
    model_free(trainer->model);
    run_data_close(&trainer->data);
    if (trainer->lock >= 0) folder_unlock(trainer->lock);
}

// ---- one step -----------------------------------------------------------------------------------

static int picture(const Trainer *trainer, const DeviceBatch *batch, const Tensor *shown,
                   const Tensor *prompt) {
    char *path = text_format("%s/samples/step-%lld.png", trainer->config->run,
                             (long long)trainer->context.step + 1);
    int result = path ? sample_picture(batch, shown, prompt, path) : -1;
    free(path);
    return result;
}

static bool is_sample_step(const Trainer *trainer, int64_t part) {
    const TrainConfig *config = trainer->config;
    int64_t step = trainer->context.step + 1;
    bool due = config->sample_every > 0 && (step % config->sample_every == 0 || step == 1);
    return due && part == config->accumulate - 1;
}

// Forward and backward of one micro-batch; adds its share to *loss.
static int micro_step(Trainer *trainer, const DeviceBatch *batch, int64_t part, double *loss) {
    Tensor *shown = NONE, *prompt = NONE;
    double share = 1 / (double)trainer->config->accumulate;
    tape_record(true);
    Tensor *value = trainer->task->loss(&trainer->context, batch, &shown, &prompt);
    double found = value ? tensor_item(value) : NAN;
    *loss += share * found;
    int result = value ? 0 : -1;
    if (result == 0 && !isfinite(found))
        result = error_int("the loss is %g on batch %lld (%s, ...)", found,
                           (long long)batch->host->index, batch->host->names[0]);
    if (result == 0 && is_sample_step(trainer, part))
        result = picture(trainer, batch, shown, prompt);
    if (result == 0) result = tape_backward(op_affine(value, share, 0));
    tape_record(false);
    tape_reset();
    return result;
}

static int say_zero_gradients(const Trainer *trainer) {
    int64_t zeros = 0;
    if (optimizer_check_gradients(&trainer->optimizer, trainer->task->may_be_zero, NULL, &zeros) !=
        0)
        return -1;
    if (zeros > 0 && !trainer->quiet)
        fprintf(stderr, "%lld of %lld trained tensors start with a zero gradient: %s\n",
                (long long)zeros, (long long)trainer->optimizer.count, trainer->task->zero_reason);
    return 0;
}

static int one_step(Trainer *trainer, StepRecord *record) {
    const TrainConfig *config = trainer->config;
    int64_t step = trainer->context.step = trainer->optimizer.step;
    double start = clock_seconds();
    *record = (StepRecord){.step = step + 1, .lr = learning_rate(config, step)};
    for (int64_t i = 0; i < trainer->optimizer.count; i++)
        tensor_clear_grad(trainer->optimizer.params[i]);
    for (int64_t part = 0; part < config->accumulate; part++) {
        Batch *host = loader_next(trainer->loader);
        if (!host) return error_int("the loader ended early");
        DeviceBatch batch;
        int result = device_batch_begin(&batch, host);
        if (result == 0) result = micro_step(trainer, &batch, part, &record->loss);
        device_batch_done(&batch);
        batch_free(host);
        if (result != 0) return -1;
    }
    if (step == 0 && say_zero_gradients(trainer) != 0) return -1;
    if (optimizer_update(&trainer->optimizer, config, record->lr, &record->norm) != 0) return -1;
    record->seconds = clock_seconds() - start;
    record->images_per_second = (double)(config->batch * config->accumulate) / record->seconds;
    return run_log_write(trainer->log, record);
}

// ---- the loop -----------------------------------------------------------------------------------

static int finish_task(Trainer *trainer) {
    if (!trainer->task->finish) return 0;
    const TrainConfig *config = trainer->config;
    LoaderOptions options = {.batch = (int)config->batch,
                             .seed = (uint64_t)config->seed,
                             .end = (FINISH_IMAGES + config->batch - 1) / config->batch,
                             .ahead = 1};
    Loader *loader = loader_open_mixed(trainer->data.sets, 1, &options);
    int result = loader ? trainer->task->finish(&trainer->context, loader) : -1;
    loader_close(loader);
    return result;
}

static int loop(Trainer *trainer, TrainEnd *how) {
    const TrainConfig *config = trainer->config;
    Progress progress;
    char note[96] = "";
    progress_begin(&progress, trainer->task->name, "step", trainer->optimizer.step, config->steps,
                   10, trainer->quiet);
    while (trainer->optimizer.step < config->steps) {
        StepRecord record;
        if (one_step(trainer, &record) != 0)
            return error_context("step %lld", (long long)trainer->context.step + 1);
        int64_t done = trainer->optimizer.step;
        snprintf(note, sizeof note, "loss %.4g, norm %.3g, %.1f images/s", record.loss, record.norm,
                 record.images_per_second);
        progress_update(&progress, done, note);
        bool last = done == config->steps, stop = interrupt_requested();
        if (last && finish_task(trainer) != 0) return -1;
        if ((last || stop || done % config->checkpoint_every == 0) &&
            checkpoint_save(config, trainer->model, &trainer->optimizer) != 0)
            return -1;
        if (stop && !last) *how = TRAIN_INTERRUPTED;
        if (stop) break;
    }
    progress_end(&progress, trainer->optimizer.step, note);
    return 0;
}

int train_run(const TrainConfig *config, bool resume, bool quiet, TrainEnd *how) {
    Trainer trainer = {.config = config, .task = task_find(config), .lock = -1, .quiet = quiet};
    int result = begin(&trainer, resume);
    *how = TRAIN_FINISHED;
    if (result == 0) result = loop(&trainer, how);
    end(&trainer);
    return result < 0 ? -1 : 0;
}
