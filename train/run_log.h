// SPDX-License-Identifier: MIT
// Logs of a run: one JSON object per line, with its "step", cut back to the checkpoint on resume.
#ifndef TRAIN_RUN_LOG_H
#define TRAIN_RUN_LOG_H

#include <jansson.h>
#include <stdint.h>

typedef struct {
    int64_t step; // from 1: after this many updates
    double loss, lr, norm, seconds;
    double images_per_second;
} StepRecord;

typedef struct RunLog RunLog;

// Called for every line that is kept, in order. 0, or -1 with an error.
typedef int (*RunLogVisit)(void *context, const json_t *line);

// Opens path for appending after dropping every line of a step above `step` and an unfinished last
// line. `visit` may be NULL. NULL and an error when it cannot be written or holds something else.
RunLog *run_log_open(const char *path, int64_t step, RunLogVisit visit, void *context);
void run_log_close(RunLog *log); // takes NULL

// Visits the lines of the steps up to `step` and changes nothing; without the file there are none.
int run_log_read(const char *path, int64_t step, RunLogVisit visit, void *context);

// Adds a line, which ends with a line end, handed to the system at once; a step's line.
int run_log_add(RunLog *log, const char *line);
int run_log_write(RunLog *log, const StepRecord *record);

// Makes sure that all is on the disk.
int run_log_sync(RunLog *log);

#endif
