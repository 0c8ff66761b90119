// SPDX-License-Identifier: MIT
// BF16 copies of F32 weights, made at the first use and kept: a weight is rounded once per update,
// a frozen one once. Whatever writes a tensor's memory (uploads, copies, fills, AdamW) renews its
// copy; freeing the memory frees it.
#ifndef CUDA_ROUNDED_H
#define CUDA_ROUNDED_H

#include "autograd/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

// The copy of a tensor that no op made. NULL without an error where there is none and none may be
// made now (a step is being recorded), with one when memory is out.
void *rounded_values(const Tensor *tensor);
// The copy of what lies at `memory`, NULL when it has none.
void *rounded_find(const void *memory);
int rounded_renew(const void *memory);
void rounded_drop(const void *memory);

#ifdef __cplusplus
}
#endif
#endif
