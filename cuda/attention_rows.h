// SPDX-License-Identifier: MIT
// The row-wise part of attention through products. Logits are [heads,T,S] of one image.
#ifndef CUDA_ATTENTION_ROWS_H
#define CUDA_ATTENTION_ROWS_H

#include "autograd/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    Dtype type; // of the weights, the mask, y and dy
    int64_t heads, T, S, width;
    const void *mask; // [S] of one image; NULL: none
    bool causal;
} AttentionRows;

// weights [heads,T,S] of `type` = softmax of the F32 logits (scale already in them) with the mask,
// and lse [heads,T] as in ops.h; with `again` lse is read and only the weights are written.
int cuda_attention_weights(const AttentionRows *rows, const float *logits, void *weights,
                           float *lse, bool again);
// weights = the gradient of the scaled products: weights * (dweights - dy y) * scale. y and dy are
// one image's [T,heads * width], dweights F32 [heads,T,S].
int cuda_attention_gradient(const AttentionRows *rows, void *weights, const float *dweights,
                            const void *y, const void *dy, float scale);

#ifdef __cplusplus
}
#endif
#endif
