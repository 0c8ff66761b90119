// SPDX-License-Identifier: MIT
// Times plans. See plan_tune.h.
#include "cuda/plan_tune.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/memory.h"
#include "cuda/cuda.h"
#include "cuda/memory.h"
#include "cuda/runtime.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 3, MOST_RUNS = 1000, MOST_COMPARED = 1 << 20 };
static const double ROUND_SECONDS = 0.01, WARM_SECONDS = 0.02;

static PlanSee see;
static void *see_context;
static char **tried; // names
static size_t tried_count, tried_capacity;

void cuda_watch_plans(PlanSee watcher, void *context) {
    see = watcher;
    see_context = context;
    for (size_t i = 0; i < tried_count; i++) free(tried[i]);
    free(tried);
    tried = NULL;
    tried_count = tried_capacity = 0;
}

bool plan_tune_is_watched(void) {
    return see != NULL;
}

bool plan_tune_wants(const char *name) {
    if (!see) return false;
    for (size_t i = 0; i < tried_count; i++)
        if (strcmp(tried[i], name) == 0) return false;
    if (array_grow(&tried, &tried_capacity, tried_count, sizeof *tried) != 0) return false;
    tried[tried_count] = string_copy(name);
    return tried[tried_count] && ++tried_count > 0;
}

// Seconds of `runs` runs, one after another; below 0 after an error.
static double seconds_of(const PlanTrial *trial, int runs) {
    const double start = clock_seconds();
    for (int i = 0; i < runs; i++)
        if (trial->run(trial->context) != 0) return -1;
    return stream_wait(STREAM_COMPUTE) == 0 ? clock_seconds() - start : -1;
}

static int runs_in(double seconds, double one) {
    return (int)fmin(fmax(seconds / fmax(one, 1e-9), 1), MOST_RUNS);
}

// Of one run: the least of some rounds, after some that only wake the device.
static double least_seconds(const PlanTrial *trial) {
    double least = INFINITY;
    if (seconds_of(trial, 1) < 0) return -1;
    const double one = seconds_of(trial, 1);
    if (one < 0 || seconds_of(trial, runs_in(WARM_SECONDS, one)) < 0) return -1;
    const int runs = runs_in(ROUND_SECONDS, one);
    for (int round = 0; round < ROUNDS; round++) {
        const double seconds = seconds_of(trial, runs) / runs;
        if (seconds < 0) return -1;
        least = fmin(least, seconds);
    }
    return least;
}

static float value_at(const PlanTrial *trial, const void *values, int64_t i) {
    return trial->type == BF16 ? bf16_to_float(((const uint16_t *)values)[i])
                               : ((const float *)values)[i];
}

static int64_t compared(const PlanTrial *trial) {
    return trial->count < MOST_COMPARED ? trial->count : MOST_COMPARED;
}

// RMS of the difference of two results over the RMS of the first; large where one is not finite.
static double difference_of(const PlanTrial *trial, const void *first, const void *now) {
    double difference = 0, size = 0;
    for (int64_t i = 0; i < compared(trial); i++) {
        const double a = value_at(trial, first, i), b = value_at(trial, now, i);
        difference += (a - b) * (a - b);
        size += a * a;
    }
    const double share = sqrt(size > 0 ? difference / size : difference);
    return isfinite(share) ? share : 1e30;
}

// Times the plan that is ready; 0, or -1 and an error.
static int try_plan(const PlanTrial *trial, int number, void *first, void *now) {
    void *result = number == 0 ? first : now;
    const double seconds = least_seconds(trial);
    if (seconds < 0) return -1;
    const size_t bytes = (size_t)compared(trial) * dtype_size((Dtype)trial->type);
    if (cuda_read(result, trial->written, bytes) != 0) return -1;
    see(&(PlanTried){trial->name, number, seconds, difference_of(trial, first, result)},
        see_context);
    return 0;
}

int plan_tune(const PlanTrial *trial) {
    const size_t size = dtype_size((Dtype)trial->type);
    void *first = array_new((size_t)compared(trial), size);
    void *now = array_new((size_t)compared(trial), size);
    const bool room = first && now;
    for (int number = 0; room && number < PLAN_TUNE_MOST; number++) {
        const int made = trial->prepare(trial->context, number);
        if (made == LIBRARY_DECLINES) break;
        if (made == 0 && try_plan(trial, number, first, now) == 0) continue;
        fprintf(stderr, "%s, plan %d: %s\n", trial->name, number, error_take());
        if (number == 0) break; // the others have nothing to be compared with
    }
    if (room) (void)error_take(); // that there are no more
    free(first);
    free(now);
    return room ? 0 : -1;
}
