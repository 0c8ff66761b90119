// SPDX-License-Identifier: MIT
// Output normalisation y = 255 (x + |min|) / scale. The scale depends on min and max (method 2.5),
// so a gradient reaches the elements that are the minimum or the maximum, in equal parts.
#include "cpu/kernel.h"

#include <math.h>

enum { RANGE_MIN, RANGE_MAX, RANGE_MINS, RANGE_MAXS, RANGE_FIELDS };

static double sign(double x) {
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}

// The denominator; 0 for an image that has no range.
static double scale_of(MinmaxForm form, double low, double high) {
    double shift = fabs(low);
    if (form == MINMAX_TRAINING) return fabs(high) + shift + 1e-5;
    return fabs(high + shift) + fabs(low + shift);
}

static void find_range(const real *x, int64_t count, real *range) {
    real low = x[0], high = x[0];
    int64_t lows = 0, highs = 0;
    for (int64_t i = 1; i < count; i++) {
        if (x[i] < low) low = x[i];
        if (x[i] > high) high = x[i];
    }
    for (int64_t i = 0; i < count; i++) {
        lows += x[i] == low;
        highs += x[i] == high;
    }
    range[RANGE_MIN] = low;
    range[RANGE_MAX] = high;
    range[RANGE_MINS] = (real)lows;
    range[RANGE_MAXS] = (real)highs;
}

int CPU(minmax_forward)(const minmax_args *args) {
    int64_t groups = args->range->shape[0], count = tensor_numel(args->x) / groups;
#pragma omp parallel for schedule(static) if (groups > 1 && groups * count > 1 << 14)
    for (int64_t group = 0; group < groups; group++) {
        const real *x = values(args->x) + group * count;
        real *y = values(args->y) + group * count;
        real *range = values(args->range) + group * RANGE_FIELDS;
        find_range(x, count, range);
        double low = (double)range[RANGE_MIN];
        double scale = scale_of(args->form, low, (double)range[RANGE_MAX]);
        for (int64_t i = 0; i < count; i++)
            y[i] = scale > 0 ? (real)(255 * ((double)x[i] + fabs(low)) / scale) : 0;
    }
    return 0;
}

static void group_backward(const minmax_args *args, int64_t group, int64_t count) {
    const real *x = values(args->x) + group * count, *dy = gradient(args->y) + group * count;
    const real *range = values(args->range) + group * RANGE_FIELDS;
    real *dx = gradient(args->x) + group * count;
    double low = (double)range[RANGE_MIN], high = (double)range[RANGE_MAX], shift = fabs(low);
    double scale = scale_of(args->form, low, high), dshift = 0, dscale = 0;
    for (int64_t i = 0; scale > 0 && i < count; i++) {
        dshift += 255 * (double)dy[i] / scale;
        dscale -= 255 * (double)dy[i] * ((double)x[i] + shift) / (scale * scale);
    }
    double dlow, dhigh = sign(high) * dscale;
    if (args->form == MINMAX_TRAINING) {
        dlow = sign(low) * (dshift + dscale);
    } else { // the ends of x + shift lie at low + shift and high + shift
        double low_end = sign(low + shift), high_end = sign(high + shift);
        dlow = dscale * low_end + sign(low) * (dshift + dscale * (low_end + high_end));
        dhigh = dscale * high_end;
    }
    dlow /= (double)range[RANGE_MINS];
    dhigh /= (double)range[RANGE_MAXS];
    for (int64_t i = 0; i < count; i++) {
        double d = scale > 0 ? 255 * (double)dy[i] / scale : 0;
        if (x[i] == range[RANGE_MIN]) d += dlow;
        if (x[i] == range[RANGE_MAX]) d += dhigh;
        accumulate(dx + i, (real)d, args->x->has_grad);
    }
}

int CPU(minmax_backward)(const minmax_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t groups = args->range->shape[0], count = tensor_numel(args->x) / groups;
#pragma omp parallel for schedule(static) if (groups > 1 && groups * count > 1 << 14)
    for (int64_t group = 0; group < groups; group++) group_backward(args, group, count);
    return 0;
}
