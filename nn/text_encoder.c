// SPDX-License-Identifier: MIT
// The text tower. See text_encoder.h.
#include "nn/text_encoder.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "nn/weights.h"

#include <math.h>
#include <stdlib.h>

// ---- declaring ----------------------------------------------------------------------------------

static void declare_layer(TextEncoder *encoder, TextLayer *layer, const char *name) {
    ParamSet *set = &encoder->params;
    const int64_t width = encoder->config.width, inner = encoder->config.inner;
    char path[LAYER_NAME_SIZE];
    linear_declare(set, &layer->to_k, layer_name(path, name, "self_attn.k_proj"), width, width,
                   true);
    linear_declare(set, &layer->to_v, layer_name(path, name, "self_attn.v_proj"), width, width,
                   true);
    linear_declare(set, &layer->to_q, layer_name(path, name, "self_attn.q_proj"), width, width,
                   true);
    linear_declare(set, &layer->to_out, layer_name(path, name, "self_attn.out_proj"), width, width,
                   true);
    norm_declare(set, &layer->norm1, layer_name(path, name, "layer_norm1"), width);
    linear_declare(set, &layer->feed_in, layer_name(path, name, "mlp.fc1"), width, inner, true);
    linear_declare(set, &layer->feed_out, layer_name(path, name, "mlp.fc2"), inner, width, true);
    norm_declare(set, &layer->norm2, layer_name(path, name, "layer_norm2"), width);
}

static void declare(TextEncoder *encoder) {
    const TextConfig *config = &encoder->config;
    ParamSet *set = &encoder->params;
    char name[LAYER_NAME_SIZE];
    encoder->tokens = params_linear(set, "text_model.embeddings.token_embedding.weight",
                                    config->vocabulary, config->width, INIT_UNIFORM);
    encoder->places = params_linear(set, "text_model.embeddings.position_embedding.weight",
                                    config->positions, config->width, INIT_UNIFORM);
    for (int i = 0; i < config->layers; i++)
        declare_layer(encoder, &encoder->layers[i],
                      layer_name(name, "text_model.encoder", "layers.%d", i));
    norm_declare(set, &encoder->norm_out, "text_model.final_layer_norm", config->width);
}

TextEncoder *text_encoder_new(const TextConfig *config, Dtype dtype) {
    TextEncoder *encoder = array_new(1, sizeof *encoder);
    if (!encoder) return NULL;
    encoder->config = *config;
    if (params_begin(&encoder->params, "text_encoder", dtype) == 0) declare(encoder);
    if (encoder->params.title && !encoder->params.failed) return encoder;
    text_encoder_free(encoder);
    return NULL;
}

TextEncoder *text_encoder_open(const char *model, Dtype dtype) {
    char *config_path = text_format("%s/text_encoder/config.json", model);
    char *weights_path = text_format("%s/text_encoder/model.safetensors", model);
    TextConfig config;
    TextEncoder *encoder = NULL;
    if (config_path && weights_path && text_config_read(&config, config_path) == 0)
        encoder = text_encoder_new(&config, dtype);
    if (encoder && weights_load(&encoder->params, weights_path) != 0) {
        text_encoder_free(encoder);
        encoder = NULL;
    }
    free(config_path);
    free(weights_path);
    return encoder;
}

void text_encoder_free(TextEncoder *encoder) {
    if (!encoder) return;
    params_done(&encoder->params);
    free(encoder);
}

// ---- forward ------------------------------------------------------------------------------------

static Tensor *norm(const TextEncoder *encoder, const Norm *norm, Tensor *x) {
    return op_layer_norm(x, norm->weight, norm->bias, encoder->config.eps);
}

static Tensor *layer_forward(const TextEncoder *encoder, const TextLayer *layer, Tensor *x) {
    const int heads = (int)encoder->config.heads;
    const double scale = 1 / sqrt((double)encoder->config.width / heads);
    Tensor *t = norm(encoder, &layer->norm1, x);
    Tensor *seen =
        op_attention(linear_forward(&layer->to_q, t, NONE), linear_forward(&layer->to_k, t, NONE),
                     linear_forward(&layer->to_v, t, NONE), NONE, heads, scale, true);
    x = linear_forward(&layer->to_out, seen, x);
    t = linear_forward(&layer->feed_in, norm(encoder, &layer->norm2, x), NONE);
    t = encoder->config.quick_gelu ? op_quick_gelu(t) : op_gelu(t);
    return linear_forward(&layer->feed_out, t, x);
}

Tensor *text_encoder_forward(TextEncoder *encoder, Tensor *ids) {
    if (!ids) return NULL;
    if (ids->ndim != 2 || ids->dtype != I32 || ids->shape[1] < 1 ||
        ids->shape[1] > encoder->config.positions)
        return error_null("text_encoder: ids are %s; expected [N,T] i32, T at most %lld",
                          tensor_text(ids), (long long)encoder->config.positions);
    Scope chain = scope_begin();
    Tensor *places = op_slice(encoder->places, 0, 0, ids->shape[1]);
    Tensor *x = scope_end(chain, op_add(op_embedding(encoder->tokens, ids), places));
    for (int i = 0; i < encoder->config.layers; i++)
        x = scope_end(chain, layer_forward(encoder, &encoder->layers[i], x));
    return scope_end(chain, norm(encoder, &encoder->norm_out, x));
}
