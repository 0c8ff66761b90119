// SPDX-License-Identifier: MIT
// Front of minmax. See ops.h.
#include "autograd/front.h"

Tensor *op_minmax_normalise(Tensor *x, MinmaxForm form, bool per_image) {
    minmax_args args = {.x = x, .form = form, .per_image = per_image};
    if (!front_inputs(OP_minmax, &args)) return NULL;
    if (x->ndim < 1 || tensor_numel(x) < 1)
        return error_null("minmax: %s has no minimum", tensor_text(x));
    args.y = tape_result_like(x);
    args.range = tape_result(x->dtype, DIMS(per_image ? x->shape[0] : 1, 4));
    return RUN(minmax, args);
}

unsigned minmax_saves(const minmax_args *args) {
    (void)args;
    return save_if(true, 0) | save_if(true, 2);
}
