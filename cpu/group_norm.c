// SPDX-License-Identifier: MIT
// Group normalization with optional SiLU: with xhat = (x - mean) rstd and z = weight xhat + bias,
// y is z or silu(z). Backward needs x and the statistics only; z is computed again.
// Source: Wu and He 2018, eq. 1 to 3.
#include "cpu/kernel.h"

#include <math.h>

typedef struct {
    int64_t batch, inner, channels, groups, width; // width: channels of a group
} Sides;

static Sides sides_of(const group_norm_args *args) {
    const Tensor *x = args->x;
    Sides sides = {.batch = x->shape[0], .inner = 1, .channels = tensor_side(x, -1)};
    for (int i = 1; i < x->ndim - 1; i++) sides.inner *= x->shape[i];
    sides.groups = args->groups;
    sides.width = sides.channels / sides.groups;
    return sides;
}

static void statistics(const Sides *sides, const real *x, double eps, real *mean, real *rstd) {
    double sum = 0, squares = 0, count = (double)(sides->inner * sides->width);
    for (int64_t i = 0; i < sides->inner; i++)
        for (int64_t c = 0; c < sides->width; c++) sum += (double)x[i * sides->channels + c];
    double center = sum / count;
    for (int64_t i = 0; i < sides->inner; i++)
        for (int64_t c = 0; c < sides->width; c++) {
            double d = (double)x[i * sides->channels + c] - center;
            squares += d * d;
        }
    *mean = (real)center;
    *rstd = (real)(1 / sqrt(squares / count + eps));
}

int CPU(group_norm_forward)(const group_norm_args *args) {
    Sides s = sides_of(args);
    real *mean = values(args->mean), *rstd = values(args->rstd);
#pragma omp parallel for schedule(static) if (tensor_numel(args->x) > 1 << 14)
    for (int64_t group = 0; group < s.batch * s.groups; group++) {
        int64_t first = group % s.groups * s.width;
        int64_t start = group / s.groups * s.inner * s.channels + first;
        const real *x = values(args->x) + start;
        const real *weight = values(args->weight) + first, *bias = values(args->bias) + first;
        real *y = values(args->y) + start;
        statistics(&s, x, args->eps, mean + group, rstd + group);
        for (int64_t i = 0; i < s.inner; i++)
            for (int64_t c = 0; c < s.width; c++) {
                int64_t at = i * s.channels + c;
                real z = (x[at] - mean[group]) * rstd[group] * weight[c] + bias[c];
                y[at] = args->silu ? z / (1 + MATH(exp)(-z)) : z;
            }
    }
    return 0;
}

// dloss/dz at one element.
static real dz_at(const group_norm_args *args, int64_t at, int64_t channel, real xhat) {
    real dy = gradient(args->y)[at];
    if (!args->silu) return dy;
    real z = values(args->weight)[channel] * xhat + values(args->bias)[channel];
    real sigmoid = 1 / (1 + MATH(exp)(-z));
    return dy * sigmoid * (1 + z * (1 - sigmoid));
}

static void input_gradient(const group_norm_args *args, const Sides *s, int64_t group) {
    int64_t first = group % s->groups * s->width;
    int64_t start = group / s->groups * s->inner * s->channels + first;
    const real *x = values(args->x) + start, *weight = values(args->weight) + first;
    real mean = values(args->mean)[group], rstd = values(args->rstd)[group];
    real *dx = gradient(args->x) + start;
    double sum = 0, dot = 0, count = (double)(s->inner * s->width);
    for (int64_t i = 0; i < s->inner; i++)
        for (int64_t c = 0; c < s->width; c++) {
            int64_t at = i * s->channels + c;
            real xhat = (x[at] - mean) * rstd;
            double dxhat = (double)(dz_at(args, start + at, first + c, xhat) * weight[c]);
            sum += dxhat;
            dot += dxhat * (double)xhat;
        }
    real mean_sum = (real)(sum / count), mean_dot = (real)(dot / count);
    for (int64_t i = 0; i < s->inner; i++)
        for (int64_t c = 0; c < s->width; c++) {
            int64_t at = i * s->channels + c;
            real xhat = (x[at] - mean) * rstd;
            real dxhat = dz_at(args, start + at, first + c, xhat) * weight[c];
            accumulate(dx + at, rstd * (dxhat - mean_sum - xhat * mean_dot), args->x->has_grad);
        }
}

static void affine_gradient(const group_norm_args *args, const Sides *s, int64_t channel) {
    bool reads_x = args->silu || args->weight->needs_grad;
    double dweight = 0, dbias = 0;
    for (int64_t n = 0; n < s->batch; n++) {
        int64_t group = n * s->groups + channel / s->width;
        for (int64_t i = 0; i < s->inner; i++) {
            int64_t at = (n * s->inner + i) * s->channels + channel;
            real xhat = 0;
            if (reads_x)
                xhat =
                    (values(args->x)[at] - values(args->mean)[group]) * values(args->rstd)[group];
            double dz = (double)dz_at(args, at, channel, xhat);
            dweight += dz * (double)xhat;
            dbias += dz;
        }
    }
    if (args->weight->needs_grad)
        accumulate(gradient(args->weight) + channel, (real)dweight, args->weight->has_grad);
    if (args->bias->needs_grad)
        accumulate(gradient(args->bias) + channel, (real)dbias, args->bias->has_grad);
}

int CPU(group_norm_backward)(const group_norm_args *args) {
    Sides s = sides_of(args);
    if (args->x->needs_grad) {
#pragma omp parallel for schedule(static) if (tensor_numel(args->x) > 1 << 14)
        for (int64_t group = 0; group < s.batch * s.groups; group++)
            input_gradient(args, &s, group);
    }
    if (args->weight->needs_grad || args->bias->needs_grad) {
#pragma omp parallel for schedule(static) if (tensor_numel(args->x) > 1 << 14)
        for (int64_t c = 0; c < s.channels; c++) affine_gradient(args, &s, c);
    }
    return 0;
}
