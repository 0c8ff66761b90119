// SPDX-License-Identifier: MIT
// Layer normalization over the last side: y = weight (x - mean) rstd + bias.
#include "cpu/kernel.h"

#include <math.h>

int CPU(layer_norm_forward)(const layer_norm_args *args) {
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->mean);
    const real *weight = values(args->weight), *bias = values(args->bias);
    real *mean = values(args->mean), *rstd = values(args->rstd);
#pragma omp parallel for schedule(static) if (rows * width > 1 << 14)
    for (int64_t row = 0; row < rows; row++) {
        const real *x = values(args->x) + row * width;
        real *y = values(args->y) + row * width;
        double sum = 0, squares = 0;
        for (int64_t c = 0; c < width; c++) sum += (double)x[c];
        double center = sum / (double)width;
        for (int64_t c = 0; c < width; c++)
            squares += ((double)x[c] - center) * ((double)x[c] - center);
        mean[row] = (real)center;
        rstd[row] = (real)(1 / sqrt(squares / (double)width + args->eps));
        for (int64_t c = 0; c < width; c++)
            y[c] = (x[c] - mean[row]) * rstd[row] * weight[c] + bias[c];
    }
    return 0;
}

static void input_gradient(const layer_norm_args *args, int64_t row, int64_t width) {
    const real *x = values(args->x) + row * width, *weight = values(args->weight);
    const real *dy = gradient(args->y) + row * width;
    real mean = values(args->mean)[row], rstd = values(args->rstd)[row];
    real *dx = gradient(args->x) + row * width;
    double sum = 0, dot = 0;
    for (int64_t c = 0; c < width; c++) {
        double dxhat = (double)(dy[c] * weight[c]);
        sum += dxhat;
        dot += dxhat * (double)((x[c] - mean) * rstd);
    }
    real mean_sum = (real)(sum / (double)width), mean_dot = (real)(dot / (double)width);
    for (int64_t c = 0; c < width; c++) {
        real xhat = (x[c] - mean) * rstd;
        accumulate(dx + c, rstd * (dy[c] * weight[c] - mean_sum - xhat * mean_dot),
                   args->x->has_grad);
    }
}

static void affine_gradient(const layer_norm_args *args, int64_t channel, int64_t width) {
    bool reads_x = args->weight->needs_grad;
    double dweight = 0, dbias = 0;
    for (int64_t row = 0; row < tensor_numel(args->mean); row++) {
        int64_t at = row * width + channel;
        double dy = (double)gradient(args->y)[at];
        dbias += dy;
        if (reads_x)
            dweight += dy * (double)((values(args->x)[at] - values(args->mean)[row]) *
                                     values(args->rstd)[row]);
    }
    if (args->weight->needs_grad)
        accumulate(gradient(args->weight) + channel, (real)dweight, args->weight->has_grad);
    if (args->bias->needs_grad)
        accumulate(gradient(args->bias) + channel, (real)dbias, args->bias->has_grad);
}

int CPU(layer_norm_backward)(const layer_norm_args *args) {
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->mean);
    if (args->x->needs_grad) {
#pragma omp parallel for schedule(static) if (rows * width > 1 << 14)
        for (int64_t row = 0; row < rows; row++) input_gradient(args, row, width);
    }
    if (args->weight->needs_grad || args->bias->needs_grad) {
#pragma omp parallel for schedule(static) if (rows * width > 1 << 14)
        for (int64_t c = 0; c < width; c++) affine_gradient(args, c, width);
    }
    return 0;
}
