// SPDX-License-Identifier: MIT
// The keys that the U-Net's config shares with its control branch's.
#ifndef NN_UNET_CONFIG_H
#define NN_UNET_CONFIG_H

#include "nn/netconfig.h"
#include "nn/unet.h"

// Sets what a missing key means; reads the encoder's keys; checks that the whole is possible.
void unet_config_defaults(UnetConfig *config);
int unet_config_take_encoder(UnetConfig *config, const json_t *root);
int unet_config_check(const UnetConfig *config);

// Adds the encoder's keys to an object.
void unet_config_put_encoder(const UnetConfig *config, json_t *root);

// Rules of keys that both know, as rows of a NetconfigRule table.
#define UNET_ENCODER_RULES                                                                        \
    {"act_fn", "\"silu\""}, {"addition_embed_type", "null"},                                      \
        {"addition_embed_type_num_heads", NULL}, {"addition_time_embed_dim", "null"},             \
        {"attention_head_dim", NULL}, {"block_out_channels", NULL}, {"class_embed_type", "null"}, \
        {"cross_attention_dim", NULL}, {"down_block_types", NULL}, {"downsample_padding", "1"},   \
        {"encoder_hid_dim", "null"}, {"encoder_hid_dim_type", "null"},                            \
        {"flip_sin_to_cos", "true"}, {"freq_shift", "0"}, {"in_channels", NULL},                  \
        {"layers_per_block", NULL}, {"mid_block_scale_factor", "1"},                              \
        {"mid_block_type", "\"UNetMidBlock2DCrossAttn\""}, {"norm_eps", NULL},                    \
        {"norm_num_groups", NULL}, {"num_class_embeds", "null"},                                  \
        {"only_cross_attention", "false"}, {"projection_class_embeddings_input_dim", "null"},     \
        {"resnet_time_scale_shift", "\"default\""}, {"transformer_layers_per_block", "1"},        \
        {"upcast_attention", NULL}, {                                                             \
        "use_linear_projection", NULL                                                             \
    }

#endif
