// SPDX-License-Identifier: MIT
// Float kernels of unary and geglu with vectorised exponentials, and of binary without repeats,
// or with one source that is repeated over the middle (a vector of channels per image).
#include "cpu/fast_kernel.h"
#include "cpu/fast_rows.h"
#include "cpu/fast_vector.h"

enum { CHUNK = 4096 }; // elements that one call handles

// ---- unary --------------------------------------------------------------------------------------

static void unary_values(UnaryKind kind, const float *x, int64_t count, float *y) {
    float bell, scale = kind == UNARY_QUICK_GELU ? 1.702f : 1.0f;
    if (kind == UNARY_GELU) {
#pragma omp simd private(bell)
        for (int64_t i = 0; i < count; i++) y[i] = x[i] * vector_normal_cdf(x[i], &bell);
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) y[i] = x[i] * vector_sigmoid(scale * x[i]);
    }
}

// `add` is a constant where this is inlined: a choice inside the loop would keep it scalar.
INLINED void slopes_of_unary(UnaryKind kind, const float *x, const float *dy, int64_t count,
                             bool add, float *dx) {
    float bell, scale = kind == UNARY_QUICK_GELU ? 1.702f : 1.0f;
    if (kind == UNARY_GELU) {
#pragma omp simd private(bell)
        for (int64_t i = 0; i < count; i++) {
            float cdf = vector_normal_cdf(x[i], &bell);
            float d = dy[i] * (cdf + x[i] * 0.39894228f * bell);
            dx[i] = add ? dx[i] + d : d;
        }
    } else {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) {
            float s = vector_sigmoid(scale * x[i]);
            float d = dy[i] * s * (1.0f + scale * x[i] * (1.0f - s));
            dx[i] = add ? dx[i] + d : d;
        }
    }
}

static void unary_slopes(UnaryKind kind, const float *x, const float *dy, int64_t count, bool add,
                         float *dx) {
    if (add)
        slopes_of_unary(kind, x, dy, count, true, dx);
    else
        slopes_of_unary(kind, x, dy, count, false, dx);
}

static bool has_fast_unary(UnaryKind kind) {
    return kind == UNARY_SILU || kind == UNARY_GELU || kind == UNARY_QUICK_GELU;
}

static int64_t chunk_length(int64_t start, int64_t count) {
    return count - start < CHUNK ? count - start : CHUNK;
}

int ISA(fast_unary_forward)(const unary_args *args) {
    if (!has_fast_unary(args->kind)) return FAST_DECLINES;
    const float *x = args->x->data;
    float *y = args->y->data;
    int64_t count = tensor_numel(args->y);
#pragma omp parallel for schedule(static) if (count > 1 << 15)
    for (int64_t i = 0; i < count; i += CHUNK)
        unary_values(args->kind, x + i, chunk_length(i, count), y + i);
    return 0;
}

int ISA(fast_unary_backward)(const unary_args *args) {
    if (!has_fast_unary(args->kind) || !args->x->needs_grad) return FAST_DECLINES;
    const float *x = args->x->data, *dy = args->y->grad->data;
    float *dx = args->x->grad->data;
    int64_t count = tensor_numel(args->y);
#pragma omp parallel for schedule(static) if (count > 1 << 15)
    for (int64_t i = 0; i < count; i += CHUNK)
        unary_slopes(args->kind, x + i, dy + i, chunk_length(i, count), args->x->has_grad, dx + i);
    return 0;
}

// ---- geglu --------------------------------------------------------------------------------------

static void geglu_values(const float *value, const float *gate, int64_t count, float *y) {
    float bell;
#pragma omp simd private(bell)
    for (int64_t i = 0; i < count; i++)
        y[i] = value[i] * gate[i] * vector_normal_cdf(gate[i], &bell);
}

INLINED void slopes_of_geglu(const float *value, const float *gate, const float *dy, int64_t count,
                             bool add, float *dvalue, float *dgate) {
    float bell;
#pragma omp simd private(bell)
    for (int64_t i = 0; i < count; i++) {
        float cdf = vector_normal_cdf(gate[i], &bell);
        float v = dy[i] * gate[i] * cdf;
        float g = dy[i] * value[i] * (cdf + gate[i] * 0.39894228f * bell);
        dvalue[i] = add ? dvalue[i] + v : v;
        dgate[i] = add ? dgate[i] + g : g;
    }
}

static void geglu_slopes(const float *value, const float *gate, const float *dy, int64_t count,
                         bool add, float *dvalue, float *dgate) {
    if (add)
        slopes_of_geglu(value, gate, dy, count, true, dvalue, dgate);
    else
        slopes_of_geglu(value, gate, dy, count, false, dvalue, dgate);
}

int ISA(fast_geglu_forward)(const geglu_args *args) {
    int64_t width = tensor_side(args->y, -1), count = tensor_numel(args->y);
    int64_t rows = width > 0 ? count / width : 0;
    const float *x = args->x->data;
    float *y = args->y->data;
#pragma omp parallel for schedule(static) if (count > 1 << 15)
    for (int64_t row = 0; row < rows; row++)
        geglu_values(x + 2 * row * width, x + (2 * row + 1) * width, width, y + row * width);
    return 0;
}

int ISA(fast_geglu_backward)(const geglu_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t width = tensor_side(args->y, -1), count = tensor_numel(args->y);
    int64_t rows = width > 0 ? count / width : 0;
    const float *x = args->x->data, *dy = args->y->grad->data;
    float *dx = args->x->grad->data;
#pragma omp parallel for schedule(static) if (count > 1 << 15)
    for (int64_t row = 0; row < rows; row++)
        geglu_slopes(x + 2 * row * width, x + (2 * row + 1) * width, dy + row * width, width,
                     args->x->has_grad, dx + 2 * row * width, dx + (2 * row + 1) * width);
    return 0;
}

// ---- binary -------------------------------------------------------------------------------------

static void binary_values(BinaryKind kind, const float *left, const float *right, int64_t count,
                          float *y) {
    if (kind == BINARY_ADD)
        for (int64_t i = 0; i < count; i++) y[i] = left[i] + right[i];
    else if (kind == BINARY_SUB)
        for (int64_t i = 0; i < count; i++) y[i] = left[i] - right[i];
    else
        for (int64_t i = 0; i < count; i++) y[i] = left[i] * right[i];
}

// dx (+)= sign dy, or dy other.
static void binary_slopes(float sign, const float *dy, const float *other, int64_t count, bool add,
                          float *dx) {
    if (other)
        for (int64_t i = 0; i < count; i++) dx[i] = (add ? dx[i] : 0.0f) + dy[i] * other[i];
    else
        for (int64_t i = 0; i < count; i++) dx[i] = (add ? dx[i] : 0.0f) + sign * dy[i];
}

int ISA(fast_binary_forward)(const binary_args *args) {
    if (!tensor_same_shape(args->left, args->right)) return FAST_DECLINES;
    const float *left = args->left->data, *right = args->right->data;
    float *y = args->y->data;
    int64_t count = tensor_numel(args->y);
#pragma omp parallel for schedule(static) if (count > 1 << 16)
    for (int64_t i = 0; i < count; i += CHUNK)
        binary_values(args->kind, left + i, right + i, chunk_length(i, count), y + i);
    return 0;
}

static void same_shape_backward(const Tensor *y, const Tensor *source, const Tensor *factor,
                                float sign) {
    const float *dy = y->grad->data, *other = factor ? factor->data : NULL;
    float *dx = source->grad->data;
    int64_t count = tensor_numel(y);
#pragma omp parallel for schedule(static) if (count > 1 << 16)
    for (int64_t i = 0; i < count; i += CHUNK)
        binary_slopes(sign, dy + i, other ? other + i : NULL, chunk_length(i, count),
                      source->has_grad, dx + i);
}

// A source that stands for [outer,1,width] where the result is [outer,rows,width].
typedef struct {
    int64_t outer, rows, width;
} Repeat;

static int64_t aligned_side(const Tensor *tensor, int from_end) {
    return from_end <= tensor->ndim ? tensor_side(tensor, -from_end) : 1;
}

static bool is_repeated(const Tensor *source, const Tensor *y, Repeat *repeat) {
    *repeat = (Repeat){1, 1, 1};
    int i = 1;
    for (; i <= y->ndim && aligned_side(source, i) == aligned_side(y, i); i++)
        repeat->width *= aligned_side(y, i);
    for (; i <= y->ndim && aligned_side(source, i) == 1; i++) repeat->rows *= aligned_side(y, i);
    for (; i <= y->ndim && aligned_side(source, i) == aligned_side(y, i); i++)
        repeat->outer *= aligned_side(y, i);
    return i > y->ndim && repeat->rows > 0;
}

static int repeated_backward(const Tensor *y, const Tensor *source, const Repeat *r, double sign) {
    const float *dy = y->grad->data;
    float *dx = source->grad->data;
    int result = 0;
    for (int64_t i = 0; i < r->outer && result == 0; i++)
        result = ISA(fast_column_sums)(dy + i * r->rows * r->width, r->rows, r->width, sign,
                                       dx + i * r->width, source->has_grad);
    return result;
}

int ISA(fast_binary_backward)(const binary_args *args) {
    const Tensor *y = args->y, *left = args->left, *right = args->right;
    bool mul = args->kind == BINARY_MUL, same = tensor_same_shape(left, right);
    float right_sign = args->kind == BINARY_SUB ? -1.0f : 1.0f;
    Repeat repeat;
    if (!same && (mul || !tensor_same_shape(left, y) || !is_repeated(right, y, &repeat)))
        return FAST_DECLINES;
    if (left->needs_grad) same_shape_backward(y, left, mul ? right : NULL, 1);
    if (!right->needs_grad) return 0;
    if (!same) return repeated_backward(y, right, &repeat, (double)right_sign);
    same_shape_backward(y, right, mul ? left : NULL, right_sign);
    return 0;
}
