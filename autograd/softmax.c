// SPDX-License-Identifier: MIT
// Front of softmax. See ops.h.
#include "autograd/front.h"

Tensor *op_softmax(Tensor *x) {
    softmax_args args = {.x = x};
    if (!front_inputs(OP_softmax, &args)) return NULL;
    if (x->ndim < 1 || tensor_side(x, -1) < 1)
        return error_null("softmax: x %s has no last side", tensor_text(x));
    args.y = tape_result_like(x);
    return RUN(softmax, args);
}

unsigned softmax_saves(const softmax_args *args) {
    (void)args;
    return save_if(true, 1);
}
