// SPDX-License-Identifier: MIT
// The three things that NVIDIA's libraries compute for us: products, convolutions, attention. The
// ops above (linear.c, conv2d.c, attention.c) give them memory of the right type and do the rest.
//
// Who answers: cublaslt.c and cudnn_*.c; without cuDNN without_cudnn.c declines everything; in the
// emulated back end emulation/library.c, by plain loops. All work goes to STREAM_COMPUTE.
#ifndef CUDA_LIBRARY_H
#define CUDA_LIBRARY_H

#include "autograd/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

// What a call returns besides 0 and -1 with an error: there is no plan for it, nothing was done.
enum { LIBRARY_DECLINES = 1 };

// Who computes products, and convolutions and attention, with version: "cuBLASLt 120901".
enum { LIBRARY_TEXT = 160 };
void library_product_text(char text[LIBRARY_TEXT]);
void library_convolve_text(char text[LIBRARY_TEXT]);

// What cuda_use_tf32 (cuda.h) was last given.
bool cuda_uses_tf32(void);

// ---- products -----------------------------------------------------------------------------------

// A batch of matrices in device memory; row and batch are distances in elements. `transposed` says
// that the product sees the matrix with rows and columns exchanged.
typedef struct {
    const void *data;
    int64_t row, batch;
    bool transposed;
} Factor;

// c [M,P] = scale * a [M,K] b [K,P] (+ bias [P], each row) (+ begin [M,P], laid out like c; may be
// c itself). a, b have `type`; c, begin and bias `result`: F32, or `type`.
typedef struct {
    Factor a, b;
    int64_t M, K, P, batches;
    Dtype type, result;
    float scale;
    const void *bias, *begin; // NULL: none
    void *c;
    int64_t c_row, c_batch;
} Product;
int library_product(const Product *product);

// ---- convolutions -------------------------------------------------------------------------------

typedef enum { CONVOLVE_FORWARD, CONVOLVE_INPUT, CONVOLVE_WEIGHT } ConvolvePass;

// x [N,H,W,Ci], weight [Co,kh,kw,Ci], y [N,Ho,Wo,Co]; only int64_t, so that it can be a key.
typedef struct {
    int64_t pass, type, result; // ConvolvePass; Dtype of the two that are read, of the one written
    int64_t bias, residual; // 1: added in the pass (forward); bias is F32, residual has `result`
    ConvShape shape;
} Convolution;
// The pass writes y, x (CONVOLVE_INPUT) or weight (CONVOLVE_WEIGHT) and reads the other two. bias
// and residual are read where the problem says so.
int library_convolve(const Convolution *problem, void *x, void *weight, void *y, const void *bias,
                     const void *residual);

// ---- attention ----------------------------------------------------------------------------------

// q [N,T,D], k, v [N,S,D] of `type`, width = D / heads; no mask. lse F32 [N,heads,T].
typedef struct {
    int64_t backward, type; // 1: the gradients; Dtype of all but lse
    int64_t N, T, S, heads, width;
} AttentionProblem;
typedef struct {
    const void *q, *k, *v;
    void *y;
    float *lse;
    const void *dy; // backward: reads the five above
    void *dq, *dk, *dv;
} AttentionMemory;
int library_attention(const AttentionProblem *problem, float scale, const AttentionMemory *memory);

#ifdef __cplusplus
}
#endif
#endif
