// SPDX-License-Identifier: MIT
// Tensors as a library wants them: inputs in its type, gradients where it can write them.
#ifndef CUDA_OPERAND_H
#define CUDA_OPERAND_H

#include "autograd/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

// `data` is the tensor's own memory, or scratch memory of `bytes` bytes.
typedef struct {
    void *data;
    size_t bytes;     // 0: no scratch memory
    Tensor *gradient; // of operand_gradient
} Operand;

// The values of a tensor in another float type; a copy unless the tensor has it, which for a weight
// in BF16 is kept (rounded.h). NONE gives NULL.
// 0, or -1 and an error that names the op. Whatever the result, operand_done must follow.
int operand_values(Operand *operand, const char *op, const Tensor *tensor, Dtype type);
// Memory without values.
int operand_memory(Operand *operand, const char *op, int64_t count, Dtype type);
// Where to write the gradient of a tensor, in its type: in place, or in scratch memory when values
// stand there already, to which operand_deliver then adds.
int operand_gradient(Operand *operand, const char *op, const Tensor *tensor);
int operand_deliver(const Operand *operand);
void operand_done(Operand *operand);

// The gradient of a sum of nothing: zeros, unless values stand there already.
int operand_no_gradient(const Tensor *tensor);
// The gradients of what was added to every row (bias, F32 or NONE) and to every element (residual)
// of a product y.
int operand_rows_backward(const Tensor *y, const Tensor *bias, const Tensor *residual);

// y [rows,columns] += bias [columns] (NULL: none) + residual (like y; NULL: none). y, residual F32
// or BF16, bias F32.
int cuda_add_rows(void *y, Dtype type, int64_t rows, int64_t columns, const float *bias,
                  const void *residual);

#ifdef __cplusplus
}
#endif
#endif
