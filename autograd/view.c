// SPDX-License-Identifier: MIT
// Fronts of reshape, concat and slice. See ops.h.
#include "autograd/front.h"

// The axis counted from the front; -1 with an error when x has no such side.
static int axis_of(const char *op, const Tensor *x, int axis) {
    int counted = axis < 0 ? axis + x->ndim : axis;
    if (counted >= 0 && counted < x->ndim) return counted;
    return error_int("%s: %s has no axis %d", op, tensor_text(x), axis);
}

Tensor *op_reshape(Tensor *x, int ndim, const int64_t *shape) {
    if (!x) return error_null("reshape: the input failed without a message");
    if (is_none(x)) return error_null("reshape: the input is left out, but required");
    if (ndim < 1 || ndim > TENSOR_MAX_DIMS)
        return error_null("reshape: %d sides, expected 1 to %d", ndim, TENSOR_MAX_DIMS);
    int64_t full[TENSOR_MAX_DIMS], known = 1, count = tensor_numel(x);
    const int64_t most = count > 0 ? count : INT64_MAX; // a later side may be 0
    int open = -1;
    for (int i = 0; i < ndim; i++) {
        full[i] = shape[i];
        if (shape[i] == -1 && open < 0)
            open = i;
        else if (shape[i] < 0 || (shape[i] > 0 && known > most / shape[i]))
            return error_null("reshape: %s cannot have a side %d of %lld", tensor_text(x), i,
                              (long long)shape[i]);
        else
            known *= shape[i];
    }
    if (open >= 0) full[open] = known > 0 && count % known == 0 ? count / known : 0;
    if (known * (open >= 0 ? full[open] : 1) != count)
        return error_null("reshape: %s has %lld elements, not a multiple or equal of %lld",
                          tensor_text(x), (long long)count, (long long)known);
    return tape_view(x, ndim, full);
}

Tensor *op_concat(Tensor *left, Tensor *right, int axis) {
    concat_args args = {.left = left, .right = right};
    if (!front_inputs(OP_concat, &args)) return NULL;
    args.axis = axis_of("concat", left, axis);
    if (args.axis < 0) return NULL;
    int64_t shape[TENSOR_MAX_DIMS];
    bool fits = left->ndim == right->ndim;
    for (int i = 0; fits && i < left->ndim; i++) {
        fits = i == args.axis || left->shape[i] == right->shape[i];
        shape[i] = left->shape[i] + (i == args.axis ? right->shape[i] : 0);
    }
    if (!fits)
        return error_null("concat: %s and %s do not agree beside axis %d", tensor_text(left),
                          tensor_text(right), args.axis);
    args.y = tape_result(left->dtype, left->ndim, shape);
    return RUN(concat, args);
}

unsigned concat_saves(const concat_args *args) {
    (void)args;
    return 0;
}

Tensor *op_slice(Tensor *x, int axis, int64_t start, int64_t length) {
    slice_args args = {.x = x, .start = start};
    if (!front_inputs(OP_slice, &args)) return NULL;
    args.axis = axis_of("slice", x, axis);
    if (args.axis < 0) return NULL;
    int64_t side = x->shape[args.axis];
    if (start < 0 || length < 0 || start > side || length > side - start)
        return error_null("slice: %lld from %lld leaves axis %d of %s", (long long)length,
                          (long long)start, args.axis, tensor_text(x));
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < x->ndim; i++) shape[i] = i == args.axis ? length : x->shape[i];
    args.y = tape_result(x->dtype, x->ndim, shape);
    return RUN(slice, args);
}

unsigned slice_saves(const slice_args *args) {
    (void)args;
    return 0;
}
