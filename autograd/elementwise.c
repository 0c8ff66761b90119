// SPDX-License-Identifier: MIT
// Fronts of the unary, binary and geglu ops. See ops.h.
#include "autograd/front.h"

#include "autograd/backend.h"

static Tensor *unary(Tensor *x, UnaryKind kind, double a, double b) {
    unary_args args = {.x = x, .kind = kind, .a = a, .b = b};
    if (!front_inputs(OP_unary, &args)) return NULL;
    args.y = tape_result_like(x);
    return RUN(unary, args);
}

unsigned unary_saves(const unary_args *args) {
    if (args->kind == UNARY_AFFINE) return 0;
    return args->kind == UNARY_EXP ? 1u << 1 : 1u << 0;
}

Tensor *op_silu(Tensor *x) {
    return unary(x, UNARY_SILU, 0, 0);
}

Tensor *op_gelu(Tensor *x) {
    return unary(x, UNARY_GELU, 0, 0);
}

Tensor *op_quick_gelu(Tensor *x) {
    return unary(x, UNARY_QUICK_GELU, 0, 0);
}

Tensor *op_exp(Tensor *x) {
    return unary(x, UNARY_EXP, 0, 0);
}

Tensor *op_square(Tensor *x) {
    return unary(x, UNARY_SQUARE, 0, 0);
}

Tensor *op_clamp(Tensor *x, double low, double high) {
    if (!(low <= high)) return error_null("clamp: low %g is above high %g", low, high);
    return unary(x, UNARY_CLAMP, low, high);
}

Tensor *op_affine(Tensor *x, double scale, double shift) {
    return unary(x, UNARY_AFFINE, scale, shift);
}

// The shape of left (+) right, aligned at the end; false with an error where two sides differ.
static bool common_shape(const Tensor *left, const Tensor *right, int *ndim, int64_t *shape) {
    *ndim = left->ndim > right->ndim ? left->ndim : right->ndim;
    for (int i = 1; i <= *ndim; i++) {
        int64_t a = i <= left->ndim ? tensor_side(left, -i) : 1;
        int64_t b = i <= right->ndim ? tensor_side(right, -i) : 1;
        if (a != b && a != 1 && b != 1) {
            error_null("binary: %s and %s do not fit together", tensor_text(left),
                       tensor_text(right));
            return false;
        }
        shape[*ndim - i] = a == 1 ? b : a;
    }
    return true;
}

static Tensor *binary(Tensor *left, Tensor *right, BinaryKind kind) {
    binary_args args = {.left = left, .right = right, .kind = kind};
    int ndim;
    int64_t shape[TENSOR_MAX_DIMS];
    if (!front_inputs(OP_binary, &args) || !common_shape(left, right, &ndim, shape)) return NULL;
    args.y = tape_result(left->dtype, ndim, shape);
    return RUN(binary, args);
}

unsigned binary_saves(const binary_args *args) {
    bool mul = args->kind == BINARY_MUL;
    return save_if(mul && needs_grad(args->right), 0) | save_if(mul && needs_grad(args->left), 1);
}

Tensor *op_add(Tensor *left, Tensor *right) {
    return binary(left, right, BINARY_ADD);
}

Tensor *op_sub(Tensor *left, Tensor *right) {
    return binary(left, right, BINARY_SUB);
}

Tensor *op_mul(Tensor *left, Tensor *right) {
    return binary(left, right, BINARY_MUL);
}

Tensor *op_cast(Tensor *x, Dtype dtype) {
    cast_args args = {.x = x};
    if (!front_inputs(OP_cast, &args)) return NULL;
    if (x->dtype == dtype) return x;
    if (dtype != F32 && dtype != F64 && dtype != BF16)
        return error_null("cast: %s is not a float type", dtype_name(dtype));
    if (dtype == BF16 && !backend_current()->bf16)
        return error_null("cast: this device does not compute in bf16");
    args.y = tape_result(dtype, x->ndim, x->shape);
    return RUN(cast, args);
}

unsigned cast_saves(const cast_args *args) {
    (void)args;
    return 0;
}

Tensor *op_geglu(Tensor *x) {
    geglu_args args = {.x = x};
    if (!front_inputs(OP_geglu, &args)) return NULL;
    if (x->ndim < 1 || tensor_side(x, -1) % 2 != 0)
        return error_null("geglu: the last side of %s must be even", tensor_text(x));
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++) shape[i] = x->shape[i];
    shape[x->ndim - 1] /= 2;
    args.y = tape_result(x->dtype, x->ndim, shape);
    return RUN(geglu, args);
}

unsigned geglu_saves(const geglu_args *args) {
    (void)args;
    return save_if(true, 0);
}
