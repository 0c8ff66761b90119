// SPDX-License-Identifier: MIT
// The plans of cuDNN that this process has made, and the graphs they come from.
#ifndef CUDA_CUDNN_PLANS_H
#define CUDA_CUDNN_PLANS_H

#include "cuda/cudnn_graph.h"
#include "cuda/plan_cache.h"

// The handle of the opened device, on STREAM_COMPUTE. NULL and an error when there is none.
cudnnHandle_t cudnn_handle(void);

// Which products a problem of a type allows.
CudnnPrecision cudnn_precision(int64_t type);

enum { CUDNN_NAME_SIZE = 160 };
// The problem in words, the key of the table of choices: "convolve forward bf16 8x60x80x320 to
// 320, 3x3, stride 1, pad 1 1 1 1, bias". Returns `name`.
const char *cudnn_convolution_name(const Convolution *problem, char name[CUDNN_NAME_SIZE]);
const char *cudnn_attention_name(const Attention *problem, char name[CUDNN_NAME_SIZE]);

// The graph of a problem. Its real tensors and values, in the order that cudnn_plan_run wants:
//   convolution        x, weight, y; then bias, residual where there are such
//   attention          q, k, v, scale, y, lse
//   attention backward q, k, v, y, dy, lse, one, scale, F32 sums [N,heads,T] and F32 dq [N,heads,T,
//                      width] (zeroed before), dq, dk, dv
CudnnGraph *cudnn_convolution_graph(const Convolution *problem);
CudnnGraph *cudnn_attention_graph(const Attention *problem);

// A plan for the device from a graph, which is freed, by the table's choice for `name`; NULL and an
// error, which stderr says too.
CudnnPlan *cudnn_plan_new(CudnnGraph *graph, const char *name, CudnnPrecision precision);
// Runs a plan with scratch memory as its workspace.
int cudnn_plan_enqueue(const CudnnPlan *plan, void *const *pointers);

#endif
