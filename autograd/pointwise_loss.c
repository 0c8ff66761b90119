// SPDX-License-Identifier: MIT
// Fronts of the pointwise losses. See ops.h.
#include "autograd/front.h"

static bool weight_fits(const Tensor *prediction, const Tensor *weight) {
    if (is_none(weight) || tensor_same_shape(prediction, weight)) return true;
    bool fits =
        weight->ndim == prediction->ndim && weight->ndim > 0 && tensor_side(weight, -1) == 1;
    for (int i = 0; fits && i < weight->ndim - 1; i++)
        fits = weight->shape[i] == prediction->shape[i];
    return fits;
}

static Tensor *pointwise_loss(Tensor *prediction, Tensor *target, Tensor *weight, LossKind kind) {
    pointwise_loss_args args = {
        .prediction = prediction, .target = target, .weight = weight, .kind = kind};
    if (!front_inputs(OP_pointwise_loss, &args)) return NULL;
    if (!front_dtype("pointwise_loss", "target", target, prediction->dtype)) return NULL;
    if (!tensor_same_shape(prediction, target))
        return error_null("pointwise_loss: prediction %s and target %s differ",
                          tensor_text(prediction), tensor_text(target));
    if (!is_none(weight) && !front_dtype("pointwise_loss", "weight", weight, prediction->dtype))
        return NULL;
    if (!weight_fits(prediction, weight))
        return error_null("pointwise_loss: weight %s does not fit %s", tensor_text(weight),
                          tensor_text(prediction));
    if (needs_grad(target) || needs_grad(weight))
        return error_null("pointwise_loss: target and weight take no gradient");
    if (tensor_numel(prediction) < 1)
        return error_null("pointwise_loss: %s is empty", tensor_text(prediction));
    args.loss = tape_result(prediction->dtype, DIMS(1));
    return RUN(pointwise_loss, args);
}

unsigned pointwise_loss_saves(const pointwise_loss_args *args) {
    return save_if(true, 0) | save_if(true, 1) | save_if(!is_none(args->weight), 2);
}

Tensor *op_mse_loss(Tensor *prediction, Tensor *target, Tensor *weight) {
    return pointwise_loss(prediction, target, weight, LOSS_MSE);
}

Tensor *op_l1_loss(Tensor *prediction, Tensor *target, Tensor *weight) {
    return pointwise_loss(prediction, target, weight, LOSS_L1);
}

Tensor *op_huber_loss(Tensor *prediction, Tensor *target, Tensor *weight) {
    return pointwise_loss(prediction, target, weight, LOSS_HUBER);
}

Tensor *op_bce_loss(Tensor *prediction, Tensor *target, Tensor *weight) {
    return pointwise_loss(prediction, target, weight, LOSS_BCE);
}
