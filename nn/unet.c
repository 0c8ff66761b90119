// SPDX-License-Identifier: MIT
// The U-Net: its decoder half and the whole. See unet.h.
#include "nn/unet.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "nn/unet_config.h"

#include <stdlib.h>

// ---- declaring ----------------------------------------------------------------------------------

// Up block i works at level levels - 1 - i; its last layer meets the skip of the level outside.
static void declare_up(Unet *unet, int i) {
    const UnetConfig *config = &unet->config;
    char name[LAYER_NAME_SIZE];
    UnetLevel *up = &unet->up[i];
    int level = config->levels - 1 - i;
    int64_t out = config->channels[level];
    int64_t before = config->channels[i == 0 ? level : level + 1];
    int64_t outside = config->channels[level > 0 ? level - 1 : 0];
    up->layers = (int)config->layers + 1;
    up->has_attention = config->up_attention[i];
    up->has_sampler = level > 0;
    for (int j = 0; j < up->layers; j++) {
        int64_t skip = j == up->layers - 1 ? outside : out;
        layer_name(name, "up_blocks", "%d.resnets.%d", i, j);
        resnet_declare(&unet->params, &up->resnets[j], name, (j == 0 ? before : out) + skip, out,
                       4 * config->channels[0], (int)config->groups, config->eps);
        if (!up->has_attention) continue;
        layer_name(name, "up_blocks", "%d.attentions.%d", i, j);
        transformer_declare(&unet->params, &up->transformers[j], name, out, config->context_width,
                            (int)config->heads[level], (int)config->groups,
                            config->linear_projection);
    }
    if (up->has_sampler)
        conv_declare(&unet->params, &up->sampler,
                     layer_name(name, "up_blocks", "%d.upsamplers.0.conv", i), out, out, 3,
                     START_UNIFORM);
}

static void declare(Unet *unet) {
    const UnetConfig *config = &unet->config;
    unet_encoder_declare(&unet->params, &unet->encoder, config);
    for (int i = 0; i < config->levels; i++) declare_up(unet, i);
    norm_declare(&unet->params, &unet->norm_out, "conv_norm_out", config->channels[0]);
    conv_declare(&unet->params, &unet->conv_out, "conv_out", config->channels[0],
                 config->out_channels, 3, START_UNIFORM);
}

Unet *unet_new(const UnetConfig *config, Dtype dtype) {
    if (unet_config_check(config) != 0) {
        error_context("unet");
        return NULL;
    }
    Unet *unet = array_new(1, sizeof *unet);
    if (!unet) return NULL;
    unet->config = *config;
    if (params_begin(&unet->params, "unet", dtype) == 0) declare(unet);
    if (unet->params.title && !unet->params.failed) return unet;
    unet_free(unet);
    return NULL;
}

void unet_free(Unet *unet) {
    if (!unet) return;
    params_done(&unet->params);
    free(unet);
}

void unet_recompute(Unet *unet, bool on) {
    unet_encoder_recompute(&unet->encoder, on);
    for (int i = 0; i < unet->config.levels; i++)
        for (int j = 0; j < unet->up[i].layers; j++) {
            unet->up[i].resnets[j].recompute = on;
            unet->up[i].transformers[j].recompute = on;
        }
}

// ---- forward ------------------------------------------------------------------------------------

static int check_inputs(const Unet *unet, const Tensor *z, const Tensor *context) {
    if (!z || !context) return -1;
    if (z->ndim != 4 || z->shape[3] != unet->config.in_channels)
        return error_int("unet: latent is %s; expected [N,h,w,%lld]", tensor_text(z),
                         (long long)unet->config.in_channels);
    if (context->ndim == 3 && context->shape[2] == unet->config.context_width &&
        (context->shape[0] == 1 || context->shape[0] == z->shape[0]))
        return 0;
    return error_int("unet: context is %s; expected [1 or %lld,T,%lld]", tensor_text(context),
                     (long long)z->shape[0], (long long)unet->config.context_width);
}

int unet_encode(Unet *unet, Tensor *z, double timestep, Tensor *context, UnetFeatures *features) {
    if (check_inputs(unet, z, context) != 0) return -1;
    UnetEncoder *encoder = &unet->encoder;
    Tensor *time = unet_encoder_time(encoder, timestep);
    Tensor *h = conv_forward(&encoder->conv_in, z, NONE);
    return unet_encoder_forward(encoder, h, time, context, features);
}

static Tensor *with_residual(Tensor *x, const UnetResiduals *residuals, int i) {
    return residuals ? op_add(x, residuals->skips[i]) : x;
}

// One layer of an up block: skip number `i` joins from the side.
static Tensor *up_layer(UnetLevel *up, int j, Tensor *h, const UnetFeatures *features, int i,
                        const UnetResiduals *residuals, Tensor *time, Tensor *context) {
    Tensor *skip = with_residual(features->skips[i], residuals, i);
    h = resnet_forward(&up->resnets[j], op_concat(h, skip, 3), time);
    return up->has_attention ? transformer_forward(&up->transformers[j], h, context) : h;
}

Tensor *unet_decode(Unet *unet, const UnetFeatures *features, double timestep, Tensor *context,
                    const UnetResiduals *residuals) {
    if (!features->mid || !context) return NULL;
    int next = unet_skip_count(&unet->config);
    if (features->count != next || (residuals && residuals->count != next))
        return error_null("unet: %d skips and %d residuals; expected %d", features->count,
                          residuals ? residuals->count : 0, next);
    Scope all = scope_begin();
    Tensor *time = unet_encoder_time(&unet->encoder, timestep);
    Scope chain = scope_begin(); // every step lets go of the one before
    Tensor *h = residuals ? op_add(features->mid, residuals->mid) : features->mid;
    for (int i = 0; i < unet->config.levels; i++) {
        UnetLevel *up = &unet->up[i];
        for (int j = 0; j < up->layers; j++)
            h = scope_end(chain, up_layer(up, j, h, features, --next, residuals, time, context));
        if (!up->has_sampler) continue;
        const Tensor *skip = features->skips[next - 1];
        h = scope_end(chain, conv_up(&up->sampler, h, skip->shape[1], skip->shape[2]));
    }
    h = op_group_norm(h, unet->norm_out.weight, unet->norm_out.bias, (int)unet->config.groups,
                      unet->config.eps, true);
    return scope_end(all, conv_forward(&unet->conv_out, h, NONE));
}

Tensor *unet_forward(Unet *unet, Tensor *z, double timestep, Tensor *context,
                     const UnetResiduals *residuals) {
    Scope scope = scope_begin();
    UnetFeatures features;
    Tensor *v = NULL;
    if (unet_encode(unet, z, timestep, context, &features) == 0)
        v = unet_decode(unet, &features, timestep, context, residuals);
    return scope_end(scope, v);
}
