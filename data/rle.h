// SPDX-License-Identifier: MIT
// Run-length masks as COCO writes them: pixels column by column, counts of zeros and ones in turn,
// zeros first. Source: datasets.md 2.6.
#ifndef DATA_RLE_H
#define DATA_RLE_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    int width, height;
    uint32_t *counts; // [length], owned; their sum is width * height
    size_t length;
} Rle;

// From plain counts. Fails on a negative count or when the sum is not width * height.
int rle_from_counts(const int64_t *counts, size_t length, int width, int height, Rle *rle);

// From the compressed string. Fails on characters outside 48..111, numbers of more than 7 groups,
// negative counts, an unfinished number, or a sum that is not width * height.
int rle_from_string(const char *text, int width, int height, Rle *rle);

// From a mask [height, width] of 0 and not 0. Only the first count may be 0.
int rle_from_mask(const uint8_t *mask, int width, int height, Rle *rle);

// The compressed string, owned by the caller.
char *rle_to_string(const Rle *rle);

// Sets mask [height, width] to 1 where the runs say so and leaves the other pixels as they are.
void rle_paint(const Rle *rle, uint8_t *mask);

void rle_free(Rle *rle);

#endif
