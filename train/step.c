// SPDX-License-Identifier: MIT
// Recorded where the back end can and the task repeats. See step.h.
#include "train/step.h"

#include "autograd/backend.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/job.h"

enum { WORK_FIRST, WORK_FURTHER, WORK_UPDATE };

typedef struct {
    Step *step;
    DeviceBatch *batch;
    int64_t part, parts;
} Micro;

void step_begin(Step *step, const Task *task, TaskContext *context, Optimizer *optimizer) {
    *step = (Step){.task = task, .context = context, .optimizer = optimizer};
}

void step_done(Step *step) {
    const Backend *backend = backend_current();
    if (step->count > 0 && backend->record_forget) backend->record_forget();
    for (int i = 0; i < step->count; i++) device_batch_done(&step->batches[i]);
    *step = (Step){0};
}

double step_weight(int64_t parts) {
    return 1 / (double)(parts * job_size());
}

bool step_is_late(void) {
    return backend_current()->note_loss != NULL;
}

// ---- batches ------------------------------------------------------------------------------------

static DeviceBatch *batch_like(Step *step, const Batch *host) {
    for (int i = 0; i < step->count; i++) {
        const int64_t *shape = step->batches[i].image->shape;
        if (shape[0] == host->count && shape[1] == host->height && shape[2] == host->width)
            return &step->batches[i];
    }
    return NULL;
}

DeviceBatch *step_batch(Step *step, const Batch *host) {
    DeviceBatch *batch = batch_like(step, host);
    int result = batch ? device_batch_fill(batch, host) : 0;
    if (!batch && step->count == LOADER_MOST_SETS)
        return error_null("more than %d shapes of batches", LOADER_MOST_SETS);
    if (!batch) {
        batch = &step->batches[step->count];
        result = device_batch_begin(batch, host);
        if (result == 0)
            step->count++;
        else
            device_batch_done(batch);
    }
    if (result == 0 && step->task->feed) result = step->task->feed(step->context, batch);
    return result == 0 ? batch : NULL;
}

// ---- recording ----------------------------------------------------------------------------------

// Does the work, or lets the device repeat it.
static int run(const RecordKey *key, bool repeats, int (*work)(const Micro *), const Micro *micro) {
    const Backend *backend = backend_current();
    RecordState state =
        repeats && backend->record_begin ? backend->record_begin(key) : RECORD_PLAIN;
    if (state == RECORD_REPLAYED || state == RECORD_FAILED) return state == RECORD_FAILED ? -1 : 0;
    int result = work(micro);
    if (state == RECORD_PLAIN) return result;
    result = backend->record_end(result == 0);
    return result > 0 ? work(micro) : result;
}

// ---- the work -----------------------------------------------------------------------------------

static int micro_work(const Micro *micro) {
    const Backend *backend = backend_current();
    const Step *step = micro->step;
    Tensor *shown = NONE, *prompt = NONE;
    double share = step_weight(micro->parts);
    for (int64_t i = 0; micro->part == 0 && i < step->optimizer->count; i++)
        tensor_clear_grad(step->optimizer->params[i]);
    tape_record(true);
    Tensor *loss = step->task->loss(step->context, micro->batch, &shown, &prompt);
    int result = loss ? 0 : -1;
    if (result == 0 && step->watch)
        result = step->watch(step->watcher, micro->batch, loss, shown, prompt);
    if (result == 0 && backend->note_loss)
        result = backend->note_loss(loss, share, micro->part == 0, step->optimizer->found);
    if (result == 0) result = tape_backward(op_affine(loss, share, 0));
    tape_record(false);
    tape_reset();
    return result;
}

int step_micro(Step *step, DeviceBatch *batch, int64_t part, int64_t parts) {
    const Micro micro = {step, batch, part, parts};
    const int64_t *shape = batch->image->shape;
    const RecordKey key = {{part == 0 ? WORK_FIRST : WORK_FURTHER, shape[0], shape[1], shape[2]}};
    bool repeats = !step->watch && step->task->repeats && step->task->repeats(step->context);
    if (run(&key, repeats, micro_work, &micro) != 0) return -1;
    for (int64_t i = 0; i < step->optimizer->count; i++)
        if (step->optimizer->params[i]->grad) step->optimizer->params[i]->has_grad = true;
    return 0;
}

static int update_work(const Micro *micro) {
    const Step *step = micro->step;
    if (optimizer_reduce(step->optimizer) != 0) return -1;
    return optimizer_launch(step->optimizer, step->context->config);
}

int step_update(Step *step) {
    const RecordKey key = {{WORK_UPDATE}};
    if (run(&key, true, update_work, &(Micro){.step = step}) != 0) return -1;
    optimizer_drop_gradients(step->optimizer);
    return 0;
}
