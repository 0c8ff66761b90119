// SPDX-License-Identifier: MIT
// Resizing of [N,H,W,C]. Backward gathers: each input row collects from the output rows that read
// it, so threads never share a row.
#include "cpu/kernel.h"

#include <math.h>
#include <string.h>

// The input index that output index `at` reads; product and ratio in float32 (method 1.3.2).
static int64_t nearest(int64_t at, int64_t in, int64_t out) {
    float ratio = (float)in / (float)out;
    int64_t index = (int64_t)floorf((float)at * ratio);
    return index < in ? index : in - 1;
}

int CPU(resize_nearest_forward)(const resize_nearest_args *args) {
    const int64_t *in = args->x->shape, *out = args->y->shape;
    int64_t channels = out[3];
#pragma omp parallel for schedule(static) if (tensor_numel(args->y) > 1 << 16)
    for (int64_t row = 0; row < out[0] * out[1]; row++) {
        int64_t source = row / out[1] * in[1] + nearest(row % out[1], in[1], out[1]);
        const real *x = values(args->x) + source * in[2] * channels;
        real *y = values(args->y) + row * out[2] * channels;
        for (int64_t i = 0; i < out[2]; i++)
            memcpy(y + i * channels, x + nearest(i, in[2], out[2]) * channels,
                   (size_t)channels * sizeof(real));
    }
    return 0;
}

int CPU(resize_nearest_backward)(const resize_nearest_args *args) {
    if (!args->x->needs_grad) return 0;
    const int64_t *in = args->x->shape, *out = args->y->shape;
    int64_t channels = out[3];
    if (!args->x->has_grad) memset(gradient(args->x), 0, tensor_bytes(args->x));
#pragma omp parallel for schedule(static) if (tensor_numel(args->y) > 1 << 16)
    for (int64_t row = 0; row < in[0] * in[1]; row++) {
        real *dx = gradient(args->x) + row * in[2] * channels;
        for (int64_t k = 0; k < out[1]; k++) {
            if (nearest(k, in[1], out[1]) != row % in[1]) continue;
            const real *dy = gradient(args->y) + (row / in[1] * out[1] + k) * out[2] * channels;
            for (int64_t i = 0; i < out[2]; i++) {
                real *to = dx + nearest(i, in[2], out[2]) * channels;
                for (int64_t c = 0; c < channels; c++) to[c] += dy[i * channels + c];
            }
        }
    }
    return 0;
}

// What output index `at` reads: two neighbours and the share of the second.
typedef struct {
    int64_t first, second;
    real share;
} Taps;

static Taps bilinear(int64_t at, int64_t in, int64_t out) {
    double position = ((double)at + 0.5) * (double)in / (double)out - 0.5;
    if (position < 0) position = 0;
    int64_t first = (int64_t)position;
    if (first > in - 1) first = in - 1;
    return (Taps){first, first + 1 < in ? first + 1 : first, (real)(position - (double)first)};
}

int CPU(resize_bilinear_forward)(const resize_bilinear_args *args) {
    const int64_t *in = args->x->shape, *out = args->y->shape;
    int64_t channels = out[3];
#pragma omp parallel for schedule(static) if (tensor_numel(args->y) > 1 << 14)
    for (int64_t row = 0; row < out[0] * out[1]; row++) {
        Taps v = bilinear(row % out[1], in[1], out[1]);
        const real *image = values(args->x) + row / out[1] * in[1] * in[2] * channels;
        const real *top = image + v.first * in[2] * channels;
        const real *bottom = image + v.second * in[2] * channels;
        real *y = values(args->y) + row * out[2] * channels;
        for (int64_t i = 0; i < out[2]; i++) {
            Taps h = bilinear(i, in[2], out[2]);
            int64_t left = h.first * channels, right = h.second * channels;
            for (int64_t c = 0; c < channels; c++) {
                real above = top[left + c] + h.share * (top[right + c] - top[left + c]);
                real below = bottom[left + c] + h.share * (bottom[right + c] - bottom[left + c]);
                y[i * channels + c] = above + v.share * (below - above);
            }
        }
    }
    return 0;
}

int CPU(resize_bilinear_backward)(const resize_bilinear_args *args) {
    if (!args->x->needs_grad) return 0;
    const int64_t *in = args->x->shape, *out = args->y->shape;
    int64_t channels = out[3];
    if (!args->x->has_grad) memset(gradient(args->x), 0, tensor_bytes(args->x));
#pragma omp parallel for schedule(static) if (tensor_numel(args->y) > 1 << 14)
    for (int64_t row = 0; row < in[0] * in[1]; row++) {
        real *dx = gradient(args->x) + row * in[2] * channels;
        for (int64_t k = 0; k < out[1]; k++) {
            Taps v = bilinear(k, in[1], out[1]);
            real share = (v.first == row % in[1] ? 1 - v.share : 0) +
                         (v.second == row % in[1] ? v.share : 0);
            if (share == 0) continue;
            const real *dy = gradient(args->y) + (row / in[1] * out[1] + k) * out[2] * channels;
            for (int64_t i = 0; i < out[2]; i++) {
                Taps h = bilinear(i, in[2], out[2]);
                for (int64_t c = 0; c < channels; c++) {
                    real d = share * dy[i * channels + c];
                    dx[h.first * channels + c] += (1 - h.share) * d;
                    dx[h.second * channels + c] += h.share * d;
                }
            }
        }
    }
    return 0;
}
