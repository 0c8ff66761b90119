// SPDX-License-Identifier: MIT
// What tests of training share: small runs in a folder of the test's own.
#ifndef TESTS_TRAIN_RUNS_H
#define TESTS_TRAIN_RUNS_H

#include "autograd/backend.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cpu/cpu.h"
#include "train/trainer.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64]; // of this test

static inline void begin(void) {
    backend_use(cpu_backend());
    cpu_set_threads(2);
    snprintf(folder, sizeof folder, "/tmp/p2s-train-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static inline void end(void) {
    folder_remove(folder);
}

static const char *const small[] = {
    "model=miniature",
    "threads=2",
    "train.batch=2",
    "train.steps=6",
    "train.lr=1e-3",
    "train.warmup=2",
    "train.schedule=cosine",
    "train.normalise=affine",
    "loss.scale=0.125",
    "data.count=12",
    "data.height=32",
    "data.width=32",
    "data.workers=1",
    "train.keep=3",
    "train.checkpoint_every=2",
    "train.sample_every=0",
};

// The small run in folder/NAME with more settings, NULL-terminated.
static inline void configure(TrainConfig *config, const char *name, const char *const *more) {
    memset(config, 0, sizeof *config);
    cr_assert_eq(config_defaults(&train_table, config), 0, "%s", error_message());
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        cr_assert_eq(config_override(&train_table, config, small[i], "test"), 0, "%s",
                     error_message());
    for (; more && *more; more++)
        cr_assert_eq(config_override(&train_table, config, *more, "test"), 0, "%s",
                     error_message());
    char run[128];
    snprintf(run, sizeof run, "%s/%s", folder, name);
    cr_assert_eq(config_set(&train_table, config, "run", run, "test"), 0);
}

static inline void train(const char *name, const char *const *more, bool resume) {
    TrainConfig config;
    TrainEnd how;
    configure(&config, name, more);
    cr_assert_eq(train_run(&config, resume, true, &how), 0, "%s", error_message());
    cr_assert_eq(how, TRAIN_FINISHED);
    config_free(&train_table, &config);
}

// Tries to train; the error's message, which must have come.
static inline const char *failure(const char *name, const char *const *more, bool resume) {
    TrainConfig config;
    TrainEnd how;
    configure(&config, name, more);
    cr_assert_eq(train_run(&config, resume, true, &how), -1);
    config_free(&train_table, &config);
    return error_take();
}

static inline void refuse(const char *name, const char *const *more, const char *message) {
    const char *found = failure(name, more, false);
    cr_assert(strstr(found, message), "expected \"%s\" in \"%s\"", message, found);
}

// The bytes of a file of a run and a NUL, owned by the caller; size may be NULL.
static inline char *run_file(const char *run, const char *name, size_t *size) {
    char *path = text_format("%s/%s/%s", folder, run, name);
    char *bytes = file_read(path, (size_t)1 << 30, size);
    cr_assert_not_null(bytes, "%s", error_message());
    free(path);
    return bytes;
}

// Whether a file of two newest checkpoints has the same bytes.
static inline bool same_file(const char *a, const char *b, const char *name) {
    size_t sizes[2];
    const char *runs[] = {a, b};
    char *bytes[2];
    for (int i = 0; i < 2; i++) {
        char *inside = text_format("checkpoints/latest/%s", name);
        bytes[i] = run_file(runs[i], inside, &sizes[i]);
        free(inside);
    }
    bool same = sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

// The loss of a line of metrics.jsonl, counted from 0.
static inline double loss_of(const char *run, int line) {
    char *path = text_format("%s/%s/metrics.jsonl", folder, run);
    FILE *file = fopen(path, "r");
    char row[512];
    cr_assert_not_null(file);
    for (int i = 0; i <= line; i++) cr_assert_not_null(fgets(row, sizeof row, file));
    fclose(file);
    free(path);
    json_t *parsed = json_loads(row, 0, NULL);
    double loss = json_real_value(json_object_get(parsed, "loss"));
    json_decref(parsed);
    return loss;
}

#endif
