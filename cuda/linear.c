// SPDX-License-Identifier: MIT
// linear and matmul as products of the library. Beside BF16 tensors the parameters are F32: the
// weight is converted, its gradient comes in F32 from the library.
#include "cuda/kernels.h"
#include "cuda/library.h"
#include "cuda/operand.h"
#include "cuda/runtime.h"

// ---- linear -------------------------------------------------------------------------------------

// A plain matrix of `columns` columns.
static Factor matrix(const void *data, int64_t columns, bool transposed) {
    return (Factor){.data = data, .row = columns, .transposed = transposed};
}

int cuda_linear_forward(const linear_args *args) {
    Dtype type = args->x->dtype;
    int64_t P = args->weight->shape[0], K = args->weight->shape[1];
    int64_t rows = tensor_numel(args->y) / P;
    Operand weight, bias = {0};
    if (rows == 0) return 0;
    int result = operand_values(&weight, "linear", args->weight, type);
    if (result == 0) result = operand_values(&bias, "linear", args->bias, type);
    if (result == 0)
        result = library_product(
            &(Product){.a = matrix(args->x->data, K, false),
                       .b = matrix(weight.data, K, true),
                       .M = rows,
                       .K = K,
                       .P = P,
                       .batches = 1,
                       .type = type,
                       .result = type,
                       .scale = 1,
                       .bias = bias.data,
                       .begin = args->residual == NONE ? NULL : args->residual->data,
                       .c = args->y->data,
                       .c_row = P});
    operand_done(&weight);
    operand_done(&bias);
    return result;
}

// grad [M,P] of a tensor = a b, or added to it; the result has the gradient's type.
static int gradient_product(const Tensor *tensor, Factor a, Factor b, int64_t M, int64_t K,
                            int64_t P, Dtype type) {
    void *to = tensor->grad->data;
    if (K == 0) return operand_no_gradient(tensor);
    return library_product(&(Product){.a = a,
                                      .b = b,
                                      .M = M,
                                      .K = K,
                                      .P = P,
                                      .batches = 1,
                                      .type = type,
                                      .result = tensor->dtype,
                                      .scale = 1,
                                      .begin = tensor->has_grad ? to : NULL,
                                      .c = to,
                                      .c_row = P});
}

int cuda_linear_backward(const linear_args *args) {
    const Tensor *x = args->x, *dy = args->y->grad;
    Dtype type = dy->dtype;
    int64_t P = args->weight->shape[0], K = args->weight->shape[1];
    int64_t rows = tensor_numel(args->y) / P;
    int result = 0;
    if (x->needs_grad) {
        Operand weight;
        result = operand_values(&weight, "linear", args->weight, type);
        if (result == 0 && rows > 0)
            result = gradient_product(x, matrix(dy->data, P, false), matrix(weight.data, K, false),
                                      rows, P, K, type);
        operand_done(&weight);
    }
    if (result == 0 && args->weight->needs_grad)
        result = gradient_product(args->weight, matrix(dy->data, P, true),
                                  matrix(x->data, K, false), P, rows, K, type);
    return result == 0 ? operand_rows_backward(args->y, args->bias, args->residual) : result;
}

// ---- matmul -------------------------------------------------------------------------------------

// A batch [B,rows,columns] as it lies in memory.
static Factor batch(const Tensor *tensor, const void *data, bool transposed) {
    return (Factor){.data = data,
                    .row = tensor->shape[2],
                    .batch = tensor->shape[1] * tensor->shape[2],
                    .transposed = transposed};
}

// to [B,M,P] = a b, or added to it.
static int batch_product(const Tensor *tensor, void *to, bool add, Factor a, Factor b, int64_t K) {
    int64_t M = tensor->shape[1], P = tensor->shape[2];
    if (tensor_numel(tensor) == 0) return 0;
    if (K == 0) return add ? 0 : device_set(to, 0, tensor_bytes(tensor));
    return library_product(&(Product){.a = a,
                                      .b = b,
                                      .M = M,
                                      .K = K,
                                      .P = P,
                                      .batches = tensor->shape[0],
                                      .type = tensor->dtype,
                                      .result = tensor->dtype,
                                      .scale = 1,
                                      .begin = add ? to : NULL,
                                      .c = to,
                                      .c_row = P,
                                      .c_batch = M * P});
}

int cuda_matmul_forward(const matmul_args *args) {
    const Tensor *left = args->left, *right = args->right;
    return batch_product(args->y, args->y->data, false,
                         batch(left, left->data, args->transpose_left),
                         batch(right, right->data, args->transpose_right),
                         left->shape[args->transpose_left ? 1 : 2]);
}

// With L and R as the product sees them: dL = dy R', dR = L' dy. The gradient of a factor that the
// product sees transposed is the transposed product.
int cuda_matmul_backward(const matmul_args *args) {
    const Tensor *left = args->left, *right = args->right, *y = args->y;
    bool flip_left = args->transpose_left, flip_right = args->transpose_right;
    int64_t M = y->shape[1], P = y->shape[2];
    const void *dy = y->grad->data;
    int result = 0;
    if (left->needs_grad) {
        Factor R = batch(right, right->data, flip_left ? flip_right : !flip_right);
        Factor gradient = batch(y, dy, flip_left);
        result = batch_product(left, left->grad->data, left->has_grad, flip_left ? R : gradient,
                               flip_left ? gradient : R, P);
    }
    if (result == 0 && right->needs_grad) {
        Factor L = batch(left, left->data, flip_right ? flip_left : !flip_left);
        Factor gradient = batch(y, dy, flip_right);
        result = batch_product(right, right->grad->data, right->has_grad, flip_right ? gradient : L,
                               flip_right ? L : gradient, M);
    }
    return result;
}
