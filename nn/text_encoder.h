// SPDX-License-Identifier: MIT
// The text tower of CLIP (CLIPTextModel): token and position embeddings, causal pre-norm
// transformer layers, a final norm. Source: Radford et al. 2021. Stable Diffusion 2 has that of
// OpenCLIP ViT-H/14 without its last layer, Stable Diffusion 1 ViT-L/14.
#ifndef NN_TEXT_ENCODER_H
#define NN_TEXT_ENCODER_H

#include "nn/layers.h"

enum { TEXT_MAX_LAYERS = 64 };

typedef struct {
    int64_t vocabulary, positions; // rows of the two embeddings
    int64_t width, inner;          // of a token; of the layers' feed-forward part
    int64_t layers, heads;
    double eps;      // of every norm
    bool quick_gelu; // x sigmoid(1.702 x) in place of the exact GELU
} TextConfig;

// Built in: "sd2" (23 layers, exact GELU), "sd15" (12 layers, quick GELU). NULL when there is none
// of that name.
const TextConfig *text_config_named(const char *name);
int text_config_read(TextConfig *config, const char *path);

typedef struct {
    Norm norm1, norm2;
    Linear to_q, to_k, to_v, to_out;
    Linear feed_in, feed_out;
} TextLayer;

typedef struct {
    TextConfig config;
    ParamSet params;
    Tensor *tokens, *places; // [vocabulary,width], [positions,width]
    TextLayer layers[TEXT_MAX_LAYERS];
    Norm norm_out;
} TextEncoder;

// Declares the network; parameters have no memory yet.
TextEncoder *text_encoder_new(const TextConfig *config, Dtype dtype);

// Opens MODEL/text_encoder: config.json and model.safetensors.
TextEncoder *text_encoder_open(const char *model, Dtype dtype);
void text_encoder_free(TextEncoder *encoder);

// ids I32 [N,T], T at most `positions` -> the last hidden state after the final norm, [N,T,width].
// Padding is seen like any other token, as Stable Diffusion does.
Tensor *text_encoder_forward(TextEncoder *encoder, Tensor *ids);

#endif
