// SPDX-License-Identifier: MIT
// Fronts of resize_nearest and resize_bilinear. See ops.h.
#include "autograd/front.h"

// The result [N,height,width,C]; NULL with an error.
static Tensor *resized(const char *op, const Tensor *x, int64_t height, int64_t width) {
    if (!front_ndim(op, "x", x, 4)) return NULL;
    if (height < 1 || width < 1 || x->shape[1] < 1 || x->shape[2] < 1)
        return error_null("%s: %s cannot become %lld x %lld", op, tensor_text(x), (long long)height,
                          (long long)width);
    return tape_result(x->dtype, DIMS(x->shape[0], height, width, x->shape[3]));
}

Tensor *op_resize_nearest(Tensor *x, int64_t height, int64_t width) {
    resize_nearest_args args = {.x = x};
    if (!front_inputs(OP_resize_nearest, &args)) return NULL;
    args.y = resized("resize_nearest", x, height, width);
    return RUN(resize_nearest, args);
}

unsigned resize_nearest_saves(const resize_nearest_args *args) {
    (void)args;
    return 0;
}

Tensor *op_resize_bilinear(Tensor *x, int64_t height, int64_t width) {
    resize_bilinear_args args = {.x = x};
    if (!front_inputs(OP_resize_bilinear, &args)) return NULL;
    args.y = resized("resize_bilinear", x, height, width);
    return RUN(resize_bilinear, args);
}

unsigned resize_bilinear_saves(const resize_bilinear_args *args) {
    (void)args;
    return 0;
}
