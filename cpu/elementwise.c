// SPDX-License-Identifier: MIT
// Unary ops: y = f(x), dx = f'(x) dy.
#include "cpu/kernel.h"

#include <math.h>

static real sigmoid(real x) {
    return 1 / (1 + MATH(exp)(-x));
}

static real normal_cdf(real x) {
    return REAL(0.5) * (1 + MATH(erf)(x * REAL(0.70710678118654752)));
}

static real normal_density(real x) {
    return REAL(0.39894228040143268) * MATH(exp)(REAL(-0.5) * x * x);
}

static real value(UnaryKind kind, real x, real a, real b) {
    switch (kind) {
    case UNARY_SILU:
        return x * sigmoid(x);
    case UNARY_GELU:
        return x * normal_cdf(x);
    case UNARY_QUICK_GELU:
        return x * sigmoid(REAL(1.702) * x);
    case UNARY_EXP:
        return MATH(exp)(x);
    case UNARY_SQUARE:
        return x * x;
    case UNARY_CLAMP:
        return x < a ? a : x > b ? b : x;
    case UNARY_AFFINE:
        return a * x + b;
    }
    return x;
}

// x is the saved tensor: the input, for exp the output, for affine not read.
static real slope(UnaryKind kind, real x, real a, real b) {
    real s;
    switch (kind) {
    case UNARY_SILU:
        s = sigmoid(x);
        return s * (1 + x * (1 - s));
    case UNARY_GELU:
        return normal_cdf(x) + x * normal_density(x);
    case UNARY_QUICK_GELU:
        s = sigmoid(REAL(1.702) * x);
        return s * (1 + REAL(1.702) * x * (1 - s));
    case UNARY_EXP:
        return x;
    case UNARY_SQUARE:
        return 2 * x;
    case UNARY_CLAMP:
        return x >= a && x <= b;
    case UNARY_AFFINE:
        return a;
    }
    return 0;
}

int CPU(unary_forward)(const unary_args *args) {
    const real *x = values(args->x), a = (real)args->a, b = (real)args->b;
    real *y = values(args->y);
    int64_t count = tensor_numel(args->y);
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t i = 0; i < count; i++) y[i] = value(args->kind, x[i], a, b);
    return 0;
}

int CPU(unary_backward)(const unary_args *args) {
    if (!args->x->needs_grad) return 0;
    const real *dy = gradient(args->y), a = (real)args->a, b = (real)args->b;
    const real *saved = args->kind == UNARY_EXP ? values(args->y) : values(args->x);
    real *dx = gradient(args->x);
    bool add = args->x->has_grad, constant = args->kind == UNARY_AFFINE;
    int64_t count = tensor_numel(args->y);
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t i = 0; i < count; i++)
        accumulate(dx + i, dy[i] * slope(args->kind, constant ? 0 : saved[i], a, b), add);
    return 0;
}
