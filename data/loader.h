// SPDX-License-Identifier: MIT
// From data sets to training batches: order, flips, crops and resizes are pure functions of (seed,
// position), so that a run can start at any batch and workers change nothing.
#ifndef DATA_LOADER_H
#define DATA_LOADER_H

#include "data/dataset.h"

typedef struct {
    int64_t index; // of the batch, from 0
    int first;     // of its images in the whole batch; 0 unless slices divide it
    int count, height, width;
    float *image;           // [count, height, width, 3], RGB in [-1, 1]
    int32_t *labels;        // [count, height, width]: 0 background, 1.. instances, -1 ignored
    int32_t *no_background; // [count]: 1 where unlabelled pixels are unknown
    int32_t *instances;     // [count]: largest label
    char (*names)[256];     // [count]
} Batch;

// A batch of zeros. NULL and an error when memory is out.
Batch *batch_new(int count, int height, int width);
void batch_free(Batch *batch);

typedef enum { FIT_RESIZE, FIT_CROP } LoaderFit;

// One of the sets that are mixed.
typedef struct {
    const Dataset *set; // borrowed
    int64_t weight;     // from 1 on: batches of this set for `weight` of another's
    int height, width;  // of its batches
    LoaderFit fit;      // resized to that size, or a random crop of it (method.md 2.8)
} LoaderSet;

enum { LOADER_MOST_SETS = 16 };

// What one of several processes takes: every turns-th batch from the turn-th on, and of each the
// slice-th of so many equal parts. All 0: everything.
typedef struct {
    int turns, turn, slices, slice;
} LoaderShare;

typedef struct {
    int batch, height, width; // height and width: of loader_open's set
    bool flip;                // horizontally, with probability 1/2
    uint64_t seed;
    int64_t first, end; // batches first .. end - 1 are made; multiples of share.turns
    LoaderShare share;  // slices divide `batch`
    int workers, ahead;
} LoaderOptions;

typedef struct Loader Loader;

// Every epoch goes through the set in another order; batches run across epochs, all full. A sample
// without instances, or one that cannot be read or cropped, is replaced by another drawn from
// (seed, position); unusable ones are named on stderr whenever they are drawn, and more than 1 in
// 100 of those drawn (and more than 10) ends the run. Borrows the set. An error when the set is
// empty.
Loader *loader_open(const Dataset *set, const LoaderOptions *options);

// The same for several sets; every batch comes from one of them. An epoch takes of set i, with n_i
// batches of its own, floor(n_i * f_i) of them, f_i = min over j of 1 and (n_j / n_i) (weight_i /
// weight_j), in random order; every set is shuffled anew for it, so that the sets' shares are exact
// and the scarcest is used up. The last batch of a set is filled up from the beginning of its
// order. An error when a set would have no batch. Of one set it is loader_open. Source: method.md
// 2.9.
Loader *loader_open_mixed(const LoaderSet *sets, int count, const LoaderOptions *options);

// How many of its batches each of several sets gives to an epoch: the rule above.
void mixed_shares(const int64_t *batches, const int64_t *weights, int count, int64_t *shares);

// The next batch, owned by the caller (batch_free); NULL with an error, or without one at the end.
Batch *loader_next(Loader *loader);
void loader_close(Loader *loader);

// Position p of epoch e holds sample sample_order(seed, e, n, p) of n: a permutation per epoch,
// computed without a table.
int64_t sample_order(uint64_t seed, uint64_t epoch, int64_t n, int64_t position);

#endif
