// SPDX-License-Identifier: MIT
// The training loop. See trainer.h.
//
// Of the processes of a job that of rank 0 writes and validates; what one of them finds, others act
// on only after they have told each other, at the same place of the loop.
#include "train/trainer.h"

#include "autograd/backend.h"
#include "autograd/tape.h"
#include "autograd/trace.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/job.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/text.h"
#include "train/checkpoint.h"
#include "train/data_parallel.h"
#include "train/event_file.h"
#include "train/plan.h"
#include "train/run_data.h"
#include "train/run_log.h"
#include "train/sample_picture.h"
#include "train/schedule.h"
#include "train/step.h"
#include "train/task.h"
#include "train/validate.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    const TrainConfig *config;
    const Task *task;
    TaskContext context;
    Model *model;
    Optimizer optimizer;
    Step step;
    StepShare share;
    RunData data;
    Loader *loader;
    RunLog *log; // rank 0's, as are the next two
    EventFile *events;
    Validation validation;
    Text samples;       // names of those of the step in the making
    StepRecord record;  // of the last step whose numbers are known
    StepRecord pending; // of one whose numbers the device still has; step 0: none
    double known;       // when the last numbers came, or the work on the next ones began
    int lock;
    bool quiet, looking; // looking: a step is repeated, to say what is wrong with it
} Trainer;

// ---- setting up ---------------------------------------------------------------------------------

static int open_loader(Trainer *trainer) {
    const TrainConfig *config = trainer->config;
    LoaderOptions options = {.batch = (int)config->batch,
                             .flip = config->flip,
                             .seed = (uint64_t)config->seed,
                             .first = trainer->optimizer.step * config->accumulate,
                             .end = config->steps * config->accumulate,
                             .share = trainer->share.loader,
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
    const char *from = checkpoint ? checkpoint : config->model;
    bool fresh = !checkpoint && !folder_exists(from);
    ModelOptions options = task_model_options(config);
    trainer->model = fresh ? model_init(from, &options) : model_open(from, &options);
    if (!trainer->model) return -1;
    if (config->random_unet && !checkpoint &&
        params_init(&trainer->model->unet->params, (uint64_t)config->seed) != 0)
        return -1;
    trainer->context = (TaskContext){.config = config, .model = trainer->model};
    TaskStart start = checkpoint ? START_CHECKPOINT : fresh ? START_RANDOM : START_FOLDER;
    if (trainer->task->prepare && trainer->task->prepare(&trainer->context, start) != 0) return -1;
    task_recompute(trainer->model, config->recompute);
    ParamSet *sets[TASK_SETS];
    int count = task_sets(trainer->model, sets);
    if (optimizer_begin(&trainer->optimizer, sets, count) != 0) return -1;
    step_begin(&trainer->step, trainer->task, &trainer->context, &trainer->optimizer);
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

static int open_logs(Trainer *trainer) {
    int64_t step = trainer->optimizer.step;
    char *metrics = path_join(trainer->config->run, "metrics.jsonl");
    char *events = path_join(trainer->config->run, "events.out.tfevents.p2s");
    trainer->log = metrics ? run_log_open(metrics, step, NULL, NULL) : NULL;
    trainer->events = trainer->log && events ? event_file_open(events, step) : NULL;
    free(events);
    free(metrics);
    return trainer->events ? 0 : -1;
}

static int open_validation(Trainer *trainer) {
    Validation *validation = &trainer->validation;
    if (validation_begin(validation, trainer->config, trainer->model, trainer->optimizer.step) != 0)
        return -1;
    if (validation->best_step == 0) return 0;
    return checkpoint_mark_best(trainer->config->run, validation->best_step);
}

// Before anything is opened. Returns 1 when nothing is left to do.
static int check_resume(const TrainConfig *config, const char *checkpoint, bool quiet) {
    int64_t done = 0;
    if (checkpoint_state(checkpoint, config, &done) != 0) return -1;
    if (done < config->steps) return 0;
    int missing = done == config->steps ? validation_missing(config, done) : 0;
    if (missing != 0) return missing < 0 ? -1 : 0;
    if (!quiet)
        fprintf(stderr, "%s is finished: %lld of %lld steps\n", config->run, (long long)done,
                (long long)config->steps);
    return 1;
}

static int open_data(Trainer *trainer, bool goes_on) {
    const TrainConfig *config = trainer->config;
    if (run_data_open(config, trainer->quiet, &trainer->data) != 0) return -1;
    return job_rank() > 0 ? 0 : run_data_check(&trainer->data, config->run, goes_on);
}

// What a killed process was writing, once no other one can be.
static int clear_asides(const char *run) {
    static const char *const folders[] = {"", "samples", "checkpoints"};
    int result = 0;
    for (size_t i = 0; i < sizeof folders / sizeof folders[0] && result == 0; i++) {
        char *path = path_join(run, folders[i]);
        result = path ? folder_remove_asides(path) : -1;
        free(path);
    }
    return result;
}

static int open_folder(Trainer *trainer) {
    const char *run = trainer->config->run;
    if (step_share(trainer->config, &trainer->share) != 0) return -1;
    if (job_rank() > 0) return 0;
    if (folder_make(run) != 0) return -1;
    trainer->lock = folder_lock(run);
    return trainer->lock < 0 ? -1 : clear_asides(run);
}

// A new run begins with its config.yaml, so that it can be resumed whatever happens next; one that
// goes on replaces it last, when everything has worked with it. Returns 1 when the run is finished
// already. `checkpoint`: NULL for a new run.
static int begin_from(Trainer *trainer, const char *checkpoint) {
    const TrainConfig *config = trainer->config;
    const bool leads = job_rank() == 0;
    const char *from = checkpoint ? checkpoint : config->model;
    TaskStart start = checkpoint ? START_CHECKPOINT : START_FOLDER;
    int result =
        checkpoint ? check_resume(config, checkpoint, trainer->quiet) : task_check_start(config);
    if (result == 0 && !trainer->quiet) result = train_plan_tell(config, from, start);
    if (result == 0 && checkpoint && leads) result = checkpoint_verify(checkpoint);
    if (result == 0 && !checkpoint && leads) result = write_config(config);
    if (result == 0) result = open_data(trainer, checkpoint != NULL);
    if (result == 0) result = open_model(trainer, checkpoint);
    if (result == 0 && checkpoint) result = load_state(trainer, checkpoint);
    if (result == 0 && leads) result = open_logs(trainer);
    if (result == 0 && leads) result = open_validation(trainer);
    if (result == 0) result = open_loader(trainer);
    if (result == 0 && checkpoint && leads) result = write_config(config);
    return result;
}

// Whether the processes of a job stand at the same place.
static int check_others(Trainer *trainer) {
    char *data = job_size() > 1 ? run_data_text(&trainer->data) : NULL;
    int result = job_agree(job_size() > 1 && !data ? -1 : 0);
    if (result == 0 && data) result = job_same("the data", data);
    free(data);
    return result == 0 ? data_parallel_check(trainer->config, &trainer->optimizer) : -1;
}

static int begin(Trainer *trainer, bool resume) {
    const char *run = trainer->config->run;
    if (job_agree(open_folder(trainer)) != 0) return -1;
    char *checkpoint = checkpoint_latest(run);
    int result = !checkpoint && error_is_set() ? -1 : 0;
    if (checkpoint && !resume)
        result = error_int(
            "%s holds checkpoints: continue it with --resume, or choose another run=", run);
    if (result == 0) result = begin_from(trainer, checkpoint);
    free(checkpoint);
    if (job_agree(result) < 0) return -1;
    return job_any(result == 1) ? 1 : check_others(trainer);
}

static void end(Trainer *trainer) {
    tape_record(false);
    tape_reset();
    loader_close(trainer->loader);
    run_log_close(trainer->log);
    event_file_close(trainer->events);
    validation_done(&trainer->validation);
    text_free(&trainer->samples);
    step_done(&trainer->step);
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
    if (result == 0)
        result = event_file_picture(trainer->events, trainer->context.step + 1, "samples", path);
    free(path);
    return result;
}

// Makes the loss once more, to say where it ceases to be finite.
static int explain_loss(Trainer *trainer, const DeviceBatch *batch, double loss) {
    Tensor *shown, *prompt;
    tape_reset();
    bool was = trace_nan(true);
    trainer->task->loss(&trainer->context, batch, &shown, &prompt);
    trace_nan(was);
    if (error_is_set()) return error_context("the loss is %g", loss);
    return error_int("the loss is %g", loss);
}

typedef struct {
    Trainer *trainer;
    int64_t part;
    double loss; // of this process' parts so far
} Watch;

// Of each micro-batch, before its backward pass.
static int look_at_loss(void *watcher, const DeviceBatch *batch, Tensor *loss, const Tensor *shown,
                        const Tensor *prompt) {
    Watch *watch = watcher;
    Trainer *trainer = watch->trainer;
    double found = tensor_item(loss);
    watch->loss += step_weight(trainer->share.parts) * found;
    if (!isfinite(found)) return explain_loss(trainer, batch, found);
    bool last = watch->part == trainer->share.parts - 1;
    if (!last || job_rank() > 0 || !task_is_sample_step(&trainer->context)) return 0;
    return picture(trainer, batch, shown, prompt);
}

static int write_zeros(const Trainer *trainer, const Text *names, int64_t count) {
    if (job_rank() > 0) return 0;
    char *path = path_join(trainer->config->run, "zero_gradients.txt");
    int result = path ? file_write(path, text_string(names), names->length) : -1;
    if (result == 0 && !trainer->quiet)
        fprintf(stderr, "%lld of %lld trained tensors start with a zero gradient, as %s: %s\n",
                (long long)count, (long long)trainer->optimizer.count, trainer->task->zero_reason,
                path);
    free(path);
    return result;
}

static int check_gradients(const Trainer *trainer) {
    Text names = {0};
    int64_t count = 0;
    int result = optimizer_check_gradients(&trainer->optimizer, trainer->task->may_be_zero, NULL,
                                           &names, &count);
    if (result == 0 && count > 0) result = write_zeros(trainer, &names, count);
    text_free(&names);
    return result;
}

static int note_samples(Trainer *trainer, const Batch *batch) {
    int result = 0;
    for (int b = 0; result == 0 && b < batch->count; b++)
        result = text_add(&trainer->samples, "%s%s", trainer->samples.length > 0 ? ", " : "",
                          batch->names[b]);
    return result;
}

static int write_record(Trainer *trainer, const StepRecord *record) {
    const EventScalar scalars[] = {{"train/loss", record->loss},
                                   {"train/lr", record->lr},
                                   {"train/grad_norm", record->norm},
                                   {"train/images_per_second", record->images_per_second}};
    if (run_log_write(trainer->log, record) != 0) return -1;
    return event_file_scalars(trainer->events, record->step, scalars,
                              (int)(sizeof scalars / sizeof scalars[0]));
}

// What is known of a step now goes to the logs.
static int finish_record(Trainer *trainer, StepRecord *record) {
    const TrainConfig *config = trainer->config;
    double now = clock_seconds();
    record->seconds = now - trainer->known;
    record->images_per_second = (double)(config->batch * config->accumulate) / record->seconds;
    trainer->known = now;
    trainer->record = *record;
    return trainer->log ? write_record(trainer, record) : 0;
}

// The next micro-batch on the device; its host's part is the caller's to free.
static DeviceBatch *next_batch(Trainer *trainer, Batch **host) {
    *host = loader_next(trainer->loader);
    if (!*host) return error_null("the loader ended early");
    return note_samples(trainer, *host) == 0 ? step_batch(&trainer->step, *host) : NULL;
}

// All micro-batches of a step; *part is the one in the making.
static int micro_steps(Trainer *trainer, int64_t *part) {
    const int64_t parts = trainer->share.parts;
    for (*part = 0; *part < parts; ++*part) {
        Batch *host;
        DeviceBatch *batch = next_batch(trainer, &host);
        int result = batch ? step_micro(&trainer->step, batch, *part, parts) : -1;
        batch_free(host);
        if (result != 0) return -1;
    }
    return 0;
}

// The update of a step that is watched. What it finds wrong all processes find.
static int watched_update(Trainer *trainer, StepRecord *record) {
    job_total(&record->loss, 1);
    if (optimizer_reduce(&trainer->optimizer) != 0) return -1;
    int result = record->step == 1 ? check_gradients(trainer) : 0;
    if (result == 0)
        result = optimizer_update(&trainer->optimizer, trainer->config, record->lr, &record->norm);
    return job_agree(result);
}

// A step whose loss and norm are read, and checked, as they come.
static int watched_step(Trainer *trainer, StepRecord *record) {
    Watch watch = {.trainer = trainer};
    trainer->step.watch = look_at_loss;
    trainer->step.watcher = &watch;
    int result = micro_steps(trainer, &watch.part);
    trainer->step.watch = NULL;
    record->loss = watch.loss;
    if (result != 0 || watched_update(trainer, record) != 0) return -1;
    optimizer_drop_gradients(&trainer->optimizer);
    return trainer->looking ? 0 : finish_record(trainer, record);
}

// ---- steps whose numbers are read later ---------------------------------------------------------

static int slot_of(const StepRecord *record) {
    return (int)(record->step % FETCH_SLOTS);
}

// The same without waiting for anything: numbers are read when the next step is under way. Of a
// step that finds one that is not finite, and of all after it, the device does no update.
static int late_step(Trainer *trainer, const StepRecord *record) {
    const Optimizer *optimizer = &trainer->optimizer;
    int64_t part = 0;
    if (optimizer_give(&trainer->optimizer, record->lr) != 0 || micro_steps(trainer, &part) != 0 ||
        step_update(&trainer->step) != 0)
        return -1;
    trainer->optimizer.step++;
    return backend_current()->fetch_begin(slot_of(record), optimizer->found->data,
                                          sizeof(StepFound));
}

static int one_step(Trainer *trainer);

// Repeats a step in which something was wrong, watching: its error says what, and in which samples.
static int look_again(Trainer *trainer, int64_t step) {
    char *found = string_copy(error_is_set() ? error_take() : "a number was not finite");
    trainer->pending = (StepRecord){0};
    trainer->looking = true;
    trainer->optimizer.step = step - 1;
    loader_close(trainer->loader);
    int result = open_loader(trainer);
    if (result == 0) result = one_step(trainer);
    if (result == 0) result = error_int("%s; not so when the step is repeated", found);
    free(found);
    return result;
}

// The numbers of a step, when the device has done it. All processes see the same ones, and repeat
// the step together; a device that fails alone ends the job.
static int complete(Trainer *trainer, StepRecord *record) {
    StepFound found = {0};
    int failed = backend_current()->fetch_end(slot_of(record), &found, sizeof found);
    if (failed != 0 && job_size() > 1) return -1;
    if (failed != 0 || found.stop != 0) return look_again(trainer, record->step);
    record->loss = found.loss;
    record->norm = sqrt(found.square);
    return finish_record(trainer, record);
}

// Waits for the numbers of the step that is pending, if there is one.
static int settle(Trainer *trainer) {
    StepRecord record = trainer->pending;
    trainer->pending = (StepRecord){0};
    return record.step > 0 ? complete(trainer, &record) : 0;
}

static int one_step(Trainer *trainer) {
    int64_t step = trainer->context.step = trainer->optimizer.step;
    StepRecord record = {.step = step + 1, .lr = learning_rate(trainer->config, step)};
    bool late =
        step_is_late() && step > 0 && !trainer->looking && !task_is_sample_step(&trainer->context);
    if (!late && settle(trainer) != 0) return -1;
    if (trainer->pending.step == 0) trainer->known = clock_seconds();
    text_free(&trainer->samples);
    if (!late) return watched_step(trainer, &record);
    if (late_step(trainer, &record) != 0) return -1;
    StepRecord before = trainer->pending;
    trainer->pending = record;
    return before.step > 0 ? complete(trainer, &before) : 0;
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

// What finish sets is the checkpoint's alone: the steps that follow must not depend on where
// checkpoints were written.
static int write_checkpoint(Trainer *trainer, bool is_best) {
    if (run_log_sync(trainer->log) != 0 || event_file_sync(trainer->events) != 0 ||
        validation_sync(&trainer->validation) != 0)
        return -1;
    const VaeConfig before = trainer->model->vae->config;
    int result = finish_task(trainer);
    if (result == 0)
        result = checkpoint_save(trainer->config, trainer->model, &trainer->optimizer, is_best);
    trainer->model->vae->config = before;
    return result;
}

static int save(Trainer *trainer, bool is_best) {
    if (job_agree(settle(trainer)) != 0) return -1;
    if (data_parallel_check(trainer->config, &trainer->optimizer) != 0) return -1;
    return job_rank() == 0 ? write_checkpoint(trainer, is_best) : 0;
}

static bool is_validation_due(const Trainer *trainer) {
    return job_rank() == 0 && validation_due(&trainer->validation, trainer->optimizer.step);
}

// Validates where that is due. An interrupt leaves it to the resumed run.
static int validate(Trainer *trainer, bool *improved) {
    int64_t step = trainer->optimizer.step;
    *improved = false;
    if (interrupt_requested() || !is_validation_due(trainer)) return 0;
    int result = validation_run(&trainer->validation, step, trainer->events, improved);
    if (result != 0 && interrupt_requested()) error_take(), result = 0;
    return result;
}

// What one process knows and all act on.
enum { INTERRUPTED = 1, VALIDATION = 2, IMPROVED = 4 };

static unsigned tell_others(const Trainer *trainer, bool improved) {
    unsigned flags = improved ? IMPROVED : 0;
    if (interrupt_requested()) flags |= INTERRUPTED;
    if (is_validation_due(trainer)) flags |= VALIDATION;
    return job_any(flags);
}

// Whether what comes after this step wants its numbers.
static bool is_due(const Trainer *trainer, unsigned flags) {
    int64_t done = trainer->optimizer.step;
    return done == trainer->config->steps || done % trainer->config->checkpoint_every == 0 ||
           flags != 0;
}

// What comes after a step; *stop: no further one.
static int after_step(Trainer *trainer, unsigned flags, bool *stop, TrainEnd *how) {
    const TrainConfig *config = trainer->config;
    int64_t done = trainer->optimizer.step;
    bool last = done == config->steps;
    if (flags & VALIDATION && !(flags & INTERRUPTED)) {
        bool improved;
        if (job_agree(validate(trainer, &improved)) != 0) return -1;
        flags = tell_others(trainer, improved);
    }
    *stop = flags & INTERRUPTED;
    if ((last || flags & (INTERRUPTED | IMPROVED) || done % config->checkpoint_every == 0) &&
        save(trainer, flags & IMPROVED) != 0)
        return -1;
    if (*stop && (!last || flags & VALIDATION)) *how = TRAIN_INTERRUPTED;
    return 0;
}

static void write_note(const Trainer *trainer, char *note, size_t size) {
    const Validation *validation = &trainer->validation;
    const StepRecord *record = &trainer->record;
    int length = snprintf(note, size, "loss %.4g, norm %.3g, %.1f images/s", record->loss,
                          record->norm, record->images_per_second);
    if (validation->step > 0 && length > 0)
        snprintf(note + length, size - (size_t)length, ", validation %.3f (best %.3f at %lld)",
                 validation->score, validation->best, (long long)validation->best_step);
}

// A validation that an interrupt has kept from the step of the checkpoint.
static int catch_up(Trainer *trainer) {
    bool improved;
    if (trainer->optimizer.step == 0 || job_rank() > 0) return 0;
    if (validate(trainer, &improved) != 0 || validation_sync(&trainer->validation) != 0) return -1;
    return improved ? checkpoint_mark_best(trainer->config->run, trainer->optimizer.step) : 0;
}

static int step_and_after(Trainer *trainer, bool *stop, TrainEnd *how) {
    int result = one_step(trainer);
    const unsigned flags = result == 0 ? tell_others(trainer, false) : 0;
    if (result == 0 && is_due(trainer, flags)) result = settle(trainer);
    if (result != 0)
        return error_context("step %lld (%s)", (long long)trainer->context.step + 1,
                             text_string(&trainer->samples));
    if (after_step(trainer, flags, stop, how) != 0)
        return error_context("after step %lld", (long long)trainer->optimizer.step);
    return 0;
}

static int loop(Trainer *trainer, TrainEnd *how) {
    const TrainConfig *config = trainer->config;
    Progress progress;
    char note[160] = "";
    bool stop = false;
    if (job_agree(catch_up(trainer)) != 0) return -1;
    if (tell_others(trainer, false) & VALIDATION) {
        *how = TRAIN_INTERRUPTED; // again, and nothing is left to be saved
        return 0;
    }
    progress_begin(&progress, trainer->task->name, "step", trainer->optimizer.step, config->steps,
                   10, trainer->quiet);
    while (trainer->optimizer.step < config->steps && !stop) {
        if (step_and_after(trainer, &stop, how) != 0) {
            progress_abandon(&progress);
            return -1;
        }
        write_note(trainer, note, sizeof note);
        progress_update(&progress, trainer->optimizer.step, note);
    }
    progress_end(&progress, trainer->optimizer.step, note);
    return 0;
}

int train_run(const TrainConfig *config, bool resume, bool quiet, TrainEnd *how) {
    Trainer trainer = {.config = config, .task = task_find(config), .lock = -1};
    trainer.quiet = quiet || job_rank() > 0;
    int result = begin(&trainer, resume);
    *how = TRAIN_FINISHED;
    if (result == 0) result = loop(&trainer, how);
    end(&trainer);
    return result < 0 ? -1 : 0;
}
