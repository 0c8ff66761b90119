// SPDX-License-Identifier: MIT
// Choosing a system's read-out on a validation set: every setting of a fixed grid is scored on
// every instance, and the one with the highest mean IoU is taken (of equals the first).
#ifndef EVAL_FIT_H
#define EVAL_FIT_H

#include "eval/system.h"

// Thresholds that are tried: all up to 15, then in steps of about a fifth.
enum { FIT_THRESHOLDS = 32 };
extern const int fit_thresholds[FIT_THRESHOLDS];

// IoU with the target of the map above each threshold of the grid; with `component`, of what is
// connected with a point there. map: [H,W].
int threshold_curve(const Target *target, const uint8_t *map, bool component,
                    double curve[FIT_THRESHOLDS]);

typedef struct Fit Fit;

// For the systems of the list that can be fitted. Borrows the list.
Fit *fit_new(SystemList *systems);
void fit_free(Fit *fit);

// Scores all settings on one target.
int fit_add(Fit *fit, Target *target);

// Gives every system its best setting; miou (may be NULL) [systems]: the mean IoU it reached, NAN
// for those not fitted. Fails when no target was added.
int fit_apply(const Fit *fit, double *miou);

#endif
