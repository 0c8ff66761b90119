// SPDX-License-Identifier: MIT
// AdamW over all trained parameters of a model: moments, clipping, saving.
#ifndef TRAIN_OPTIMIZER_H
#define TRAIN_OPTIMIZER_H

#include "base/text.h"
#include "nn/param.h"
#include "train/config.h"

typedef struct {
    int64_t step; // updates done
    int64_t count;
    char **names;              // [count] "unet.conv_in.weight", owned
    Tensor **params, **m, **v; // [count]; params are the sets'
    Tensor **gradients;        // [count], the params' own
    double *rates;             // [count], times the learning rate
    Tensor *given, *found;     // StepGiven, StepFound (backend.h)
} Optimizer;

// Moments (zero) for every parameter of the sets that is trained. An error when there is none.
int optimizer_begin(Optimizer *optimizer, ParamSet *const *sets, int set_count);
void optimizer_done(Optimizer *optimizer);

// One update with the gradients that the parameters hold, clipped to the global norm config->clip
// (times min(1, clip / (norm + 1e-6))). *norm is the norm before clipping. A norm that is not
// finite is an error that names the first such tensor; nothing is changed then.
int optimizer_update(Optimizer *optimizer, const TrainConfig *config, double lr, double *norm);

// Before an update: gradients, and what steps have noted in `found`, become their sums over the
// processes of the job. Every trained parameter must hold a gradient.
int optimizer_reduce(Optimizer *optimizer);

// The parts of the update, for a caller that looks at `found` later: the host waits for nothing.
// give writes rate and number of the update in the making; launch clips and updates, and does
// nothing to the parameters while found->stop is set. The caller counts `step`.
int optimizer_give(Optimizer *optimizer, double lr);
int optimizer_launch(Optimizer *optimizer, const TrainConfig *config);

// After an update: frees the gradients, so that the next step's activations take their place. They
// stay where steps are recorded, whose work names them; optimizer_keeps_gradients says so.
void optimizer_drop_gradients(Optimizer *optimizer);
bool optimizer_keeps_gradients(const Backend *backend);

// After the first backward pass: every trained parameter must hold a gradient with finite values.
// Exactly zero gradients are allowed where `may_be_zero` (may be NULL) says so, whose names are
// added to `zeros`, a line each, and counted in *count; any other is an error that names it.
int optimizer_check_gradients(const Optimizer *optimizer,
                              bool (*may_be_zero)(const char *name, void *context), void *context,
                              Text *zeros, int64_t *count);

// Moments as a safetensors file: "m.NAME" and "v.NAME" in memory layout. Load wants exactly them.
int optimizer_save(const Optimizer *optimizer, const char *path);
int optimizer_load(Optimizer *optimizer, const char *path);

#endif
