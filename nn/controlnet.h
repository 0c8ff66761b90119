// SPDX-License-Identifier: MIT
// The prompt branch (ControlNetModel): a trainable copy of the U-Net's encoder and middle that sees
// a condition image and answers with residuals, through convolutions that start closed.
// Source: Zhang, Rao and Agrawala 2023.
#ifndef NN_CONTROLNET_H
#define NN_CONTROLNET_H

#include "nn/unet.h"

enum { CONTROLNET_MAX_WIDTHS = 8 };

typedef struct {
    UnetConfig encoder; // out_channels and up_attention are not used
    int64_t condition_channels;
    int widths;
    int64_t width[CONTROLNET_MAX_WIDTHS]; // of the condition's embedding; each further one halves
} ControlNetConfig;

// The branch that is built beside a U-Net. widths: of the condition's embedding, 1 to
// CONTROLNET_MAX_WIDTHS, one per level of the auto-encoder; channels: of the condition.
ControlNetConfig controlnet_config_beside(const UnetConfig *unet, int widths, int64_t channels);
int controlnet_config_read(ControlNetConfig *config, const char *path);
int controlnet_config_write(const ControlNetConfig *config, const char *path);

typedef struct {
    ControlNetConfig config;
    ParamSet params;
    bool bf16; // computes in BF16; what goes in and comes out is F32
    UnetEncoder encoder;
    Conv embed_in, embed_out;
    Conv embed[2 * CONTROLNET_MAX_WIDTHS];
    Conv gates[UNET_MAX_SKIPS]; // 1 x 1, closed at the start
    Conv mid_gate;
} ControlNet;

// Declares the network; parameters have no memory yet.
ControlNet *controlnet_new(const ControlNetConfig *config, Dtype dtype);
void controlnet_free(ControlNet *control);
void controlnet_recompute(ControlNet *control, bool on);

// Fresh start beside a U-Net: all parameters initialised by seed, then what both have copied from
// it. The U-Net's output does not change until the branch has been trained. Fails when their
// encoders differ.
int controlnet_start(ControlNet *control, const Unet *unet, uint64_t seed);

// z, timestep, context as for the U-Net; condition [N,H,W,P] in 0..1 at image resolution. Residuals
// for every skip and the middle, times `scale`.
int controlnet_forward(ControlNet *control, Tensor *z, double timestep, Tensor *context,
                       Tensor *condition, double scale, UnetResiduals *residuals);

#endif
