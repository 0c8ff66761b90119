// SPDX-License-Identifier: MIT
// What data sets share whose samples are an image file and a label PNG: the list of pairs, and
// three of the five functions. A reader fills a PairSet in `open` and writes its own `read`.
#ifndef DATA_PAIRS_H
#define DATA_PAIRS_H

#include "data/dataset.h"

typedef struct {
    char *name;           // of the sample
    char *image, *labels; // paths
} Pair;

typedef struct {
    Pair *pairs; // [count], owned
    size_t count, capacity;
    int64_t without_labels; // images left out for want of a label file
    char *description;      // owned
} PairSet;

// Adds a pair and takes its three strings; NULL among them (memory is out) is a failure.
int pairs_add(PairSet *set, char *name, char *image, char *labels);

void pair_free(Pair *pair);

// Adds every image NAME.ending of a folder whose NAME.ending is among the labels, by name. Fails
// when there is none.
int pairs_scan(PairSet *set, const char *images, const char *image_ending, const char *labels,
               const char *label_ending);

// The sample's name.
void pair_name(const Pair *pair, Sample *sample);

// Reads both files: image, name and raw labels of the sample. Fails, naming the file, when one is
// missing or damaged or when their sizes differ.
int pair_read(const Pair *pair, Sample *sample);

// Moves label 255 into the ignore mask.
int sample_ignore_255(Sample *sample);

// For DatasetType. `opened` is a PairSet from array_new; close frees it.
int64_t pairs_count(void *opened);
const char *pairs_describe(void *opened);
void pairs_close(void *opened);

#endif
