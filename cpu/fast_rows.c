// SPDX-License-Identifier: MIT
// Bias and residual of fast products. See fast_rows.h.
#include "cpu/fast_rows.h"

#include "cpu/fast_kernel.h"
#include "base/error.h"
#include "cpu/memory.h"

#include <string.h>

static void begin_row(float *y, const float *bias, const float *residual, int64_t channels) {
    if (bias && residual) {
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) y[c] = bias[c] + residual[c];
    } else if (bias || residual) {
        memcpy(y, bias ? bias : residual, (size_t)channels * sizeof *y);
    } else {
        memset(y, 0, (size_t)channels * sizeof *y);
    }
}

void ISA(fast_rows_begin)(const Tensor *y, const Tensor *bias, const Tensor *residual) {
    int64_t channels = tensor_side(y, -1), rows = tensor_numel(y) / channels;
    const float *offset = bias->data, *other = residual->data;
    float *to = y->data;
#pragma omp parallel for schedule(static) if (rows * channels > FAST_PARALLEL)
    for (int64_t row = 0; row < rows; row++)
        begin_row(to + row * channels, offset, other ? other + row * channels : NULL, channels);
}

static void add_rows(const float *dy, int64_t first, int64_t end, int64_t channels, double *sums) {
    memset(sums, 0, (size_t)channels * sizeof *sums);
    for (int64_t row = first; row < end; row++)
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) sums[c] += (double)dy[row * channels + c];
}

int ISA(fast_column_sums)(const float *dy, int64_t rows, int64_t channels, double factor, float *to,
                          bool add) {
    int64_t pieces = rows * channels > FAST_PARALLEL ? (rows < 32 ? rows : 32) : 1;
    size_t bytes = (size_t)(pieces * channels) * sizeof(double);
    double *sums = memory_alloc(bytes);
    if (!sums) return error_int("column sums: out of memory");
#pragma omp parallel for schedule(static) if (pieces > 1)
    for (int64_t i = 0; i < pieces; i++)
        add_rows(dy, rows * i / pieces, rows * (i + 1) / pieces, channels, sums + i * channels);
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t i = 0; i < pieces; i++) sum += sums[i * channels + c];
        to[c] = (add ? to[c] : 0.0f) + (float)(factor * sum);
    }
    memory_free(sums, bytes);
    return 0;
}

static void residual_backward(const float *dy, int64_t count, float *to, bool add) {
    if (add) {
#pragma omp parallel for simd schedule(static) if (count > FAST_PARALLEL)
        for (int64_t i = 0; i < count; i++) to[i] += dy[i];
    } else {
#pragma omp parallel for simd schedule(static) if (count > FAST_PARALLEL)
        for (int64_t i = 0; i < count; i++) to[i] = dy[i];
    }
}

int ISA(fast_rows_backward)(const Tensor *y, const Tensor *bias, const Tensor *residual) {
    int64_t channels = tensor_side(y, -1), count = tensor_numel(y);
    const float *dy = y->grad->data;
    if (residual->needs_grad)
        residual_backward(dy, count, residual->grad->data, residual->has_grad);
    if (!bias->needs_grad) return 0;
    return ISA(fast_column_sums)(dy, count / channels, channels, 1, bias->grad->data,
                                 bias->has_grad);
}
