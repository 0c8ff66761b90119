// SPDX-License-Identifier: MIT
// The parts of the U-Net: a level of its encoder, the middle, a level of its decoder. See unet.h.
#include "nn/unet.h"

// ---- declaring ----------------------------------------------------------------------------------

static void declare_layer(ParamSet *set, UnetLevel *level, const char *name,
                          const UnetConfig *config, int place, int j, int64_t in,
                          int64_t time_width) {
    char path[LAYER_NAME_SIZE];
    int64_t out = config->channels[place];
    resnet_declare(set, &level->resnets[j], layer_name(path, name, "resnets.%d", j), in, out,
                   time_width, (int)config->groups, config->eps);
    if (!level->has_attention) return;
    transformer_declare(set, &level->transformers[j], layer_name(path, name, "attentions.%d", j),
                        out, config->context_width, (int)config->heads[place], (int)config->groups,
                        config->linear_projection);
}

static void declare_sampler(ParamSet *set, UnetLevel *level, const char *name, const char *kind,
                            int64_t channels) {
    char path[LAYER_NAME_SIZE];
    if (level->has_sampler)
        conv_declare(set, &level->sampler, layer_name(path, name, "%s.0.conv", kind), channels,
                     channels, 3, START_UNIFORM);
}

void unet_down_declare(ParamSet *set, UnetLevel *level, const char *name, const UnetConfig *config,
                       int i, int64_t time_width) {
    int64_t in = config->channels[i > 0 ? i - 1 : 0], out = config->channels[i];
    level->layers = (int)config->layers;
    level->has_attention = config->attention[i];
    level->has_sampler = i < config->levels - 1;
    for (int j = 0; j < level->layers; j++)
        declare_layer(set, level, name, config, i, j, j == 0 ? in : out, time_width);
    declare_sampler(set, level, name, "downsamplers", out);
}

// Up block i works at level levels - 1 - i; its last layer meets the skip of the level outside.
void unet_up_declare(ParamSet *set, UnetLevel *level, const char *name, const UnetConfig *config,
                     int i, int64_t time_width) {
    int place = config->levels - 1 - i;
    int64_t out = config->channels[place];
    int64_t before = config->channels[i == 0 ? place : place + 1];
    int64_t outside = config->channels[place > 0 ? place - 1 : 0];
    level->layers = (int)config->layers + 1;
    level->has_attention = config->up_attention[i];
    level->has_sampler = place > 0;
    for (int j = 0; j < level->layers; j++) {
        int64_t skip = j == level->layers - 1 ? outside : out;
        declare_layer(set, level, name, config, place, j, (j == 0 ? before : out) + skip,
                      time_width);
    }
    declare_sampler(set, level, name, "upsamplers", out);
}

void unet_middle_declare(ParamSet *set, UnetMiddle *middle, const char *name,
                         const UnetConfig *config, int64_t time_width) {
    char path[LAYER_NAME_SIZE];
    int last = config->levels - 1;
    int64_t inner = config->channels[last];
    resnet_declare(set, &middle->resnets[0], layer_name(path, name, "resnets.0"), inner, inner,
                   time_width, (int)config->groups, config->eps);
    transformer_declare(set, &middle->attention, layer_name(path, name, "attentions.0"), inner,
                        config->context_width, (int)config->heads[last], (int)config->groups,
                        config->linear_projection);
    resnet_declare(set, &middle->resnets[1], layer_name(path, name, "resnets.1"), inner, inner,
                   time_width, (int)config->groups, config->eps);
}

// ---- forward ------------------------------------------------------------------------------------

static Tensor *keep_skip(UnetFeatures *features, Tensor *h) {
    features->skips[features->count++] = h;
    return h;
}

Tensor *unet_down_forward(UnetLevel *level, Tensor *h, Tensor *time, Tensor *context,
                          UnetFeatures *features) {
    for (int j = 0; j < level->layers; j++) {
        h = resnet_forward(&level->resnets[j], h, time);
        if (level->has_attention) h = transformer_forward(&level->transformers[j], h, context);
        keep_skip(features, h);
    }
    return level->has_sampler ? keep_skip(features, conv_down(&level->sampler, h)) : h;
}

Tensor *unet_middle_forward(UnetMiddle *middle, Tensor *h, Tensor *time, Tensor *context) {
    h = resnet_forward(&middle->resnets[0], h, time);
    h = transformer_forward(&middle->attention, h, context);
    return resnet_forward(&middle->resnets[1], h, time);
}

// One layer: skip number `i` joins from the side.
static Tensor *up_layer(UnetLevel *level, int j, Tensor *h, Tensor *time, Tensor *context,
                        const UnetFeatures *features, const UnetResiduals *residuals, int i) {
    Tensor *skip = features->skips[i];
    if (residuals) skip = op_add(skip, residuals->skips[i]);
    h = resnet_forward_over(&level->resnets[j], op_concat(h, skip, 3), time);
    return level->has_attention ? transformer_forward(&level->transformers[j], h, context) : h;
}

Tensor *unet_up_forward(UnetLevel *level, Tensor *h, Tensor *time, Tensor *context,
                        const UnetFeatures *features, const UnetResiduals *residuals, int *next,
                        Scope chain) {
    for (int j = 0; j < level->layers; j++)
        h = scope_end(chain, up_layer(level, j, h, time, context, features, residuals, --*next));
    if (!level->has_sampler) return h;
    const Tensor *skip = features->skips[*next - 1];
    return scope_end(chain, conv_up(&level->sampler, h, skip->shape[1], skip->shape[2]));
}
