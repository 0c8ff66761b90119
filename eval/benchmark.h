// SPDX-License-Identifier: MIT
// A data set to be scored on, from one line of text.
#ifndef EVAL_BENCHMARK_H
#define EVAL_BENCHMARK_H

#include "data/dataset.h"

typedef struct {
    char *name; // in reports and file names
    Dataset *set;
    int64_t count;   // of samples that are scored
    bool novel_coco; // COCO restricted to the novel categories, for which numbers are published
} Benchmark;

// Opens a set from its line of text (data/dataset_text.h), for example "scenes:split=wires" or
// "coco:name=novel:path=/data/coco:split=val2017:subset=novel". Fails when it cannot be parsed or
// opened, or is empty.
int benchmark_open(const char *item, Benchmark *benchmark);

// Takes a zeroed one too.
void benchmark_close(Benchmark *benchmark);

#endif
