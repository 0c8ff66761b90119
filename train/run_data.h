// SPDX-License-Identifier: MIT
// The data sets of a run, as its config names them: one (data.set, data.path ...) or several that
// are mixed (data.sets).
#ifndef TRAIN_RUN_DATA_H
#define TRAIN_RUN_DATA_H

#include "data/loader.h"
#include "train/config.h"

typedef struct {
    LoaderSet sets[LOADER_MOST_SETS];
    int count;
} RunData;

// Opens the sets and their indices. Fails, naming the set, when one cannot be opened or its index
// is missing though demanded, or stale. Unless quiet, says on stderr which index was taken, or that
// a set of files has none.
int run_data_open(const TrainConfig *config, bool quiet, RunData *data);

// Writes RUN/data.json, which says what the run draws from; when the run goes on, fails unless that
// is what the file says, since the run would not continue to the same bits.
int run_data_check(const RunData *data, const char *run, bool goes_on);

// What that file says; owned by the caller.
char *run_data_text(const RunData *data);

// Takes a zeroed one too.
void run_data_close(RunData *data);

// Height and width of the largest batches, without opening anything.
int run_data_largest(const TrainConfig *config, int64_t *height, int64_t *width);

#endif
