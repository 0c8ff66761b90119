// SPDX-License-Identifier: MIT
// The problems of library.h as graphs of cuDNN. cudnn_library.c makes them into plans and runs
// them.
#ifndef CUDA_CUDNN_PLANS_H
#define CUDA_CUDNN_PLANS_H

#include "cuda/cudnn_graph.h"

// Which products a problem of a type allows.
CudnnPrecision cudnn_precision(int64_t type);

// Whether a problem is given to cuDNN at all. It is not: in F32, sums beside a convolution (kernels
// compiled for each shape, some for a minute, while adding after it is not slow) and attention
// (there is no such kernel); backward over keys not a multiple of 128 by cuDNN up to 9.15, which
// computes it wrongly.
bool cudnn_takes_convolution(const Convolution *problem);
bool cudnn_takes_attention(const AttentionProblem *problem);

enum { CUDNN_NAME_SIZE = 160 };
// The problem in words, the key of the table of choices: "convolve forward bf16 8x60x80x320 to
// 320, 3x3, stride 1, pad 1 1 1 1, bias". Returns `name`.
const char *cudnn_convolution_name(const Convolution *problem, char name[CUDNN_NAME_SIZE]);
const char *cudnn_attention_name(const AttentionProblem *problem, char name[CUDNN_NAME_SIZE]);

// The graph of a problem. Its real tensors and values, in the order that cudnn_plan_run wants:
//   convolution        x, weight, y; then bias, residual where there are such
//   attention          q, k, v, scale, y, lse
//   attention backward q, k, v, y, dy, lse, one, scale, F32 sums of dy y [N,heads,T], dq, dk, dv
CudnnGraph *cudnn_convolution_graph(const Convolution *problem);
CudnnGraph *cudnn_attention_graph(const AttentionProblem *problem);

#endif
