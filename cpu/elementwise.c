// SPDX-License-Identifier: MIT
// Unary ops, binary ops with broadcasting, and geglu.
#include "cpu/kernel.h"

#include <math.h>

// ---- unary
// ---------------------------------------------------------------------------------------

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

// ---- binary -------------------------------------------------------------------------------------

// How a result [side...] reads its two sources: steps in elements, 0 along a repeated side.
typedef struct {
    int64_t side[TENSOR_MAX_DIMS];
    int64_t step[2][TENSOR_MAX_DIMS];
} Pairing;

static Pairing pairing_of(const binary_args *args) {
    Pairing pairing;
    const Tensor *sources[2] = {args->left, args->right};
    for (int i = 0; i < TENSOR_MAX_DIMS; i++) {
        int from_end = i - TENSOR_MAX_DIMS;
        pairing.side[i] = -from_end <= args->y->ndim ? tensor_side(args->y, from_end) : 1;
    }
    for (int s = 0; s < 2; s++) {
        int64_t step = 1;
        for (int i = TENSOR_MAX_DIMS - 1; i >= 0; i--) {
            int from_end = i - TENSOR_MAX_DIMS;
            int64_t side = -from_end <= sources[s]->ndim ? tensor_side(sources[s], from_end) : 1;
            pairing.step[s][i] = side == 1 ? 0 : step;
            step *= side;
        }
    }
    return pairing;
}

static real combine(BinaryKind kind, real left, real right) {
    return kind == BINARY_ADD ? left + right : kind == BINARY_SUB ? left - right : left * right;
}

int CPU(binary_forward)(const binary_args *args) {
    Pairing p = pairing_of(args);
    const int last = TENSOR_MAX_DIMS - 1;
    int64_t count = tensor_numel(args->y), length = p.side[last];
    int64_t rows = length > 0 ? count / length : 0;
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t row = 0; row < rows; row++) {
        const real *left = values(args->left), *right = values(args->right);
        real *y = values(args->y) + row * length;
        for (int64_t rest = row, i = last - 1; i >= 0; rest /= p.side[i], i--) {
            left += rest % p.side[i] * p.step[0][i];
            right += rest % p.side[i] * p.step[1][i];
        }
        for (int64_t k = 0; k < length; k++)
            y[k] = combine(args->kind, left[k * p.step[0][last]], right[k * p.step[1][last]]);
    }
    return 0;
}

// The gradient of source s: for each of its elements the sum over all places of the result that
// read it. `other` is the factor in a product, NULL otherwise.
static void binary_gradient(const binary_args *args, int s, double sign, const real *other) {
    Pairing p = pairing_of(args);
    Tensor *source = s == 0 ? args->left : args->right;
    const real *dy = gradient(args->y);
    real *dx = gradient(source);
    int64_t count = tensor_numel(source), repeats = count ? tensor_numel(args->y) / count : 0;
    bool add = source->has_grad;
    int64_t y_step[TENSOR_MAX_DIMS], step = 1;
    for (int i = TENSOR_MAX_DIMS - 1; i >= 0; step *= p.side[i], i--) y_step[i] = step;
#pragma omp parallel for schedule(static) if (count * repeats > 1 << 14)
    for (int64_t element = 0; element < count; element++) {
        int64_t y_base = 0, other_base = 0;
        for (int64_t rest = element, i = TENSOR_MAX_DIMS - 1; i >= 0; i--) {
            if (p.step[s][i] == 0) continue;
            y_base += rest % p.side[i] * y_step[i];
            other_base += rest % p.side[i] * p.step[1 - s][i];
            rest /= p.side[i];
        }
        double sum = 0;
        for (int64_t repeat = 0; repeat < repeats; repeat++) {
            int64_t y_at = y_base, other_at = other_base;
            for (int64_t rest = repeat, i = TENSOR_MAX_DIMS - 1; i >= 0; i--) {
                if (p.step[s][i] != 0) continue;
                y_at += rest % p.side[i] * y_step[i];
                other_at += rest % p.side[i] * p.step[1 - s][i];
                rest /= p.side[i];
            }
            sum += (double)dy[y_at] * (other ? (double)other[other_at] : 1);
        }
        accumulate(dx + element, (real)(sign * sum), add);
    }
}

int CPU(binary_backward)(const binary_args *args) {
    bool mul = args->kind == BINARY_MUL;
    double right_sign = args->kind == BINARY_SUB ? -1 : 1;
    if (args->left->needs_grad) binary_gradient(args, 0, 1, mul ? values(args->right) : NULL);
    if (args->right->needs_grad)
        binary_gradient(args, 1, right_sign, mul ? values(args->left) : NULL);
    return 0;
}

// ---- geglu --------------------------------------------------------------------------------------

int CPU(geglu_forward)(const geglu_args *args) {
    int64_t width = tensor_side(args->y, -1), count = tensor_numel(args->y);
    int64_t rows = width > 0 ? count / width : 0;
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t row = 0; row < rows; row++) {
        const real *value_half = values(args->x) + 2 * row * width, *gate = value_half + width;
        real *y = values(args->y) + row * width;
        for (int64_t c = 0; c < width; c++) y[c] = value_half[c] * gate[c] * normal_cdf(gate[c]);
    }
    return 0;
}

int CPU(geglu_backward)(const geglu_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t width = tensor_side(args->y, -1), count = tensor_numel(args->y);
    int64_t rows = width > 0 ? count / width : 0;
    bool add = args->x->has_grad;
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t row = 0; row < rows; row++) {
        const real *value_half = values(args->x) + 2 * row * width, *gate = value_half + width;
        const real *dy = gradient(args->y) + row * width;
        real *dvalue = gradient(args->x) + 2 * row * width, *dgate = dvalue + width;
        for (int64_t c = 0; c < width; c++) {
            real cdf = normal_cdf(gate[c]);
            real slope_of_gate = cdf + gate[c] * normal_density(gate[c]);
            accumulate(dvalue + c, dy[c] * gate[c] * cdf, add);
            accumulate(dgate + c, dy[c] * value_half[c] * slope_of_gate, add);
        }
    }
    return 0;
}
