// SPDX-License-Identifier: MIT
// The prompt branch. See controlnet.h.
#include "nn/controlnet.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "nn/unet_config.h"

#include <stdlib.h>

// ---- declaring ----------------------------------------------------------------------------------

// Embedding of the condition: pairs of convolutions, the second of each halves the size.
static void declare_embedding(ControlNet *control) {
    const ControlNetConfig *config = &control->config;
    ParamSet *set = &control->params;
    char name[LAYER_NAME_SIZE];
    conv_declare(set, &control->embed_in, "controlnet_cond_embedding.conv_in",
                 config->condition_channels, config->width[0], 3, START_UNIFORM);
    for (int i = 0; i < 2 * (config->widths - 1); i++)
        conv_declare(set, &control->embed[i],
                     layer_name(name, "controlnet_cond_embedding", "blocks.%d", i),
                     config->width[i / 2], config->width[(i + 1) / 2], 3, START_UNIFORM);
    conv_declare(set, &control->embed_out, "controlnet_cond_embedding.conv_out",
                 config->width[config->widths - 1], config->encoder.channels[0], 3, START_ZERO);
}

static void declare_gates(ControlNet *control) {
    const UnetConfig *encoder = &control->config.encoder;
    char name[LAYER_NAME_SIZE];
    int gate = 0;
    for (int i = -1; i < encoder->levels; i++) { // conv_in, then the levels
        int64_t channels = encoder->channels[i < 0 ? 0 : i];
        int count = i < 0 ? 1 : (int)encoder->layers + (i < encoder->levels - 1);
        for (int j = 0; j < count; j++, gate++)
            conv_declare(&control->params, &control->gates[gate],
                         layer_name(name, "controlnet_down_blocks", "%d", gate), channels, channels,
                         1, START_ZERO);
    }
    int64_t inner = encoder->channels[encoder->levels - 1];
    conv_declare(&control->params, &control->mid_gate, "controlnet_mid_block", inner, inner, 1,
                 START_ZERO);
}

static void declare(ControlNet *control) {
    unet_encoder_declare(&control->params, &control->encoder, &control->config.encoder);
    declare_embedding(control);
    declare_gates(control);
}

ControlNet *controlnet_new(const ControlNetConfig *config, Dtype dtype) {
    if (unet_config_check(&config->encoder) != 0) {
        error_context("controlnet");
        return NULL;
    }
    ControlNet *control = array_new(1, sizeof *control);
    if (!control) return NULL;
    control->config = *config;
    if (params_begin(&control->params, "controlnet", dtype) == 0) declare(control);
    if (control->params.title && !control->params.failed) return control;
    controlnet_free(control);
    return NULL;
}

void controlnet_free(ControlNet *control) {
    if (!control) return;
    unet_encoder_done(&control->encoder);
    params_done(&control->params);
    free(control);
}

void controlnet_recompute(ControlNet *control, bool on) {
    unet_encoder_recompute(&control->encoder, on);
}

int controlnet_start(ControlNet *control, const Unet *unet, uint64_t seed) {
    const UnetConfig *ours = &control->config.encoder, *theirs = &unet->config;
    bool same = ours->levels == theirs->levels && ours->layers == theirs->layers &&
                ours->in_channels == theirs->in_channels &&
                ours->context_width == theirs->context_width && ours->groups == theirs->groups;
    for (int i = 0; same && i < ours->levels; i++)
        same = ours->channels[i] == theirs->channels[i] && ours->heads[i] == theirs->heads[i] &&
               ours->attention[i] == theirs->attention[i];
    if (!same) return error_int("controlnet: its encoder is not built like the U-Net's");
    if (params_init(&control->params, seed) != 0) return -1;
    return params_copy(&control->params, &unet->params) < 0 ? -1 : 0;
}

// ---- forward ------------------------------------------------------------------------------------

static Tensor *embed_condition(ControlNet *control, Tensor *condition, Scope chain) {
    Tensor *e = op_silu(conv_forward(&control->embed_in, condition, NONE));
    for (int i = 0; i < 2 * (control->config.widths - 1); i++) {
        const Conv *conv = &control->embed[i];
        e = op_silu(i % 2 == 0 ? conv_forward(conv, e, NONE) : conv_down(conv, e));
        e = scope_end(chain, e);
    }
    return conv_forward(&control->embed_out, e, NONE);
}

static int check_inputs(const ControlNet *control, const Tensor *z, const Tensor *condition) {
    if (!z || !condition) return -1;
    int64_t factor = (int64_t)1 << (control->config.widths - 1);
    if (condition->ndim == 4 && z->ndim == 4 && condition->shape[0] == z->shape[0] &&
        condition->shape[1] == factor * z->shape[1] &&
        condition->shape[2] == factor * z->shape[2] &&
        condition->shape[3] == control->config.condition_channels)
        return 0;
    return error_int("controlnet: condition is %s for latent %s; expected %lld channels and %lld "
                     "times the latent's sides",
                     tensor_text(condition), tensor_text(z),
                     (long long)control->config.condition_channels, (long long)factor);
}

static Tensor *gated(const Conv *gate, Tensor *x, double scale) {
    Tensor *residual = conv_forward(gate, x, NONE);
    return scale == 1 ? residual : op_affine(residual, scale, 0);
}

int controlnet_forward(ControlNet *control, Tensor *z, double timestep, Tensor *context,
                       Tensor *condition, double scale, UnetResiduals *residuals) {
    *residuals = (UnetResiduals){0};
    if (check_inputs(control, z, condition) != 0 || !context) return -1;
    Scope scope = scope_begin();
    UnetEncoder *encoder = &control->encoder;
    Tensor *time = unet_encoder_time(encoder, timestep);
    context = layer_enter(context, control->bf16);
    condition = layer_enter(condition, control->bf16);
    Tensor *embedding = embed_condition(control, condition, scope_begin());
    Tensor *h = conv_forward(&encoder->conv_in, layer_enter(z, control->bf16), embedding);
    UnetFeatures features = {0};
    int result = unet_encoder_forward(encoder, h, time, context, &features);
    Tensor *kept[UNET_MAX_SKIPS + 1] = {NULL};
    residuals->count = features.count;
    for (int i = 0; i < features.count; i++)
        kept[i] = residuals->skips[i] = gated(&control->gates[i], features.skips[i], scale);
    kept[features.count] = residuals->mid = gated(&control->mid_gate, features.mid, scale);
    scope_end_many(scope, kept, features.count + 1);
    return result == 0 && residuals->mid ? 0 : -1;
}
