// SPDX-License-Identifier: MIT
// Fronts of matmul and linear. See ops.h.
#include "autograd/front.h"

#include <string.h>

Tensor *op_linear(Tensor *x, Tensor *weight, Tensor *bias, Tensor *residual) {
    linear_args args = {.x = x, .weight = weight, .bias = bias, .residual = residual};
    if (!front_inputs(OP_linear, &args)) return NULL;
    if (!front_ndim("linear", "weight", weight, 2) ||
        !front_dtype("linear", "weight", weight, front_precise(x)))
        return NULL;
    if (x->ndim < 1 || tensor_side(x, -1) != weight->shape[1])
        return error_null("linear: the last side of x %s is not the last side of weight %s",
                          tensor_text(x), tensor_text(weight));
    if (tensor_numel(weight) == 0)
        return error_null("linear: weight %s is empty", tensor_text(weight));
    int64_t shape[TENSOR_MAX_DIMS];
    memcpy(shape, x->shape, sizeof shape);
    shape[x->ndim - 1] = weight->shape[0];
    if (!is_none(bias) && (!front_vector("linear", "bias", bias, weight->shape[0]) ||
                           !front_dtype("linear", "bias", bias, front_precise(x))))
        return NULL;
    if (!is_none(residual) && (!front_shape("linear", "residual", residual, x->ndim, shape) ||
                               !front_dtype("linear", "residual", residual, x->dtype)))
        return NULL;
    args.y = tape_result(x->dtype, x->ndim, shape);
    return RUN(linear, args);
}

unsigned linear_saves(const linear_args *args) {
    return save_if(needs_grad(args->weight), 0) | save_if(needs_grad(args->x), 1);
}

Tensor *op_matmul(Tensor *left, Tensor *right, bool transpose_left, bool transpose_right) {
    matmul_args args = {.left = left,
                        .right = right,
                        .transpose_left = transpose_left,
                        .transpose_right = transpose_right};
    if (!front_inputs(OP_matmul, &args)) return NULL;
    if (!front_ndim("matmul", "left", left, 3) || !front_ndim("matmul", "right", right, 3) ||
        !front_dtype("matmul", "right", right, left->dtype))
        return NULL;
    int64_t inner = left->shape[transpose_left ? 1 : 2];
    if (left->shape[0] != right->shape[0] || inner != right->shape[transpose_right ? 2 : 1])
        return error_null("matmul: left %s%s and right %s%s have different batches or inner sides",
                          tensor_text(left), transpose_left ? " transposed" : "",
                          tensor_text(right), transpose_right ? " transposed" : "");
    args.y = tape_result(left->dtype, DIMS(left->shape[0], left->shape[transpose_left ? 2 : 1],
                                           right->shape[transpose_right ? 1 : 2]));
    return RUN(matmul, args);
}

unsigned matmul_saves(const matmul_args *args) {
    return save_if(needs_grad(args->right), 0) | save_if(needs_grad(args->left), 1);
}
