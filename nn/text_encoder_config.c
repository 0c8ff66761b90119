// SPDX-License-Identifier: MIT
// The text encoder's config.json, with the keys of transformers, and the built-in configurations.
#include "base/error.h"
#include "nn/netconfig.h"
#include "nn/text_encoder.h"

#include <string.h>

// What a missing key means to transformers.
static const TextConfig defaults = {49408, 77, 512, 2048, 12, 8, 1e-5, true};

static const NetconfigRule rules[] = {
    {"architectures", NULL},
    {"attention_dropout", "0"},
    {"bos_token_id", NULL},
    {"dropout", "0"},
    {"dtype", NULL},
    {"eos_token_id", NULL},
    {"hidden_act", NULL},
    {"hidden_size", NULL},
    {"initializer_factor", NULL},
    {"initializer_range", NULL},
    {"intermediate_size", NULL},
    {"layer_norm_eps", NULL},
    {"max_position_embeddings", NULL},
    {"model_type", "\"clip_text_model\""},
    {"num_attention_heads", NULL},
    {"num_hidden_layers", NULL},
    {"pad_token_id", NULL},
    {"projection_dim", NULL},
    {"torch_dtype", NULL},
    {"transformers_version", NULL},
    {"vocab_size", NULL},
    {NULL, NULL},
};

static const struct {
    const char *name;
    TextConfig config;
} named[] = {
    {"sd2", {49408, 77, 1024, 4096, 23, 16, 1e-5, false}},
    {"sd15", {49408, 77, 768, 3072, 12, 12, 1e-5, true}},
};

const TextConfig *text_config_named(const char *name) {
    for (size_t i = 0; i < sizeof named / sizeof named[0]; i++)
        if (strcmp(named[i].name, name) == 0) return &named[i].config;
    return NULL;
}

static int take_activation(TextConfig *config, const json_t *root) {
    const json_t *value = json_object_get(root, "hidden_act");
    if (!value) return 0;
    const char *name = json_is_string(value) ? json_string_value(value) : "(not text)";
    config->quick_gelu = strcmp(name, "quick_gelu") == 0;
    if (config->quick_gelu || strcmp(name, "gelu") == 0) return 0;
    return error_int("hidden_act is %.60s; expected gelu or quick_gelu", name);
}

static int take(TextConfig *config, const json_t *root) {
    *config = defaults;
    if (netconfig_check(root, rules) != 0 || take_activation(config, root) != 0 ||
        netconfig_integer(root, "vocab_size", 1, 1 << 24, &config->vocabulary) != 0 ||
        netconfig_integer(root, "max_position_embeddings", 1, 65536, &config->positions) != 0 ||
        netconfig_integer(root, "hidden_size", 1, 65536, &config->width) != 0 ||
        netconfig_integer(root, "intermediate_size", 1, 1 << 20, &config->inner) != 0 ||
        netconfig_integer(root, "num_hidden_layers", 1, TEXT_MAX_LAYERS, &config->layers) != 0 ||
        netconfig_integer(root, "num_attention_heads", 1, 1024, &config->heads) != 0 ||
        netconfig_number(root, "layer_norm_eps", 1e-12, 1, &config->eps) != 0)
        return -1;
    if (config->width % config->heads != 0)
        return error_int("hidden_size %lld is not a multiple of num_attention_heads, %lld",
                         (long long)config->width, (long long)config->heads);
    return 0;
}

int text_config_read(TextConfig *config, const char *path) {
    json_t *root = netconfig_read(path);
    if (!root) return -1;
    int result = take(config, root);
    json_decref(root);
    return result == 0 ? 0 : error_context("%s", path);
}
