// SPDX-License-Identifier: MIT
// The arithmetic of a step as pieces that a device can record and replay: every micro-batch's
// forward and backward pass, and the update. Batches lie at fixed addresses, one set of tensors per
// shape of image; learning rate and step number, loss, norm and the flag for numbers that are not
// finite lie in the optimizer's tensors.
#ifndef TRAIN_STEP_H
#define TRAIN_STEP_H

#include "train/optimizer.h"
#include "train/task.h"

typedef struct {
    const Task *task;
    TaskContext *context;
    Optimizer *optimizer;
    DeviceBatch batches[LOADER_MOST_SETS];
    int count;
    // (optional) Looks at every loss before its backward pass; nothing is recorded then. -1 with an
    // error ends the step.
    int (*watch)(void *watcher, const DeviceBatch *batch, Tensor *loss, const Tensor *shown,
                 const Tensor *prompt);
    void *watcher;
} Step;

void step_begin(Step *step, const Task *task, TaskContext *context, Optimizer *optimizer);
void step_done(Step *step);

// The batch on the device, with what the task's loss wants beside it; the step owns it.
DeviceBatch *step_batch(Step *step, const Batch *host);

// Gradients of one of `parts` micro-batches, added to those of the parts before; part 0 forgets the
// gradients of the last step. On a device that works without the host the loss goes to
// optimizer->found; elsewhere nobody learns it.
int step_micro(Step *step, DeviceBatch *batch, int64_t part, int64_t parts);
// The weight of a micro-batch in the step's loss and gradients, which are sums over the `parts` of
// every process (train/data_parallel.h).
double step_weight(int64_t parts);
// Sums over processes, clips and updates with what optimizer_give has given, and drops the
// gradients (optimizer_drop_gradients). The caller counts optimizer->step.
int step_update(Step *step);

// Whether steps run without the host, which then looks at optimizer->found later.
bool step_is_late(void);

#endif
