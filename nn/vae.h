// SPDX-License-Identifier: MIT
// The auto-encoder of Stable Diffusion (AutoencoderKL). Source: Rombach et al. 2022.
//
// Images are [N,H,W,3] in -1..1; a latent is [N,h,w,4], H and W over 2^(levels-1), rounded down.
#ifndef NN_VAE_H
#define NN_VAE_H

#include "autograd/tape.h"
#include "nn/blocks.h"

enum { VAE_MAX_LEVELS = 6, VAE_MAX_LAYERS = 4 };

typedef struct {
    int64_t sample_size; // side of the images it was trained at; not used
    int64_t in_channels, out_channels, latent_channels;
    int levels;
    int64_t channels[VAE_MAX_LEVELS];
    int64_t layers; // residual blocks per level of the encoder; one more in the decoder
    int64_t groups;
    double scaling_factor; // latents are the encoder's means times this
} VaeConfig;

// Built in: "sd2" (also "sd15"), "miniature". NULL when there is none of that name.
const VaeConfig *vae_config_named(const char *name);
int vae_config_read(VaeConfig *config, const char *path);
int vae_config_write(const VaeConfig *config, const char *path);

// Residual blocks at one resolution, then, with a sampler, half of it or, if `up`, twice.
typedef struct {
    ResnetBlock resnets[VAE_MAX_LAYERS + 1];
    Conv sampler;
    int layers;
    bool has_sampler, up;
} VaeLevel;

typedef struct {
    ResnetBlock resnets[2];
    AttentionBlock attention; // between them
} VaeMiddle;

// The parts alone; `name` begins the parameters' names. The level's layers, has_sampler and up are
// set before. Forward: h [N,H,W,in] -> [N,H',W',out]; every step ends `chain`, which the caller
// began before h was made, so that each lets go of the one before; h is not read afterwards.
void vae_level_declare(ParamSet *set, VaeLevel *level, const char *name, int64_t in, int64_t out,
                       int groups);
void vae_middle_declare(ParamSet *set, VaeMiddle *middle, const char *name, int64_t channels,
                        int groups);
Tensor *vae_level_forward(VaeLevel *level, Tensor *h, Scope chain);
Tensor *vae_middle_forward(VaeMiddle *middle, Tensor *h, Scope chain);

typedef struct {
    Conv conv_in, conv_out;
    VaeLevel levels[VAE_MAX_LEVELS];
    VaeMiddle middle;
    Norm norm_out;
} VaeHalf;

typedef struct {
    VaeConfig config;
    ParamSet params;
    bool bf16; // computes in BF16; what goes in and comes out is F32
    VaeHalf encoder, decoder;
    Linear quant, post_quant; // 1 x 1 convolutions
} Vae;

// Declares the network; parameters have no memory yet.
Vae *vae_new(const VaeConfig *config, Dtype dtype);
void vae_free(Vae *vae);

// Gradient checkpointing of every block.
void vae_recompute(Vae *vae, bool on);

// image [N,H,W,3] -> [N,h,w,8]: the means of the latent channels, then their log-variances, neither
// scaled nor clamped (clamp the log-variance to -30..20 before use).
Tensor *vae_encode_moments(Vae *vae, Tensor *image);

// image [N,H,W,3] -> latent [N,h,w,4]: the means times the scaling factor. Nothing is recorded
// unless a parameter of the encoder or the image needs a gradient.
Tensor *vae_encode_mean(Vae *vae, Tensor *image);

// latent [N,h,w,4], scaled as above -> image [N,H,W,3], not clamped.
Tensor *vae_decode(Vae *vae, Tensor *latent);

// How many times smaller a latent is than its image, per side: 8 for Stable Diffusion.
int64_t vae_factor(const VaeConfig *config);

#endif
