// SPDX-License-Identifier: MIT
// Softmax over the last side: y = exp(x - max) / sum, dx = y (dy - sum(dy y)).
#include "cpu/kernel.h"

#include <math.h>

int CPU(softmax_forward)(const softmax_args *args) {
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->x) / width;
#pragma omp parallel for schedule(static) if (rows * width > 1 << 14)
    for (int64_t row = 0; row < rows; row++) {
        const real *x = values(args->x) + row * width;
        real *y = values(args->y) + row * width, highest = x[0];
        double sum = 0;
        for (int64_t i = 1; i < width; i++)
            if (x[i] > highest) highest = x[i];
        for (int64_t i = 0; i < width; i++) {
            y[i] = MATH(exp)(x[i] - highest);
            sum += (double)y[i];
        }
        for (int64_t i = 0; i < width; i++) y[i] = (real)((double)y[i] / sum);
    }
    return 0;
}

int CPU(softmax_backward)(const softmax_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->x) / width;
#pragma omp parallel for schedule(static) if (rows * width > 1 << 14)
    for (int64_t row = 0; row < rows; row++) {
        const real *y = values(args->y) + row * width, *dy = gradient(args->y) + row * width;
        real *dx = gradient(args->x) + row * width;
        double dot = 0;
        for (int64_t i = 0; i < width; i++) dot += (double)y[i] * (double)dy[i];
        for (int64_t i = 0; i < width; i++)
            accumulate(dx + i, (real)((double)y[i] * ((double)dy[i] - dot)), args->x->has_grad);
    }
    return 0;
}
