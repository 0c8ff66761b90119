// SPDX-License-Identifier: MIT
// Small training runs in a folder of the program's own, for tests without a framework.
#ifndef TESTS_EMULATED_RUNS_H
#define TESTS_EMULATED_RUNS_H

#include "autograd/backend.h"
#include "base/error.h"
#include "base/file.h"
#include "train/trainer.h"

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static char folder[64];

static inline bool run_folder_begin(void) {
    snprintf(folder, sizeof folder, "/tmp/p2s-step-XXXXXX");
    return mkdtemp(folder) != NULL;
}

static const char *const run_settings[] = {
    "model=miniature",     "threads=1",        "train.batch=2",         "train.lr=1e-3",
    "train.warmup=1",      "loss.scale=0.125", "train.normalise=batch", "data.count=4",
    "data.height=16",      "data.width=16",    "data.flip=false",       "data.workers=1",
    "train.sample_every=0"};

// Trains in folder/NAME with more settings, NULL-terminated, which come last.
static inline int run_train(const Backend *backend, const char *task, const char *name,
                            const char *const *more) {
    TrainConfig config;
    TrainEnd end;
    char first[2][160];
    memset(&config, 0, sizeof config);
    backend_use(backend);
    snprintf(first[0], sizeof first[0], "task=%s", task);
    snprintf(first[1], sizeof first[1], "run=%s/%s", folder, name);
    int result = config_defaults(&train_table, &config);
    for (size_t i = 0; result == 0 && i < sizeof run_settings / sizeof *run_settings; i++)
        result = config_override(&train_table, &config, run_settings[i], "test");
    for (int i = 0; result == 0 && i < 2; i++)
        result = config_override(&train_table, &config, first[i], "test");
    for (; result == 0 && *more; more++)
        result = config_override(&train_table, &config, *more, "test");
    if (result == 0) result = train_run(&config, false, true, &end);
    config_free(&train_table, &config);
    return result;
}

// A number of a step's line of the run's log; NaN when it is not there.
static inline double run_number(const char *name, const char *key, int step) {
    char path[160], line[1024] = "";
    double number = NAN;
    snprintf(path, sizeof path, "%s/%s/metrics.jsonl", folder, name);
    FILE *file = fopen(path, "r");
    for (int i = 0; file && i < step; i++)
        if (!fgets(line, sizeof line, file)) line[0] = '\0';
    if (file) fclose(file);
    json_t *json = json_loads(line, 0, NULL);
    if (json) number = json_number_value(json_object_get(json, key));
    json_decref(json);
    return number;
}

#endif
