// SPDX-License-Identifier: MIT
// Layer norm on float rows. The gradients of weight and bias are summed in a number of blocks of
// rows that depends on the shape only, so that the result does not depend on the number of threads.
#include "base/error.h"
#include "cpu/fast_kernel.h"
#include "cpu/fast_rows.h"
#include "cpu/fast_vector.h"
#include "cpu/memory.h"

#include <math.h>
#include <string.h>

enum { MAX_BLOCKS = 32 };

static void normalise_row(const float *x, const float *weight, const float *bias, int64_t width,
                          double eps, float *y, float *mean, float *rstd) {
    float sum = 0, squares = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t c = 0; c < width; c++) sum += x[c];
    float center = sum / (float)width;
#pragma omp simd reduction(+ : squares)
    for (int64_t c = 0; c < width; c++) squares += (x[c] - center) * (x[c] - center);
    float scale = (float)(1 / sqrt((double)squares / (double)width + eps));
#pragma omp simd
    for (int64_t c = 0; c < width; c++) y[c] = (x[c] - center) * scale * weight[c] + bias[c];
    *mean = center;
    *rstd = scale;
}

int ISA(fast_layer_norm_forward)(const layer_norm_args *args) {
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->mean);
    const float *x = args->x->data, *weight = args->weight->data, *bias = args->bias->data;
    float *y = args->y->data, *mean = args->mean->data, *rstd = args->rstd->data;
#pragma omp parallel for schedule(static) if (rows * width > FAST_PARALLEL)
    for (int64_t row = 0; row < rows; row++)
        normalise_row(x + row * width, weight, bias, width, args->eps, y + row * width, mean + row,
                      rstd + row);
    return 0;
}

// dx (+)= rstd (weight dy - mean(weight dy) - xhat mean(weight dy xhat))
INLINED void slopes_of(const float *x, const float *dy, const float *weight, int64_t width,
                       float mean, float rstd, bool add, float *dx) {
    float sum = 0, dot = 0;
#pragma omp simd reduction(+ : sum, dot)
    for (int64_t c = 0; c < width; c++) {
        float d = dy[c] * weight[c];
        sum += d;
        dot += d * ((x[c] - mean) * rstd);
    }
    sum /= (float)width, dot /= (float)width;
#pragma omp simd
    for (int64_t c = 0; c < width; c++) {
        float d = rstd * (dy[c] * weight[c] - sum - (x[c] - mean) * rstd * dot);
        dx[c] = add ? dx[c] + d : d;
    }
}

static void row_slopes(const float *x, const float *dy, const float *weight, int64_t width,
                       float mean, float rstd, bool add, float *dx) {
    if (add)
        slopes_of(x, dy, weight, width, mean, rstd, true, dx);
    else
        slopes_of(x, dy, weight, width, mean, rstd, false, dx);
}

static void add_affine(const float *x, const float *dy, int64_t width, float mean, float rstd,
                       float *dweight, float *dbias) {
#pragma omp simd
    for (int64_t c = 0; c < width; c++) {
        dbias[c] += dy[c];
        dweight[c] += dy[c] * ((x[c] - mean) * rstd);
    }
}

// Rows first to end: their gradients, and sums [2,width] of what weight and bias receive.
static void backward_rows(const layer_norm_args *args, int64_t first, int64_t end, float *sums) {
    int64_t width = tensor_side(args->x, -1);
    const float *mean = args->mean->data, *rstd = args->rstd->data;
    if (sums) memset(sums, 0, 2 * (size_t)width * sizeof *sums);
    for (int64_t row = first; row < end; row++) {
        const float *x = (const float *)args->x->data + row * width;
        const float *dy = (const float *)args->y->grad->data + row * width;
        if (args->x->needs_grad)
            row_slopes(x, dy, args->weight->data, width, mean[row], rstd[row], args->x->has_grad,
                       (float *)args->x->grad->data + row * width);
        if (sums) add_affine(x, dy, width, mean[row], rstd[row], sums, sums + width);
    }
}

static void write_affine(const Tensor *tensor, const float *sums, int64_t blocks, int64_t step) {
    if (!tensor->needs_grad) return;
    float *gradient = tensor->grad->data;
    for (int64_t c = 0; c < tensor->shape[0]; c++) {
        double sum = 0;
        for (int64_t b = 0; b < blocks; b++) sum += (double)sums[b * step + c];
        gradient[c] = (tensor->has_grad ? gradient[c] : 0.0f) + (float)sum;
    }
}

int ISA(fast_layer_norm_backward)(const layer_norm_args *args) {
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->mean);
    bool affine = args->weight->needs_grad || args->bias->needs_grad;
    if (!args->x->needs_grad && !args->weight->needs_grad) return FAST_DECLINES; // x is not saved
    int64_t blocks = rows < MAX_BLOCKS ? rows : MAX_BLOCKS, step = 2 * width;
    size_t bytes = affine ? (size_t)(blocks * step) * sizeof(float) : 0;
    float *sums = affine ? memory_alloc(bytes) : NULL;
    if (affine && !sums) return error_int("layer_norm: out of memory");
#pragma omp parallel for schedule(static) if (rows * width > FAST_PARALLEL)
    for (int64_t b = 0; b < blocks; b++)
        backward_rows(args, b * rows / blocks, (b + 1) * rows / blocks,
                      sums ? sums + b * step : NULL);
    write_affine(args->weight, sums, blocks, step);
    write_affine(args->bias, sums ? sums + width : NULL, blocks, step);
    memory_free(sums, bytes);
    return 0;
}
