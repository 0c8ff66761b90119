// SPDX-License-Identifier: MIT
// Front of the instance coloring loss. See ops.h.
#include "autograd/front.h"

#include <math.h>

ColoringOptions coloring_options_default(ColoringForm form) {
    return (ColoringOptions){.form = form,
                             .variance = 1,
                             .separation = 300,
                             .mean = 300,
                             .separation_factor = form == COLORING_PAPER ? 1 : 10,
                             .cap = form == COLORING_CODE ? 1251 : 0};
}

static bool is_weight(double weight) {
    return isfinite(weight) && weight >= 0;
}

static bool shapes_fit(const coloring_loss_args *args) {
    static const char op[] = "coloring_loss";
    const Tensor *prediction = args->prediction, *labels = args->labels;
    const Tensor *no_background = args->no_background, *prompted = args->prompted;
    if (!front_ndim(op, "prediction", prediction, 4) ||
        !front_last(op, "prediction", prediction, 3) || !front_ndim(op, "labels", labels, 3) ||
        !front_dtype(op, "labels", labels, I32))
        return false;
    for (int i = 0; i < 3; i++)
        if (labels->shape[i] != prediction->shape[i] || labels->shape[i] < 1)
            return error_int("%s: labels %s do not fit prediction %s", op, tensor_text(labels),
                             tensor_text(prediction)) == 0;
    if (!is_none(no_background) &&
        (!front_dtype(op, "no_background", no_background, I32) ||
         !front_vector(op, "no_background", no_background, labels->shape[0])))
        return false;
    if (is_none(prompted)) return true;
    if (!front_dtype(op, "prompted", prompted, I32) || !front_ndim(op, "prompted", prompted, 2))
        return false;
    if (prompted->shape[0] == labels->shape[0]) return true;
    return error_int("%s: prompted %s does not fit labels %s", op, tensor_text(prompted),
                     tensor_text(labels)) == 0;
}

Tensor *op_coloring_loss(Tensor *prediction, Tensor *labels, Tensor *no_background,
                         Tensor *prompted, ColoringOptions options) {
    coloring_loss_args args = {.prediction = prediction,
                               .labels = labels,
                               .no_background = no_background,
                               .prompted = prompted,
                               .options = options};
    if (!front_inputs(OP_coloring_loss, &args) || !shapes_fit(&args)) return NULL;
    if ((options.form == COLORING_PROMPTED) == is_none(prompted))
        return error_null(
            "coloring_loss: prompted ids belong to the prompted form, and only there");
    if (!is_weight(options.variance) || !is_weight(options.separation) ||
        !is_weight(options.mean) || !is_weight(options.separation_factor))
        return error_null("coloring_loss: a weight is negative or not a number");
    if (options.cap < 0) return error_null("coloring_loss: cap is %d", options.cap);
    args.loss = tape_result(prediction->dtype, DIMS(1));
    args.dprediction = tape_result_like(prediction);
    return RUN(coloring_loss, args);
}

unsigned coloring_loss_saves(const coloring_loss_args *args) {
    (void)args;
    return save_if(true, 5);
}
