// SPDX-License-Identifier: MIT
// Front of layer_norm. See ops.h.
#include "autograd/front.h"

Tensor *op_layer_norm(Tensor *x, Tensor *weight, Tensor *bias, double eps) {
    layer_norm_args args = {.x = x, .weight = weight, .bias = bias, .eps = eps};
    if (!front_inputs(OP_layer_norm, &args)) return NULL;
    if (x->ndim < 1 || tensor_side(x, -1) < 1)
        return error_null("layer_norm: x %s has no last side", tensor_text(x));
    int64_t channels = tensor_side(x, -1), rows = tensor_numel(x) / channels;
    if (!front_vector("layer_norm", "weight", weight, channels) ||
        !front_vector("layer_norm", "bias", bias, channels))
        return NULL;
    if (!(eps > 0)) return error_null("layer_norm: eps is %g, must be above 0", eps);
    args.y = tape_result_like(x);
    args.mean = tape_result(front_precise(x), DIMS(rows));
    args.rstd = tape_result(front_precise(x), DIMS(rows));
    return RUN(layer_norm, args);
}

unsigned layer_norm_saves(const layer_norm_args *args) {
    bool values = needs_grad(args->x) || needs_grad(args->weight);
    return save_if(values, 0) | save_if(needs_grad(args->x), 1) | save_if(values, 4) |
           save_if(values, 5);
}
