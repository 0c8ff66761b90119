// SPDX-License-Identifier: MIT
// The branch's config.json, and its configuration beside a U-Net.
#include "base/error.h"
#include "nn/controlnet.h"
#include "nn/unet_config.h"

static const NetconfigRule rules[] = {
    UNET_ENCODER_RULES,
    {"conditioning_channels", NULL},
    {"conditioning_embedding_out_channels", NULL},
    {"controlnet_conditioning_channel_order", "\"rgb\""},
    {"global_pool_conditions", "false"},
    {"num_attention_heads", NULL},
    {NULL, NULL},
};

ControlNetConfig controlnet_config_beside(const UnetConfig *unet, int widths, int64_t channels) {
    static const int64_t known[] = {16, 32, 96, 256};
    ControlNetConfig config = {.encoder = *unet, .condition_channels = channels, .widths = widths};
    for (int i = 0; i < widths; i++) config.width[i] = known[i < 3 ? i : 3];
    if (widths == 3) config.width[2] = 64; // the miniature's
    return config;
}

static int take(ControlNetConfig *config, const json_t *root) {
    UnetConfig defaults;
    unet_config_defaults(&defaults);
    *config = controlnet_config_beside(&defaults, 4, 3);
    UnetConfig *encoder = &config->encoder;
    if (netconfig_check(root, rules) != 0 || unet_config_take_encoder(encoder, root) != 0 ||
        netconfig_integers(root, "num_attention_heads", 1, 1024, UNET_MAX_LEVELS, &encoder->levels,
                           encoder->heads) != 0 ||
        netconfig_integer(root, "conditioning_channels", 1, 1024, &config->condition_channels) != 0)
        return -1;
    int count = 0;
    if (netconfig_integers(root, "conditioning_embedding_out_channels", 1, 65536,
                           CONTROLNET_MAX_WIDTHS, &count, config->width) != 0)
        return -1;
    if (count > 0) config->widths = count;
    return unet_config_check(encoder);
}

int controlnet_config_read(ControlNetConfig *config, const char *path) {
    json_t *root = netconfig_read(path);
    if (!root) return -1;
    int result = take(config, root);
    json_decref(root);
    return result == 0 ? 0 : error_context("%s", path);
}

int controlnet_config_write(const ControlNetConfig *config, const char *path) {
    json_t *root =
        json_pack("{s:s,s:s,s:I}", "_class_name", "ControlNetModel", "_diffusers_version", "0.30.2",
                  "conditioning_channels", (json_int_t)config->condition_channels);
    if (!root) return error_int("%s: out of memory", path);
    json_object_set_new(root, "conditioning_embedding_out_channels",
                        netconfig_integer_list(config->width, config->widths));
    unet_config_put_encoder(&config->encoder, root);
    int result = netconfig_write(path, root);
    json_decref(root);
    return result;
}
