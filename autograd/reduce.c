// SPDX-License-Identifier: MIT
// Fronts of sum and mean. See ops.h.
#include "autograd/front.h"

static Tensor *reduce(Tensor *x, unsigned axes, bool mean) {
    reduce_args args = {.x = x, .axes = axes, .mean = mean};
    if (!front_inputs(OP_reduce, &args)) return NULL;
    if (axes != REDUCE_ALL && axes >> x->ndim != 0)
        return error_null("reduce: %s has no side for every bit of 0x%x", tensor_text(x), axes);
    int64_t shape[TENSOR_MAX_DIMS] = {1}, reduced = 1;
    int ndim = 0;
    for (int i = 0; i < x->ndim; i++) {
        if (axes >> i & 1)
            reduced *= x->shape[i];
        else
            shape[ndim++] = x->shape[i];
    }
    if (mean && reduced == 0)
        return error_null("reduce: a mean over no elements of %s", tensor_text(x));
    args.y = tape_result(x->dtype, ndim ? ndim : 1, shape);
    return RUN(reduce, args);
}

unsigned reduce_saves(const reduce_args *args) {
    (void)args;
    return 0;
}

Tensor *op_sum(Tensor *x, unsigned axes) {
    return reduce(x, axes, false);
}

Tensor *op_mean(Tensor *x, unsigned axes) {
    return reduce(x, axes, true);
}
