// SPDX-License-Identifier: MIT
// What the plans of a problem take, measured for `p2s bench tune` (cuda_watch_plans in cuda.h);
// nothing else times anything.
#ifndef CUDA_PLAN_TUNE_H
#define CUDA_PLAN_TUNE_H

#include "cuda/library.h"

enum { PLAN_TUNE_MOST = 4 }; // plans of a problem; cuDNN compiles some for a second each

// A problem whose operands lie ready. `written` is [count] of `type` in device memory, which `run`
// fills and nobody else reads.
typedef struct {
    const char *name; // as the table of choices names it
    // Makes plan `number`, in place of the one before: 0, LIBRARY_DECLINES and an error when there
    // are no more, -1 and an error.
    int (*prepare)(void *context, int number);
    int (*run)(void *context); // by the plan that was made, on STREAM_COMPUTE
    void *context;
    const void *written;
    int64_t type, count;
} PlanTrial;

bool plan_tune_is_watched(void);
// Whether the problem is to be tried now: once for each name while somebody watches.
bool plan_tune_wants(const char *name);

// Runs every plan and tells the watcher. A plan that fails is left out, stderr says why; -1 and an
// error when there is no memory.
int plan_tune(const PlanTrial *trial);

#endif
