// SPDX-License-Identifier: MIT
// Checkpoints of a run: written aside, flushed and renamed, so that `latest` is always complete.
#ifndef TRAIN_CHECKPOINT_H
#define TRAIN_CHECKPOINT_H

#include "nn/model.h"
#include "train/config.h"
#include "train/optimizer.h"

// Writes RUN/checkpoints/step-N (the model folder with p2s.json, optimizer.safetensors,
// state.json), points `latest` to it, with is_best also `best`, and removes what killed saves left
// behind and all but the newest config->keep and the best. N = optimizer->step. When `latest`
// cannot be pointed to it, or anything fails before that, nothing of it is left and `latest` is
// what it was; what fails later leaves it whole, with `latest` leading to it.
int checkpoint_save(const TrainConfig *config, const Model *model, const Optimizer *optimizer,
                    bool is_best);

// Points `best` to the checkpoint of `step`, if the run still has that one.
int checkpoint_mark_best(const char *run, int64_t step);

// The folder of the newest checkpoint, owned by the caller; NULL without an error when the run has
// none yet, NULL and an error when `latest` leads nowhere.
char *checkpoint_latest(const char *run);

// Reads state.json of a checkpoint folder: the number of updates done. Refuses a checkpoint of
// another task, seed or number of threads, since its run could not be continued to the same bits.
int checkpoint_state(const char *folder, const TrainConfig *config, int64_t *step);

// Refuses a checkpoint whose frozen weights are not those it was written with (frozen.h).
int checkpoint_verify(const char *folder);

#endif
