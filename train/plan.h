// SPDX-License-Identifier: MIT
// What a run will need, told before anything is computed: the step runs on shapes alone.
#ifndef TRAIN_PLAN_H
#define TRAIN_PLAN_H

#include "train/task.h"

#include <stddef.h>

typedef struct {
    size_t weights;     // bytes of all parameters
    size_t copies;      // bytes of their copies in BF16
    size_t gradients;   // bytes of those; the optimizer's moments take twice as many
    size_t activations; // bytes at most of all else
    size_t peak;        // bytes of everything at the fullest moment of a step: less than the sum
                        // where gradients come when activations go (optimizer_drop_gradients)
    double flops;       // arithmetic of one optimiser step
} TrainPlan;

// Plans the run that config describes, from the configuration files of the model folder (or
// built-in name) `model`, for the current back end; `start`: START_CHECKPOINT where that is a
// checkpoint of this run, else START_FOLDER. Leaves the current back end as it was.
int train_plan(const TrainConfig *config, const char *model, TaskStart start, TrainPlan *plan);

// The same, and prints the plan on stderr, with a warning that names the settings to change when it
// exceeds the memory of the machine.
int train_plan_tell(const TrainConfig *config, const char *model, TaskStart start);

#endif
