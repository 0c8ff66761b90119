// SPDX-License-Identifier: MIT
// metrics.jsonl of a run: one JSON object per optimiser step, cut back to the checkpoint on resume.
#ifndef TRAIN_RUN_LOG_H
#define TRAIN_RUN_LOG_H

#include <stdint.h>
#include <stdio.h>

typedef struct {
    int64_t step; // from 1: after this many updates
    double loss, lr, norm, seconds;
    double images_per_second;
} StepRecord;

// Opens path for appending after dropping every line of a step above `step` and an unfinished last
// line. NULL and an error when it cannot be written or holds something else.
FILE *run_log_open(const char *path, int64_t step);

// One line, handed to the system at once.
int run_log_write(FILE *log, const StepRecord *record);

#endif
