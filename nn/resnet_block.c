// SPDX-License-Identifier: MIT
// The residual block. See blocks.h.
//
// One time embedding serves the whole batch, so its projection is the same everywhere: it is added
// to the bias of conv1 instead of to the map.
#include "autograd/tape.h"
#include "nn/blocks.h"

void resnet_declare(ParamSet *set, ResnetBlock *block, const char *name, int64_t in, int64_t out,
                    int64_t time_width, int groups, double eps) {
    char path[LAYER_NAME_SIZE];
    *block = (ResnetBlock){
        .has_shortcut = in != out, .has_time = time_width > 0, .groups = groups, .eps = eps};
    norm_declare(set, &block->norm1, layer_name(path, name, "norm1"), in);
    conv_declare(set, &block->conv1, layer_name(path, name, "conv1"), in, out, 3, START_UNIFORM);
    if (block->has_time)
        linear_declare(set, &block->time, layer_name(path, name, "time_emb_proj"), time_width, out,
                       true);
    norm_declare(set, &block->norm2, layer_name(path, name, "norm2"), out);
    conv_declare(set, &block->conv2, layer_name(path, name, "conv2"), out, out, 3, START_UNIFORM);
    if (block->has_shortcut)
        conv_declare(set, &block->shortcut, layer_name(path, name, "conv_shortcut"), in, out, 1,
                     START_UNIFORM);
}

static Conv first_conv(const ResnetBlock *block, Tensor *time) {
    Conv conv1 = block->conv1;
    if (block->has_time) {
        Tensor *shift = linear_forward(&block->time, time, NONE); // [1,Co]
        conv1.bias = op_add(conv1.bias, op_reshape(shift, DIMS(-1)));
    }
    return conv1;
}

static Tensor *norm_silu(const ResnetBlock *block, const Norm *norm, Tensor *x) {
    return op_group_norm(x, norm->weight, norm->bias, block->groups, block->eps, true);
}

static Tensor *norm_silu_over(const ResnetBlock *block, const Norm *norm, Tensor *x) {
    return op_group_norm_over(x, norm->weight, norm->bias, block->groups, block->eps, true);
}

static Tensor *shortcut(const ResnetBlock *block, Tensor *x) {
    return block->has_shortcut ? conv_forward(&block->shortcut, x, NONE) : x;
}

// Scopes free each map once the next is there: at 480x640 they are the peak of a prediction.
static Tensor *forward(Tensor *const *inputs, void *context) {
    const ResnetBlock *block = context;
    Tensor *x = inputs[0];
    Scope outer = scope_begin(), inner = scope_begin();
    Tensor *h = norm_silu(block, &block->norm1, x);
    const Conv conv1 = first_conv(block, inputs[1]);
    h = conv_forward(&conv1, h, NONE);
    h = scope_end(outer, norm_silu_over(block, &block->norm2, scope_end(inner, h)));
    return conv_forward(&block->conv2, h, shortcut(block, x));
}

Tensor *resnet_forward(ResnetBlock *block, Tensor *x, Tensor *time) {
    if (!x || !time) return NULL;
    Tensor *inputs[] = {x, time};
    if (block->recompute) return recompute(forward, inputs, 2, block);
    Scope scope = scope_begin();
    return scope_end(scope, forward(inputs, block));
}

// The shortcut first, then x goes: at the last level of a prediction x is as large as all the rest.
Tensor *resnet_forward_over(ResnetBlock *block, Tensor *x, Tensor *time) {
    if (!x || !time) return NULL;
    if (!block->has_shortcut || tape_is_recording()) return resnet_forward(block, x, time);
    Scope outer = scope_begin();
    Tensor *skip = shortcut(block, x);
    Scope inner = scope_begin();
    Tensor *h = norm_silu_over(block, &block->norm1, x);
    const Conv conv1 = first_conv(block, time);
    h = conv_forward_over(&conv1, h, NONE);
    h = norm_silu_over(block, &block->norm2, scope_end(inner, h));
    return scope_end(outer, conv_forward_over(&block->conv2, h, skip));
}
