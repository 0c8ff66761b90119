// SPDX-License-Identifier: MIT
// A data set in one line of text, as the configs of training and evaluation name it.
#ifndef DATA_DATASET_TEXT_H
#define DATA_DATASET_TEXT_H

#include "data/loader.h"

typedef struct {
    char *text; // owned; what the strings below point into
    const char *type, *name;
    DatasetOptions options;
    // Of training only. Zero where the text says nothing.
    int64_t weight;
    int height, width;
    LoaderFit fit;
    const char *index; // see index_find in data/index.h
} DatasetText;

// Takes apart "TYPE:key=value:key=value...": a data set's type, then any of name, path, split,
// subset, seed, size and count; for training also weight, height, width, fit (resize or crop) and
// index. Values hold no ':'. Without a name it is the split, without one the type. Fails on
// anything else, naming the key.
int dataset_text_parse(const char *text, bool training, DatasetText *parsed);

// Takes a zeroed one too.
void dataset_text_free(DatasetText *parsed);

#endif
