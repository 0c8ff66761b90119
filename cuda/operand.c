// SPDX-License-Identifier: MIT
// Types and places of a library's operands. See operand.h.
#include "cuda/operand.h"

#include "base/error.h"
#include "cuda/kernels.h"
#include "cuda/memory.h"
#include "cuda/rounded.h"
#include "cuda/runtime.h"

int operand_memory(Operand *operand, const char *op, int64_t count, Dtype type) {
    *operand = (Operand){.bytes = (size_t)count * dtype_size(type)};
    operand->data = cuda_scratch(op, operand->bytes);
    if (operand->data) return 0;
    operand->bytes = 0;
    return -1;
}

int operand_values(Operand *operand, const char *op, const Tensor *tensor, Dtype type) {
    *operand = (Operand){.data = tensor == NONE ? NULL : tensor->data};
    if (tensor == NONE || tensor->dtype == type) return 0;
    if (type == BF16 && !tensor->owned_by_tape) {
        operand->data = rounded_values(tensor);
        if (operand->data) return 0;
        if (error_is_set()) return -1;
    }
    int64_t count = tensor_numel(tensor);
    if (operand_memory(operand, op, count, type) != 0) return -1;
    return cuda_cast(tensor->data, tensor->dtype, operand->data, type, count);
}

int operand_gradient(Operand *operand, const char *op, const Tensor *tensor) {
    int result = 0;
    if (tensor->has_grad)
        result = operand_memory(operand, op, tensor_numel(tensor), tensor->dtype);
    else
        *operand = (Operand){.data = tensor->grad->data};
    operand->gradient = tensor->grad;
    return result;
}

int operand_deliver(const Operand *operand) {
    if (operand->bytes == 0) return 0;
    Tensor addition = *operand->gradient;
    addition.data = operand->data;
    return cuda_add_to(operand->gradient, &addition);
}

void operand_done(Operand *operand) {
    if (operand->bytes) cuda_free(operand->data, operand->bytes);
    *operand = (Operand){0};
}

int operand_no_gradient(const Tensor *tensor) {
    if (!tensor->needs_grad || tensor->has_grad || tensor_bytes(tensor) == 0) return 0;
    return device_set(tensor->grad->data, 0, tensor_bytes(tensor));
}

int operand_rows_backward(const Tensor *y, const Tensor *bias, const Tensor *residual) {
    const Tensor *dy = y->grad;
    int64_t columns = tensor_side(y, -1), rows = tensor_numel(y) / columns;
    if (bias->needs_grad &&
        cuda_sum_rows(dy->data, dy->dtype, rows, columns, bias->grad->data, bias->has_grad) != 0)
        return -1;
    if (!residual->needs_grad) return 0;
    if (residual->has_grad) return cuda_add_to(residual->grad, dy);
    return cuda_copy(residual->grad->data, dy->data, tensor_bytes(dy));
}
