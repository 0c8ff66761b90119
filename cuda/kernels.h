// SPDX-License-Identifier: MIT
// What the table of the back end names: the launchers of every op and of the optimizer's passes.
// Contracts: autograd/backend.h.
#ifndef CUDA_KERNELS_H
#define CUDA_KERNELS_H

#include "autograd/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

#define OP(name, inputs, outputs)                       \
    int cuda_##name##_forward(const name##_args *args); \
    int cuda_##name##_backward(const name##_args *args);
OP_LIST(OP)
#undef OP

int cuda_fill(Tensor *tensor, double value);
int cuda_add_to(Tensor *to, const Tensor *from);
int cuda_sum_of_squares(Tensor *const *tensors, int64_t count, double *result);
int cuda_clip(Tensor *const *tensors, int64_t count, double limit, Tensor *found);
int cuda_adamw(const AdamwArgs *args);
int cuda_note_loss(const Tensor *loss, double share, bool first, Tensor *found);

// For launchers in C: y [columns] = sum over the rows of x [rows,columns], or added to it. x F32 or
// BF16, y F32. The gradient of a bias.
int cuda_sum_rows(const void *x, Dtype dtype, int64_t rows, int64_t columns, float *y, bool add);
// y = x [count] in another type, F32 or BF16.
int cuda_cast(const void *x, Dtype from, void *y, Dtype to, int64_t count);

#ifdef __cplusplus
}
#endif
#endif
