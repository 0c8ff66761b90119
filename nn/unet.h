// SPDX-License-Identifier: MIT
// The conditional U-Net of Stable Diffusion 1.x and 2.x, and smaller ones of the same make
// (UNet2DConditionModel). Source: Rombach et al. 2022; tensor names and details as in diffusers.
//
// Latents are [N,h,w,4]; any size: upsampling meets the exact size of the skips. The forward pass
// comes in two halves, encoder with middle and decoder, so that the first can be kept between
// prompts and residuals can be added in between.
#ifndef NN_UNET_H
#define NN_UNET_H

#include "autograd/tape.h"
#include "nn/blocks.h"

enum { UNET_MAX_LEVELS = 6, UNET_MAX_LAYERS = 4 };
enum { UNET_MAX_SKIPS = 1 + UNET_MAX_LEVELS * (UNET_MAX_LAYERS + 1) };

typedef struct {
    int64_t sample_size; // side of the latent it was trained at; not used
    int64_t in_channels, out_channels;
    int levels;
    int64_t channels[UNET_MAX_LEVELS];
    int64_t heads[UNET_MAX_LEVELS];     // number of heads ("attention_head_dim" in files)
    bool attention[UNET_MAX_LEVELS];    // down blocks, from the outside in
    bool up_attention[UNET_MAX_LEVELS]; // up blocks, from the inside out
    int64_t layers;                     // residual blocks per down block; one more per up block
    int64_t context_width;              // D of the context
    int64_t groups;
    double eps;
    bool linear_projection;
} UnetConfig;

// Built in: "sd2", "sd15", "miniature". NULL when there is none of that name.
const UnetConfig *unet_config_named(const char *name);
// From and to a config.json. Values that would change the meaning are errors.
int unet_config_read(UnetConfig *config, const char *path);
int unet_config_write(const UnetConfig *config, const char *path);

// The skips and the middle output; or what is added to each of them. Tensors belong to the tape.
typedef struct {
    Tensor *skips[UNET_MAX_SKIPS]; // in order of making
    int count;
    Tensor *mid;
} UnetFeatures;
typedef UnetFeatures UnetResiduals;

// Another set of tensors over the same memory, owned by the caller: outlives tape_reset.
int unet_features_hold(UnetFeatures *held, const UnetFeatures *features);
void unet_features_free(UnetFeatures *held);

// Residual blocks at one resolution, each followed by a transformer if the level has attention.
typedef struct {
    ResnetBlock resnets[UNET_MAX_LAYERS + 1];
    TransformerBlock transformers[UNET_MAX_LAYERS + 1];
    Conv sampler; // to the next level
    int layers;
    bool has_attention, has_sampler;
} UnetLevel;

typedef struct {
    ResnetBlock resnets[2];
    TransformerBlock attention; // between them
} UnetMiddle;

// Level i of a config: down blocks count from the outside in, up blocks from the inside out. The
// middle has the last level's channels and heads. `name` begins the parameters' names.
void unet_down_declare(ParamSet *set, UnetLevel *level, const char *name, const UnetConfig *config,
                       int i, int64_t time_width);
void unet_up_declare(ParamSet *set, UnetLevel *level, const char *name, const UnetConfig *config,
                     int i, int64_t time_width);
void unet_middle_declare(ParamSet *set, UnetMiddle *middle, const char *name,
                         const UnetConfig *config, int64_t time_width);

// h [N,h,w,Ci]; time: SiLU of the time embedding, [1,time_width]; context as for the U-Net. Down
// adds a skip after every layer and after the sampler. Up takes skips *next - 1, *next - 2, ...,
// each with its residual (residuals may be NULL), and meets the size of the one that follows; every
// step ends `chain`, which the caller began before h was made, so that each lets go of the one
// before.
Tensor *unet_down_forward(UnetLevel *level, Tensor *h, Tensor *time, Tensor *context,
                          UnetFeatures *features);
Tensor *unet_middle_forward(UnetMiddle *middle, Tensor *h, Tensor *time, Tensor *context);
Tensor *unet_up_forward(UnetLevel *level, Tensor *h, Tensor *time, Tensor *context,
                        const UnetFeatures *features, const UnetResiduals *residuals, int *next,
                        Scope chain);

// What the U-Net and its control branch have in common.
typedef struct {
    Conv conv_in;
    Linear time1, time2;
    UnetLevel down[UNET_MAX_LEVELS];
    UnetMiddle middle;
    int levels;
    int64_t time_inputs; // number of sines and cosines
    Tensor *time_row;    // sines and cosines of time_of, the first timestep, mostly the only one
    double time_of;
} UnetEncoder;

void unet_encoder_declare(ParamSet *set, UnetEncoder *encoder, const UnetConfig *config);
void unet_encoder_done(UnetEncoder *encoder);
void unet_encoder_recompute(UnetEncoder *encoder, bool on);
// SiLU of the time embedding, [1, 4 channels[0]].
Tensor *unet_encoder_time(UnetEncoder *encoder, double timestep);
// From conv_in's output on.
int unet_encoder_forward(UnetEncoder *encoder, Tensor *h, Tensor *time, Tensor *context,
                         UnetFeatures *features);

typedef struct {
    UnetConfig config;
    ParamSet params;
    bool bf16; // computes in BF16; what goes in and comes out is F32
    UnetEncoder encoder;
    UnetLevel up[UNET_MAX_LEVELS];
    Norm norm_out;
    Conv conv_out;
} Unet;

// Declares the network; parameters have no memory yet. NULL and an error for an impossible config.
Unet *unet_new(const UnetConfig *config, Dtype dtype);
void unet_free(Unet *unet);

// Gradient checkpointing: every block keeps only its input and is computed again in backward.
void unet_recompute(Unet *unet, bool on);

// z [N,h,w,in]; timestep 0..999, one for all; context [N,T,D] or [1,T,D]; residuals as many as the
// encoder has skips, or NULL -> [N,h,w,out].
Tensor *unet_forward(Unet *unet, Tensor *z, double timestep, Tensor *context,
                     const UnetResiduals *residuals);

// The two halves.
int unet_encode(Unet *unet, Tensor *z, double timestep, Tensor *context, UnetFeatures *features);
Tensor *unet_decode(Unet *unet, const UnetFeatures *features, double timestep, Tensor *context,
                    const UnetResiduals *residuals);

// Number of skips: 12 for Stable Diffusion.
int unet_skip_count(const UnetConfig *config);

#endif
