// SPDX-License-Identifier: MIT
// What a run will need, told before anything is computed: the step runs on shapes alone.
#ifndef TRAIN_PLAN_H
#define TRAIN_PLAN_H

#include "train/config.h"

#include <stddef.h>

typedef struct {
    size_t weights;   // bytes of all parameters
    size_t copies;    // bytes of their copies in BF16
    size_t gradients; // bytes of those; the optimizer's moments take twice as many
    size_t peak;      // bytes of everything at the fullest moment of a step
    double flops;     // arithmetic of one optimiser step
} TrainPlan;

// Plans the run that config describes, from the configuration files of the model folder (or
// built-in name) `model`. Leaves the current back end as it was.
int train_plan(const TrainConfig *config, const char *model, TrainPlan *plan);

// Prints the plan on stderr, and a warning that names the settings to change when it exceeds the
// memory of the machine.
void train_plan_print(const TrainConfig *config, const TrainPlan *plan);

#endif
