// SPDX-License-Identifier: MIT
// How the processes of a job (base/job.h) train one model together: all hold the same weights, each
// does a part of a step's images, and gradients are summed. What a step is, its images, their
// random streams and the loss over them do not depend on the number of processes.
#ifndef TRAIN_DATA_PARALLEL_H
#define TRAIN_DATA_PARALLEL_H

#include "data/loader.h"
#include "train/optimizer.h"

// The micro-batches of a step go round among groups of processes; the processes of a group divide
// the images of each among them. As many groups as the numbers allow: a whole micro-batch is the
// better work.
typedef struct {
    LoaderShare loader;
    int64_t batch, parts; // images of a micro-batch and micro-batches of a step, of this process
} StepShare;

// This process' share. An error that names the numbers when it would not be equal to the others',
// or the task needs whole micro-batches.
int step_share(const TrainConfig *config, StepShare *share);

// An error unless all processes compute with the same kernels and threads, and hold the same
// weights at the same step (by the sum of their squares).
int data_parallel_check(const TrainConfig *config, const Optimizer *optimizer);

#endif
