// SPDX-License-Identifier: MIT
// Fronts of the unary ops. See ops.h.
#include "autograd/front.h"

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
