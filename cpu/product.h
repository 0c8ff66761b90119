// SPDX-License-Identifier: MIT
// What the reference kernels of products share. Include after cpu/kernel.h.
#ifndef CPU_PRODUCT_H
#define CPU_PRODUCT_H

#include "cpu/kernel.h"

static inline real dot(const real *a, const real *b, int64_t count) {
    real sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

// to += factor * from
static inline void add_scaled(real *to, const real *from, real factor, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) to[i] += factor * from[i];
}

static inline void set_zero(real *to, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] = 0;
}

// Gradient of what was added to every row (bias) or element (residual) of a result.
static inline void bias_backward(const Tensor *bias, const Tensor *y) {
    if (!bias->needs_grad) return;
    int64_t channels = tensor_numel(bias), rows = tensor_numel(y) / channels;
    const real *dy = gradient(y);
    real *dbias = gradient(bias);
#pragma omp parallel for schedule(static) if (rows * channels > 1 << 14)
    for (int64_t c = 0; c < channels; c++) {
        double sum = 0;
        for (int64_t row = 0; row < rows; row++) sum += (double)dy[row * channels + c];
        accumulate(dbias + c, (real)sum, bias->has_grad);
    }
}

static inline void residual_backward(const Tensor *residual, const Tensor *y) {
    if (!residual->needs_grad) return;
    const real *dy = gradient(y);
    real *dresidual = gradient(residual);
    int64_t count = tensor_numel(y);
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t i = 0; i < count; i++) accumulate(dresidual + i, dy[i], residual->has_grad);
}

#endif
