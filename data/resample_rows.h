// SPDX-License-Identifier: MIT
// The inner loops of the 8-bit resampling: weighted sums of bytes with weights of 22 fractional
// bits, exact in 32-bit integers, so that vector instructions give the same bytes as plain C.
#ifndef DATA_RESAMPLE_ROWS_H
#define DATA_RESAMPLE_ROWS_H

#include <stddef.h>
#include <stdint.h>

enum { FRACTION_BITS = 22 };

// For output i: weights[i * stride + k] belongs to input first[i] + k, k < count[i].
typedef struct {
    int *first, *count;
    int stride;
    int32_t *weights;
    float *float_weights;
} Windows;

// Resamples `height` rows of in_width pixels of 1 or 3 channels to out_width pixels. -1 when memory
// is out.
int resample_rows(const uint8_t *in, int in_width, int height, int channels, const Windows *windows,
                  int out_width, uint8_t *out);

// out [row] = the sum over k of weights[k] times row k of in [count, row].
void resample_column(const uint8_t *in, size_t row, const int32_t *weights, int count,
                     uint8_t *out);

#endif
