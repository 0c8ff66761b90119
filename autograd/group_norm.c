// SPDX-License-Identifier: MIT
// Front of group_norm. See ops.h.
#include "autograd/front.h"

static Tensor *group_norm(Tensor *x, Tensor *weight, Tensor *bias, int groups, double eps,
                          bool silu, bool over) {
    group_norm_args args = {
        .x = x, .weight = weight, .bias = bias, .groups = groups, .eps = eps, .silu = silu};
    if (!front_inputs(OP_group_norm, &args)) return NULL;
    if (x->ndim < 2)
        return error_null("group_norm: x %s has no channels beside the batch", tensor_text(x));
    int64_t channels = tensor_side(x, -1);
    if (!front_vector("group_norm", "weight", weight, channels) ||
        !front_vector("group_norm", "bias", bias, channels))
        return NULL;
    if (groups < 1 || channels % groups != 0)
        return error_null("group_norm: %d groups do not divide the channels of %s", groups,
                          tensor_text(x));
    if (!(eps > 0)) return error_null("group_norm: eps is %g, must be above 0", eps);
    args.y = over ? tape_result_over(x, x->ndim, x->shape) : tape_result_like(x);
    args.mean = tape_result(front_precise(x), DIMS(x->shape[0], groups));
    args.rstd = tape_result(front_precise(x), DIMS(x->shape[0], groups));
    return RUN(group_norm, args);
}

Tensor *op_group_norm(Tensor *x, Tensor *weight, Tensor *bias, int groups, double eps, bool silu) {
    return group_norm(x, weight, bias, groups, eps, silu, false);
}

Tensor *op_group_norm_over(Tensor *x, Tensor *weight, Tensor *bias, int groups, double eps,
                           bool silu) {
    Tensor *y = group_norm(x, weight, bias, groups, eps, silu, true);
    if (y) tape_let_go(x);
    return y;
}

unsigned group_norm_saves(const group_norm_args *args) {
    bool values = args->silu || needs_grad(args->x) || needs_grad(args->weight);
    return save_if(values, 0) | save_if(args->silu || needs_grad(args->x), 1) |
           save_if(args->silu, 2) | save_if(values, 4) | save_if(values, 5);
}
