// SPDX-License-Identifier: MIT
// Front of conv2d. See ops.h.
#include "autograd/backend.h"
#include "autograd/front.h"

static bool options_are_valid(const Conv2dOptions *options) {
    if (options->stride < 1) {
        error_null("conv2d: stride %d is below 1", options->stride);
        return false;
    }
    if (options->pad_top < 0 || options->pad_left < 0 || options->pad_bottom < 0 ||
        options->pad_right < 0) {
        error_null("conv2d: padding %d %d %d %d (top, left, bottom, right) is negative",
                   options->pad_top, options->pad_left, options->pad_bottom, options->pad_right);
        return false;
    }
    return true;
}

// Sides of the result; false with an error when it would be empty.
static bool result_shape(const conv2d_args *args, int64_t shape[4]) {
    const Tensor *x = args->x, *weight = args->weight;
    const Conv2dOptions *options = &args->options;
    int64_t scale = options->upsample2x ? 2 : 1;
    int64_t height = scale * x->shape[1] + options->pad_top + options->pad_bottom;
    int64_t width = scale * x->shape[2] + options->pad_left + options->pad_right;
    if (height < weight->shape[1] || width < weight->shape[2]) {
        error_null("conv2d: x %s with its padding is %lld x %lld, smaller than weight %s",
                   tensor_text(x), (long long)height, (long long)width, tensor_text(weight));
        return false;
    }
    shape[0] = x->shape[0];
    shape[1] = (height - weight->shape[1]) / options->stride + 1;
    shape[2] = (width - weight->shape[2]) / options->stride + 1;
    shape[3] = weight->shape[0];
    return true;
}

static bool sides_are_positive(const Tensor *tensor) {
    if (tensor_numel(tensor) > 0) return true;
    error_null("conv2d: %s is empty", tensor_text(tensor));
    return false;
}

// The result in the memory of an input, where the device can do that.
static Tensor *result_over(const conv2d_args *args, const int64_t shape[4]) {
    const Backend *backend = backend_current();
    Tensor y = {.ndim = 4, .dtype = args->x->dtype};
    conv2d_args wanted = *args;
    wanted.y = &y;
    for (int i = 0; i < 4; i++) y.shape[i] = shape[i];
    Tensor *over = backend->conv2d_over ? backend->conv2d_over(&wanted) : NULL;
    return over ? tape_result_over(over, 4, shape) : tape_result(y.dtype, 4, shape);
}

static Tensor *conv2d(Tensor *x, Tensor *weight, Tensor *bias, Tensor *residual,
                      Conv2dOptions options, bool over) {
    conv2d_args args = {
        .x = x, .weight = weight, .bias = bias, .residual = residual, .options = options};
    int64_t shape[4];
    if (!front_inputs(OP_conv2d, &args) || !options_are_valid(&options)) return NULL;
    if (!front_ndim("conv2d", "x", x, 4) || !front_ndim("conv2d", "weight", weight, 4) ||
        !front_dtype("conv2d", "weight", weight, front_precise(x)) || !sides_are_positive(x) ||
        !sides_are_positive(weight))
        return NULL;
    if (x->shape[3] != weight->shape[3])
        return error_null("conv2d: x %s has %lld channels, weight %s expects %lld", tensor_text(x),
                          (long long)x->shape[3], tensor_text(weight), (long long)weight->shape[3]);
    if (!result_shape(&args, shape)) return NULL;
    if (!is_none(bias) && (!front_vector("conv2d", "bias", bias, shape[3]) ||
                           !front_dtype("conv2d", "bias", bias, front_precise(x))))
        return NULL;
    if (!is_none(residual) && (!front_shape("conv2d", "residual", residual, 4, shape) ||
                               !front_dtype("conv2d", "residual", residual, x->dtype)))
        return NULL;
    args.y = over ? result_over(&args, shape) : tape_result(x->dtype, 4, shape);
    return RUN(conv2d, args);
}

Tensor *op_conv2d(Tensor *x, Tensor *weight, Tensor *bias, Tensor *residual,
                  Conv2dOptions options) {
    return conv2d(x, weight, bias, residual, options, false);
}

Tensor *op_conv2d_over(Tensor *x, Tensor *weight, Tensor *bias, Tensor *residual,
                       Conv2dOptions options) {
    Tensor *y = conv2d(x, weight, bias, residual, options, true);
    if (!y) return NULL;
    tape_let_go(x);
    tape_let_go(residual);
    return y;
}

unsigned conv2d_saves(const conv2d_args *args) {
    return save_if(needs_grad(args->weight), 0) | save_if(needs_grad(args->x), 1);
}

ConvShape conv_shape(const conv2d_args *args) {
    const int64_t *x = args->x->shape, *weight = args->weight->shape, *y = args->y->shape;
    const Conv2dOptions *options = &args->options;
    int64_t scale = options->upsample2x ? 2 : 1;
    return (ConvShape){.N = x[0],
                       .H = scale * x[1],
                       .W = scale * x[2],
                       .Ci = x[3],
                       .Ho = y[1],
                       .Wo = y[2],
                       .Co = y[3],
                       .kh = weight[1],
                       .kw = weight[2],
                       .stride = options->stride,
                       .top = options->pad_top,
                       .left = options->pad_left,
                       .bottom = options->pad_bottom,
                       .right = options->pad_right};
}
