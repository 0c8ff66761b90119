// SPDX-License-Identifier: MIT
// The auto-encoder. See vae.h.
#include "nn/vae.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>

static const double EPS = 1e-6; // of every norm

// ---- declaring ----------------------------------------------------------------------------------

void vae_level_declare(ParamSet *set, VaeLevel *level, const char *name, int64_t in, int64_t out,
                       int groups) {
    char path[LAYER_NAME_SIZE];
    for (int j = 0; j < level->layers; j++)
        resnet_declare(set, &level->resnets[j], layer_name(path, name, "resnets.%d", j),
                       j == 0 ? in : out, out, 0, groups, EPS);
    const char *sampler = level->up ? "upsamplers" : "downsamplers";
    if (level->has_sampler)
        conv_declare(set, &level->sampler, layer_name(path, name, "%s.0.conv", sampler), out, out,
                     3, START_UNIFORM);
}

void vae_middle_declare(ParamSet *set, VaeMiddle *middle, const char *name, int64_t channels,
                        int groups) {
    char path[LAYER_NAME_SIZE];
    resnet_declare(set, &middle->resnets[0], layer_name(path, name, "resnets.0"), channels,
                   channels, 0, groups, EPS);
    attention_declare(set, &middle->attention, layer_name(path, name, "attentions.0"), channels,
                      groups, EPS);
    resnet_declare(set, &middle->resnets[1], layer_name(path, name, "resnets.1"), channels,
                   channels, 0, groups, EPS);
}

static void declare_encoder(Vae *vae) {
    const VaeConfig *config = &vae->config;
    VaeHalf *half = &vae->encoder;
    char name[LAYER_NAME_SIZE];
    int64_t inner = config->channels[config->levels - 1];
    conv_declare(&vae->params, &half->conv_in, "encoder.conv_in", config->in_channels,
                 config->channels[0], 3, START_UNIFORM);
    for (int i = 0; i < config->levels; i++) {
        half->levels[i] =
            (VaeLevel){.layers = (int)config->layers, .has_sampler = i < config->levels - 1};
        vae_level_declare(
            &vae->params, &half->levels[i], layer_name(name, "encoder", "down_blocks.%d", i),
            config->channels[i > 0 ? i - 1 : 0], config->channels[i], (int)config->groups);
    }
    vae_middle_declare(&vae->params, &half->middle, "encoder.mid_block", inner,
                       (int)config->groups);
    norm_declare(&vae->params, &half->norm_out, "encoder.conv_norm_out", inner);
    conv_declare(&vae->params, &half->conv_out, "encoder.conv_out", inner,
                 2 * config->latent_channels, 3, START_UNIFORM);
}

// Level i of the decoder works at the resolution of level levels - 1 - i of the encoder.
static void declare_decoder(Vae *vae) {
    const VaeConfig *config = &vae->config;
    VaeHalf *half = &vae->decoder;
    char name[LAYER_NAME_SIZE];
    int last = config->levels - 1;
    conv_declare(&vae->params, &half->conv_in, "decoder.conv_in", config->latent_channels,
                 config->channels[last], 3, START_UNIFORM);
    vae_middle_declare(&vae->params, &half->middle, "decoder.mid_block", config->channels[last],
                       (int)config->groups);
    for (int i = 0; i < config->levels; i++) {
        half->levels[i] =
            (VaeLevel){.layers = (int)config->layers + 1, .has_sampler = i < last, .up = true};
        vae_level_declare(&vae->params, &half->levels[i],
                          layer_name(name, "decoder", "up_blocks.%d", i),
                          config->channels[i > 0 ? last - i + 1 : last], config->channels[last - i],
                          (int)config->groups);
    }
    norm_declare(&vae->params, &half->norm_out, "decoder.conv_norm_out", config->channels[0]);
    conv_declare(&vae->params, &half->conv_out, "decoder.conv_out", config->channels[0],
                 config->out_channels, 3, START_UNIFORM);
}

static void declare(Vae *vae) {
    int64_t latent = vae->config.latent_channels;
    declare_encoder(vae);
    linear_declare_1x1(&vae->params, &vae->quant, "quant_conv", 2 * latent, 2 * latent);
    linear_declare_1x1(&vae->params, &vae->post_quant, "post_quant_conv", latent, latent);
    declare_decoder(vae);
}

Vae *vae_new(const VaeConfig *config, Dtype dtype) {
    Vae *vae = array_new(1, sizeof *vae);
    if (!vae) return NULL;
    vae->config = *config;
    if (params_begin(&vae->params, "vae", dtype) == 0) declare(vae);
    if (vae->params.title && !vae->params.failed) return vae;
    vae_free(vae);
    return NULL;
}

void vae_free(Vae *vae) {
    if (!vae) return;
    params_done(&vae->params);
    free(vae);
}

static void half_recompute(VaeHalf *half, int levels, bool on) {
    for (int i = 0; i < levels; i++)
        for (int j = 0; j < half->levels[i].layers; j++) half->levels[i].resnets[j].recompute = on;
    half->middle.resnets[0].recompute = half->middle.resnets[1].recompute = on;
    half->middle.attention.recompute = on;
}

void vae_recompute(Vae *vae, bool on) {
    half_recompute(&vae->encoder, vae->config.levels, on);
    half_recompute(&vae->decoder, vae->config.levels, on);
}

// ---- forward: every step lets go of the one before ----------------------------------------------

Tensor *vae_level_forward(VaeLevel *level, Tensor *h, Scope chain) {
    for (int j = 0; j < level->layers; j++)
        h = scope_end(chain, resnet_forward_over(&level->resnets[j], h, NONE));
    if (!h || !level->has_sampler) return h;
    if (!level->up) return scope_end(chain, conv_down_shifted(&level->sampler, h));
    return scope_end(chain, conv_up(&level->sampler, h, 2 * h->shape[1], 2 * h->shape[2]));
}

Tensor *vae_middle_forward(VaeMiddle *middle, Tensor *h, Scope chain) {
    h = scope_end(chain, resnet_forward(&middle->resnets[0], h, NONE));
    h = scope_end(chain, attention_forward(&middle->attention, h));
    return scope_end(chain, resnet_forward(&middle->resnets[1], h, NONE));
}

static Tensor *head(const Vae *vae, const VaeHalf *half, Tensor *h) {
    h = op_group_norm_over(h, half->norm_out.weight, half->norm_out.bias, (int)vae->config.groups,
                           EPS, true);
    return conv_forward(&half->conv_out, layer_leave(h), NONE);
}

static int check(const char *what, const Tensor *x, int64_t channels) {
    if (!x) return -1;
    if (x->ndim == 4 && x->shape[3] == channels) return 0;
    return error_int("vae: %s is %s; expected [N,H,W,%lld]", what, tensor_text(x),
                     (long long)channels);
}

Tensor *vae_encode_moments(Vae *vae, Tensor *image) {
    if (check("image", image, vae->config.in_channels) != 0) return NULL;
    VaeHalf *half = &vae->encoder;
    Scope chain = scope_begin();
    Tensor *h = conv_forward(&half->conv_in, layer_enter(image, vae->bf16), NONE);
    for (int i = 0; i < vae->config.levels; i++) h = vae_level_forward(&half->levels[i], h, chain);
    h = head(vae, half, vae_middle_forward(&half->middle, h, chain));
    return scope_end(chain, linear_forward(&vae->quant, h, NONE));
}

Tensor *vae_encode_mean(Vae *vae, Tensor *image) {
    Scope scope = scope_begin();
    Tensor *mean = op_slice(vae_encode_moments(vae, image), 3, 0, vae->config.latent_channels);
    return scope_end(scope, op_affine(mean, vae->config.scaling_factor, 0));
}

Tensor *vae_decode(Vae *vae, Tensor *latent) {
    if (check("latent", latent, vae->config.latent_channels) != 0) return NULL;
    VaeHalf *half = &vae->decoder;
    Scope chain = scope_begin();
    Tensor *h = op_affine(latent, 1 / vae->config.scaling_factor, 0);
    h = layer_enter(linear_forward(&vae->post_quant, h, NONE), vae->bf16);
    h = conv_forward(&half->conv_in, h, NONE);
    h = vae_middle_forward(&half->middle, h, chain);
    for (int i = 0; i < vae->config.levels; i++) h = vae_level_forward(&half->levels[i], h, chain);
    return scope_end(chain, head(vae, half, h));
}

int64_t vae_factor(const VaeConfig *config) {
    return (int64_t)1 << (config->levels - 1);
}
