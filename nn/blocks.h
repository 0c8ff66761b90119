// SPDX-License-Identifier: MIT
// The two blocks that all diffusion networks are made of. Source: method of Rombach et al. 2022.
#ifndef NN_BLOCKS_H
#define NN_BLOCKS_H

#include "nn/layers.h"

// y = shortcut(x) + conv2(SiLU(norm2(conv1(SiLU(norm1 x)) + time(SiLU emb))))
typedef struct {
    Norm norm1, norm2;
    Conv conv1, conv2;
    Conv shortcut; // 1 x 1, only if channels change
    Linear time;   // only if time_width > 0
    bool has_shortcut, has_time;
    bool recompute; // gradient checkpointing: keep only the block's input
    int groups;
    double eps;
} ResnetBlock;

// time_width: width of the time embedding, 0 for a block without one.
void resnet_declare(ParamSet *set, ResnetBlock *block, const char *name, int64_t in, int64_t out,
                    int64_t time_width, int groups, double eps);

// x [N,H,W,Ci]; time: SiLU of the time embedding, [1,time_width], or NONE -> [N,H,W,Co].
Tensor *resnet_forward(ResnetBlock *block, Tensor *x, Tensor *time);
// The same for an x that nobody reads any more: outside recording its memory goes early.
Tensor *resnet_forward_over(ResnetBlock *block, Tensor *x, Tensor *time);

typedef struct {
    Linear to_q, to_k, to_v, to_out;
} Attention;

// y = x + proj_out(b(proj_in(norm x))), b: self-attention, cross-attention, gated feed-forward,
// each with its own layer norm and a residual.
typedef struct {
    Norm norm;
    Linear proj_in, proj_out;
    Norm norm1, norm2, norm3;
    Attention attn1, attn2; // tokens with tokens; tokens with the context
    Linear feed_in, feed_out;
    int heads, groups;
    bool recompute;
} TransformerBlock;

// linear_projection: proj_in and proj_out stand in files as [C,C], otherwise as [C,C,1,1].
void transformer_declare(ParamSet *set, TransformerBlock *block, const char *name, int64_t channels,
                         int64_t context_width, int heads, int groups, bool linear_projection);

// x [N,H,W,C]; context [N,T,D], or [1,T,D] shared by all images -> like x.
Tensor *transformer_forward(TransformerBlock *block, Tensor *x, Tensor *context);

// Single-head self-attention over all positions, of the auto-encoder: x + out(attention(norm x)).
typedef struct {
    Norm norm;
    Attention attention;
    int groups;
    double eps;
    bool recompute;
} AttentionBlock;

void attention_declare(ParamSet *set, AttentionBlock *block, const char *name, int64_t channels,
                       int groups, double eps);
Tensor *attention_forward(AttentionBlock *block, Tensor *x);

#endif
