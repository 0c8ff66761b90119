// SPDX-License-Identifier: MIT
// The U-Net: its decoder half and the whole. See unet.h.
#include "nn/unet.h"

#include "base/error.h"
#include "base/memory.h"
#include "nn/unet_config.h"

#include <stdlib.h>

// ---- declaring ----------------------------------------------------------------------------------

static void declare(Unet *unet) {
    const UnetConfig *config = &unet->config;
    unet_encoder_declare(&unet->params, &unet->encoder, config);
    for (int i = 0; i < config->levels; i++) {
        char name[LAYER_NAME_SIZE];
        unet_up_declare(&unet->params, &unet->up[i], layer_name(name, "up_blocks", "%d", i), config,
                        i, 4 * config->channels[0]);
    }
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
    unet_encoder_done(&unet->encoder);
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
    Tensor *h = conv_forward(&encoder->conv_in, layer_enter(z, unet->bf16), NONE);
    context = layer_enter(context, unet->bf16);
    return unet_encoder_forward(encoder, h, time, context, features);
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
    context = layer_enter(context, unet->bf16);
    Scope chain = scope_begin(); // every step lets go of the one before
    Tensor *h = residuals ? op_add(features->mid, residuals->mid) : features->mid;
    for (int i = 0; i < unet->config.levels; i++)
        h = unet_up_forward(&unet->up[i], h, time, context, features, residuals, &next, chain);
    h = op_group_norm(h, unet->norm_out.weight, unet->norm_out.bias, (int)unet->config.groups,
                      unet->config.eps, true);
    return scope_end(all, conv_forward(&unet->conv_out, layer_leave(h), NONE));
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
