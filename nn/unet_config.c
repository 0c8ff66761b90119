// SPDX-License-Identifier: MIT
// The U-Net's config.json and the built-in configurations.
#include "nn/unet_config.h"

#include "base/error.h"

#include <string.h>

static const NetconfigRule rules[] = {
    UNET_ENCODER_RULES,
    {"attention_type", "\"default\""},
    {"center_input_sample", "false"},
    {"class_embeddings_concat", "false"},
    {"conv_in_kernel", "3"},
    {"conv_out_kernel", "3"},
    {"cross_attention_norm", "null"},
    {"dropout", "0"},
    {"dual_cross_attention", "false"},
    {"mid_block_only_cross_attention", "false"},
    {"num_attention_heads", "null"},
    {"out_channels", NULL},
    {"resnet_out_scale_factor", "1"},
    {"resnet_skip_time_act", "false"},
    {"reverse_transformer_layers_per_block", "null"},
    {"sample_size", NULL},
    {"time_cond_proj_dim", "null"},
    {"time_embedding_act_fn", "null"},
    {"time_embedding_dim", "null"},
    {"time_embedding_type", "\"positional\""},
    {"timestep_post_act", "null"},
    {"up_block_types", NULL},
    {NULL, NULL},
};

static const struct {
    const char *name;
    UnetConfig config;
} named[] = {
    {"sd2",
     {.sample_size = 96,
      .in_channels = 4,
      .out_channels = 4,
      .levels = 4,
      .channels = {320, 640, 1280, 1280},
      .heads = {5, 10, 20, 20},
      .attention = {true, true, true, false},
      .up_attention = {false, true, true, true},
      .layers = 2,
      .context_width = 1024,
      .groups = 32,
      .eps = 1e-5,
      .linear_projection = true}},
    {"sd15",
     {.sample_size = 64,
      .in_channels = 4,
      .out_channels = 4,
      .levels = 4,
      .channels = {320, 640, 1280, 1280},
      .heads = {8, 8, 8, 8},
      .attention = {true, true, true, false},
      .up_attention = {false, true, true, true},
      .layers = 2,
      .context_width = 768,
      .groups = 32,
      .eps = 1e-5}},
    {"miniature",
     {.sample_size = 16,
      .in_channels = 4,
      .out_channels = 4,
      .levels = 2,
      .channels = {48, 64},
      .heads = {3, 4},
      .attention = {true, true}, // as in sd2: with attention where the prompt comes in
      .up_attention = {true, true},
      .layers = 2,
      .context_width = 32,
      .groups = 8,
      .eps = 1e-5,
      .linear_projection = true}},
};

const UnetConfig *unet_config_named(const char *name) {
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (strcmp(named[i].name, name) == 0) return &named[i].config;
    return NULL;
}

void unet_config_defaults(UnetConfig *config) {
    *config = (UnetConfig){.in_channels = 4,
                           .out_channels = 4,
                           .layers = 2,
                           .context_width = 1280,
                           .groups = 32,
                           .eps = 1e-5};
}

int unet_config_take_encoder(UnetConfig *config, const json_t *root) {
    int count = 0;
    if (!json_object_get(root, "block_out_channels"))
        return error_int("block_out_channels is missing");
    if (netconfig_integers(root, "block_out_channels", 2, 65536, UNET_MAX_LEVELS, &count,
                           config->channels) != 0)
        return -1;
    config->levels = count;
    for (int i = 0; i < count; i++) config->heads[i] = 8;
    if (netconfig_integer(root, "in_channels", 1, 1024, &config->in_channels) != 0 ||
        netconfig_integers(root, "attention_head_dim", 1, 1024, UNET_MAX_LEVELS, &count,
                           config->heads) != 0 ||
        netconfig_types(root, "down_block_types", "CrossAttnDownBlock2D", "DownBlock2D", count,
                        config->attention) != 0 ||
        netconfig_integer(root, "layers_per_block", 1, UNET_MAX_LAYERS, &config->layers) != 0 ||
        netconfig_integer(root, "cross_attention_dim", 1, 65536, &config->context_width) != 0 ||
        netconfig_integer(root, "norm_num_groups", 1, 65536, &config->groups) != 0 ||
        netconfig_number(root, "norm_eps", 1e-12, 1, &config->eps) != 0)
        return -1;
    return netconfig_boolean(root, "use_linear_projection", &config->linear_projection);
}

int unet_config_check(const UnetConfig *config) {
    if (config->levels < 1 || config->levels > UNET_MAX_LEVELS)
        return error_int("%d levels; expected 1 to %d", config->levels, UNET_MAX_LEVELS);
    if (config->layers < 1 || config->layers > UNET_MAX_LAYERS)
        return error_int("layers_per_block is %lld; expected 1 to %d", (long long)config->layers,
                         UNET_MAX_LAYERS);
    for (int i = 0; i < config->levels; i++) {
        int64_t channels = config->channels[i];
        int up = config->levels - 1 - i;
        bool attention =
            config->attention[i] || config->up_attention[up] || i == config->levels - 1;
        if (channels < 2 || channels % 2 != 0 || channels % config->groups != 0)
            return error_int("block_out_channels: %lld is not a multiple of 2 and of "
                             "norm_num_groups, %lld",
                             (long long)channels, (long long)config->groups);
        if (attention && (config->heads[i] < 1 || channels % config->heads[i] != 0))
            return error_int("attention_head_dim: %lld heads do not divide %lld channels",
                             (long long)config->heads[i], (long long)channels);
    }
    return 0;
}

static int take(UnetConfig *config, const json_t *root) {
    unet_config_defaults(config);
    if (netconfig_check(root, rules) != 0 || unet_config_take_encoder(config, root) != 0) return -1;
    if (json_is_integer(json_object_get(root, "sample_size")))
        config->sample_size = json_integer_value(json_object_get(root, "sample_size"));
    if (netconfig_integer(root, "out_channels", 1, 1024, &config->out_channels) != 0 ||
        netconfig_types(root, "up_block_types", "CrossAttnUpBlock2D", "UpBlock2D", config->levels,
                        config->up_attention) != 0)
        return -1;
    return unet_config_check(config);
}

int unet_config_read(UnetConfig *config, const char *path) {
    json_t *root = netconfig_read(path);
    if (!root) return -1;
    int result = take(config, root);
    json_decref(root);
    return result == 0 ? 0 : error_context("%s", path);
}

static json_t *types(const char *yes, const char *no, const bool *places, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_string(places[i] ? yes : no));
    return list;
}

void unet_config_put_encoder(const UnetConfig *config, json_t *root) {
    int levels = config->levels;
    json_object_set_new(root, "in_channels", json_integer(config->in_channels));
    json_object_set_new(root, "block_out_channels",
                        netconfig_integer_list(config->channels, levels));
    json_object_set_new(root, "down_block_types",
                        types("CrossAttnDownBlock2D", "DownBlock2D", config->attention, levels));
    json_object_set_new(root, "layers_per_block", json_integer(config->layers));
    json_object_set_new(root, "attention_head_dim", netconfig_integer_list(config->heads, levels));
    json_object_set_new(root, "cross_attention_dim", json_integer(config->context_width));
    json_object_set_new(root, "norm_num_groups", json_integer(config->groups));
    json_object_set_new(root, "norm_eps", json_real(config->eps));
    json_object_set_new(root, "use_linear_projection", json_boolean(config->linear_projection));
}

int unet_config_write(const UnetConfig *config, const char *path) {
    json_t *root =
        json_pack("{s:s,s:s,s:I,s:I}", "_class_name", "UNet2DConditionModel", "_diffusers_version",
                  "0.30.2", "sample_size", (json_int_t)config->sample_size, "out_channels",
                  (json_int_t)config->out_channels);
    if (!root) return error_int("%s: out of memory", path);
    unet_config_put_encoder(config, root);
    json_object_set_new(
        root, "up_block_types",
        types("CrossAttnUpBlock2D", "UpBlock2D", config->up_attention, config->levels));
    int result = netconfig_write(path, root);
    json_decref(root);
    return result;
}
