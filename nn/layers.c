// SPDX-License-Identifier: MIT
// Layers of all networks. See layers.h.
#include "nn/layers.h"

#include <stdarg.h>
#include <stdio.h>

const char *layer_name(char *out, const char *prefix, const char *format, ...) {
    int used = snprintf(out, LAYER_NAME_SIZE, "%s%s", prefix, prefix[0] ? "." : "");
    if (used < 0 || used >= LAYER_NAME_SIZE) return out;
    va_list args;
    va_start(args, format);
    vsnprintf(out + used, LAYER_NAME_SIZE - (size_t)used, format, args);
    va_end(args);
    return out;
}

// ---- declaring ----------------------------------------------------------------------------------

void conv_declare(ParamSet *set, Conv *conv, const char *name, int64_t in, int64_t out,
                  int64_t kernel, LayerStart start) {
    char path[LAYER_NAME_SIZE];
    ParamInit init = start == START_ZERO ? INIT_ZEROS : INIT_UNIFORM;
    conv->weight = params_conv(set, layer_name(path, name, "weight"), out, in, kernel, init);
    conv->bias =
        params_vector(set, layer_name(path, name, "bias"), out, init, in * kernel * kernel);
}

void linear_declare(ParamSet *set, Linear *linear, const char *name, int64_t in, int64_t out,
                    bool bias) {
    char path[LAYER_NAME_SIZE];
    linear->weight = params_linear(set, layer_name(path, name, "weight"), out, in, INIT_UNIFORM);
    linear->bias =
        bias ? params_vector(set, layer_name(path, name, "bias"), out, INIT_UNIFORM, in) : NONE;
}

void linear_declare_1x1(ParamSet *set, Linear *linear, const char *name, int64_t in, int64_t out) {
    char path[LAYER_NAME_SIZE];
    linear->weight = params_linear(set, layer_name(path, name, "weight"), out, in, INIT_UNIFORM);
    if (params_last(set)) params_last(set)->file_ndim = 4;
    linear->bias = params_vector(set, layer_name(path, name, "bias"), out, INIT_UNIFORM, in);
}

void norm_declare(ParamSet *set, Norm *norm, const char *name, int64_t channels) {
    char path[LAYER_NAME_SIZE];
    norm->weight = params_vector(set, layer_name(path, name, "weight"), channels, INIT_ONES, 0);
    norm->bias = params_vector(set, layer_name(path, name, "bias"), channels, INIT_ZEROS, 0);
}

// ---- forward ------------------------------------------------------------------------------------

static Conv2dOptions same_size(const Conv *conv) {
    int pad = (int)(conv->weight->shape[1] / 2);
    return (Conv2dOptions){1, pad, pad, pad, pad, false};
}

Tensor *conv_forward(const Conv *conv, Tensor *x, Tensor *residual) {
    return op_conv2d(x, conv->weight, conv->bias, residual, same_size(conv));
}

Tensor *conv_forward_over(const Conv *conv, Tensor *x, Tensor *residual) {
    return op_conv2d_over(x, conv->weight, conv->bias, residual, same_size(conv));
}

Tensor *conv_down(const Conv *conv, Tensor *x) {
    return op_conv2d(x, conv->weight, conv->bias, NONE, (Conv2dOptions){2, 1, 1, 1, 1, false});
}

Tensor *conv_down_shifted(const Conv *conv, Tensor *x) {
    return op_conv2d(x, conv->weight, conv->bias, NONE, (Conv2dOptions){2, 0, 0, 1, 1, false});
}

Tensor *conv_up(const Conv *conv, Tensor *x, int64_t height, int64_t width) {
    if (!x) return NULL;
    Conv2dOptions options = {1, 1, 1, 1, 1, true};
    if (height == 2 * x->shape[1] && width == 2 * x->shape[2])
        return op_conv2d(x, conv->weight, conv->bias, NONE, options);
    return conv_forward(conv, op_resize_nearest(x, height, width), NONE);
}

Tensor *linear_forward(const Linear *linear, Tensor *x, Tensor *residual) {
    return op_linear(x, linear->weight, linear->bias, residual);
}

Tensor *layer_enter(Tensor *x, bool bf16) {
    return bf16 ? op_cast(x, BF16) : x;
}

Tensor *layer_leave(Tensor *x) {
    return x && x->dtype == BF16 ? op_cast(x, F32) : x;
}
