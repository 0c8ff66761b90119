// SPDX-License-Identifier: MIT
// The transformer block of the U-Net and the attention block of the auto-encoder. See blocks.h.
#include "autograd/tape.h"
#include "nn/blocks.h"

#include <math.h>

static const double ENTRY_EPS = 1e-6; // unlike the residual blocks' 1e-5
static const double TOKEN_EPS = 1e-5;

static void attention_layers(ParamSet *set, Attention *attention, const char *name,
                             int64_t channels, int64_t context_width, bool bias) {
    char path[LAYER_NAME_SIZE];
    linear_declare(set, &attention->to_q, layer_name(path, name, "to_q"), channels, channels, bias);
    linear_declare(set, &attention->to_k, layer_name(path, name, "to_k"), context_width, channels,
                   bias);
    linear_declare(set, &attention->to_v, layer_name(path, name, "to_v"), context_width, channels,
                   bias);
    linear_declare(set, &attention->to_out, layer_name(path, name, "to_out.0"), channels, channels,
                   true);
}

static void projection(ParamSet *set, Linear *linear, const char *name, int64_t channels,
                       bool as_linear) {
    if (as_linear)
        linear_declare(set, linear, name, channels, channels, true);
    else
        linear_declare_1x1(set, linear, name, channels, channels);
}

void transformer_declare(ParamSet *set, TransformerBlock *block, const char *name, int64_t channels,
                         int64_t context_width, int heads, int groups, bool linear_projection) {
    char path[LAYER_NAME_SIZE], inner[LAYER_NAME_SIZE];
    *block = (TransformerBlock){.heads = heads, .groups = groups};
    norm_declare(set, &block->norm, layer_name(path, name, "norm"), channels);
    projection(set, &block->proj_in, layer_name(path, name, "proj_in"), channels,
               linear_projection);
    layer_name(inner, name, "transformer_blocks.0");
    norm_declare(set, &block->norm1, layer_name(path, inner, "norm1"), channels);
    attention_layers(set, &block->attn1, layer_name(path, inner, "attn1"), channels, channels,
                     false);
    norm_declare(set, &block->norm2, layer_name(path, inner, "norm2"), channels);
    attention_layers(set, &block->attn2, layer_name(path, inner, "attn2"), channels, context_width,
                     false);
    norm_declare(set, &block->norm3, layer_name(path, inner, "norm3"), channels);
    linear_declare(set, &block->feed_in, layer_name(path, inner, "ff.net.0.proj"), channels,
                   8 * channels, true);
    linear_declare(set, &block->feed_out, layer_name(path, inner, "ff.net.2"), 4 * channels,
                   channels, true);
    projection(set, &block->proj_out, layer_name(path, name, "proj_out"), channels,
               linear_projection);
}

// Attention of tokens [N,T,C] with `source` [N,S,D]. A source shared by all images, [1,S,D], is
// projected once: the batch's queries become one long row of tokens.
static Tensor *attend(const Attention *attention, Tensor *tokens, Tensor *source, int heads,
                      Tensor *residual) {
    if (!tokens || !source) return NULL;
    int64_t channels = tokens->shape[2];
    Tensor *q = linear_forward(&attention->to_q, tokens, NONE);
    Tensor *k = linear_forward(&attention->to_k, source, NONE);
    Tensor *v = linear_forward(&attention->to_v, source, NONE);
    double scale = 1 / sqrt((double)channels / heads);
    bool shared = source->shape[0] == 1 && tokens->shape[0] > 1;
    if (shared) q = op_reshape(q, DIMS(1, -1, channels));
    Tensor *y = op_attention(q, k, v, NONE, heads, scale, false);
    if (shared) y = op_reshape(y, tokens->ndim, tokens->shape);
    return linear_forward(&attention->to_out, y, residual);
}

static Tensor *layer_norm(const Norm *norm, Tensor *x) {
    return op_layer_norm(x, norm->weight, norm->bias, TOKEN_EPS);
}

static Tensor *transformer(Tensor *const *inputs, void *context) {
    const TransformerBlock *block = context;
    Tensor *x = inputs[0], *prompt = inputs[1];
    Tensor *residual = op_reshape(x, DIMS(x->shape[0], -1, x->shape[3]));
    Tensor *t = op_group_norm(residual, block->norm.weight, block->norm.bias, block->groups,
                              ENTRY_EPS, false);
    t = linear_forward(&block->proj_in, t, NONE);
    Tensor *normed = layer_norm(&block->norm1, t);
    t = attend(&block->attn1, normed, normed, block->heads, t);
    t = attend(&block->attn2, layer_norm(&block->norm2, t), prompt, block->heads, t);
    Tensor *gated = op_geglu(linear_forward(&block->feed_in, layer_norm(&block->norm3, t), NONE));
    t = linear_forward(&block->feed_out, gated, t);
    t = linear_forward(&block->proj_out, t, residual);
    return op_reshape(t, x->ndim, x->shape);
}

Tensor *transformer_forward(TransformerBlock *block, Tensor *x, Tensor *context) {
    if (!x || !context) return NULL;
    Tensor *inputs[] = {x, context};
    if (block->recompute) return recompute(transformer, inputs, 2, block);
    Scope scope = scope_begin();
    return scope_end(scope, transformer(inputs, block));
}

// ---- the auto-encoder's attention ---------------------------------------------------------------

void attention_declare(ParamSet *set, AttentionBlock *block, const char *name, int64_t channels,
                       int groups, double eps) {
    char path[LAYER_NAME_SIZE];
    *block = (AttentionBlock){.groups = groups, .eps = eps};
    norm_declare(set, &block->norm, layer_name(path, name, "group_norm"), channels);
    size_t first = set->count;
    attention_layers(set, &block->attention, name, channels, channels, true);
    for (size_t i = first; i < set->count; i++) set->items[i].accepts_1x1 = true;
}

static Tensor *self_attention(Tensor *const *inputs, void *context) {
    const AttentionBlock *block = context;
    Tensor *x = inputs[0];
    Tensor *residual = op_reshape(x, DIMS(x->shape[0], -1, x->shape[3]));
    Tensor *t = op_group_norm(residual, block->norm.weight, block->norm.bias, block->groups,
                              block->eps, false);
    return op_reshape(attend(&block->attention, t, t, 1, residual), x->ndim, x->shape);
}

Tensor *attention_forward(AttentionBlock *block, Tensor *x) {
    if (!x) return NULL;
    if (block->recompute) return recompute(self_attention, &x, 1, block);
    Scope scope = scope_begin();
    return scope_end(scope, self_attention(&x, block));
}
