// SPDX-License-Identifier: MIT
// The auto-encoder's config.json and the built-in configurations.
#include "base/error.h"
#include "nn/netconfig.h"
#include "nn/vae.h"

#include <string.h>

static const double SCALING_FACTOR = 0.18215; // of files that do not name one

static const NetconfigRule rules[] = {
    {"act_fn", "\"silu\""},
    {"block_out_channels", NULL},
    {"down_block_types", NULL},
    {"force_upcast", NULL},
    {"in_channels", NULL},
    {"latent_channels", NULL},
    {"latents_mean", "null"},
    {"latents_std", "null"},
    {"layers_per_block", NULL},
    {"mid_block_add_attention", "true"},
    {"norm_num_groups", NULL},
    {"out_channels", NULL},
    {"sample_size", NULL},
    {"scaling_factor", NULL},
    {"shift_factor", "0"},
    {"up_block_types", NULL},
    {"use_post_quant_conv", "true"},
    {"use_quant_conv", "true"},
    {NULL, NULL},
};

static const struct {
    const char *name;
    VaeConfig config;
} named[] = {
    {"sd2", {768, 3, 3, 4, 4, {128, 256, 512, 512}, 2, 32, 0.18215}},
    {"sd15", {512, 3, 3, 4, 4, {128, 256, 512, 512}, 2, 32, 0.18215}},
    {"miniature", {64, 3, 3, 4, 3, {16, 32, 48}, 1, 8, 0.18215}},
};

const VaeConfig *vae_config_named(const char *name) {
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (strcmp(named[i].name, name) == 0) return &named[i].config;
    return NULL;
}

static int check_types(const json_t *root, const char *key, const char *type, int count) {
    bool places[VAE_MAX_LEVELS];
    return netconfig_types(root, key, NULL, type, count, places);
}

static int take(VaeConfig *config, const json_t *root) {
    *config = (VaeConfig){.in_channels = 3,
                          .out_channels = 3,
                          .latent_channels = 4,
                          .layers = 1,
                          .groups = 32,
                          .scaling_factor = SCALING_FACTOR};
    int count = 0;
    if (netconfig_check(root, rules) != 0 ||
        netconfig_integers(root, "block_out_channels", 1, 65536, VAE_MAX_LEVELS, &count,
                           config->channels) != 0)
        return -1;
    if (count == 0) return error_int("block_out_channels is missing");
    if (check_types(root, "down_block_types", "DownEncoderBlock2D", count) != 0 ||
        check_types(root, "up_block_types", "UpDecoderBlock2D", count) != 0)
        return -1;
    config->levels = count;
    if (json_is_integer(json_object_get(root, "sample_size")))
        config->sample_size = json_integer_value(json_object_get(root, "sample_size"));
    if (netconfig_integer(root, "in_channels", 1, 1024, &config->in_channels) != 0 ||
        netconfig_integer(root, "out_channels", 1, 1024, &config->out_channels) != 0 ||
        netconfig_integer(root, "latent_channels", 1, 1024, &config->latent_channels) != 0 ||
        netconfig_integer(root, "layers_per_block", 1, VAE_MAX_LAYERS, &config->layers) != 0 ||
        netconfig_integer(root, "norm_num_groups", 1, 65536, &config->groups) != 0 ||
        netconfig_number(root, "scaling_factor", 1e-6, 1e6, &config->scaling_factor) != 0)
        return -1;
    for (int i = 0; i < count; i++)
        if (config->channels[i] % config->groups != 0)
            return error_int("block_out_channels: %lld is not a multiple of norm_num_groups, %lld",
                             (long long)config->channels[i], (long long)config->groups);
    return 0;
}

int vae_config_read(VaeConfig *config, const char *path) {
    json_t *root = netconfig_read(path);
    if (!root) return -1;
    int result = take(config, root);
    json_decref(root);
    return result == 0 ? 0 : error_context("%s", path);
}

static json_t *repeated(const char *type, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_string(type));
    return list;
}

int vae_config_write(const VaeConfig *config, const char *path) {
    int levels = config->levels;
    json_t *root = json_pack(
        "{s:s,s:s,s:I,s:I,s:I,s:I,s:I,s:I,s:f,s:s}", "_class_name", "AutoencoderKL",
        "_diffusers_version", "0.30.2", "sample_size", (json_int_t)config->sample_size,
        "in_channels", (json_int_t)config->in_channels, "out_channels",
        (json_int_t)config->out_channels, "latent_channels", (json_int_t)config->latent_channels,
        "layers_per_block", (json_int_t)config->layers, "norm_num_groups",
        (json_int_t)config->groups, "scaling_factor", config->scaling_factor, "act_fn", "silu");
    if (!root) return error_int("%s: out of memory", path);
    json_object_set_new(root, "block_out_channels",
                        netconfig_integer_list(config->channels, levels));
    json_object_set_new(root, "down_block_types", repeated("DownEncoderBlock2D", levels));
    json_object_set_new(root, "up_block_types", repeated("UpDecoderBlock2D", levels));
    int result = netconfig_write(path, root);
    json_decref(root);
    return result;
}
