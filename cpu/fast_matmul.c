// SPDX-License-Identifier: MIT
// Fast linear and matmul: every pass is one strided product (onednn.h); what is added to a result
// is written first, and the product added to it.
#include "cpu/fast_kernel.h"

#include "base/error.h"
#include "cpu/cpu.h"
#include "cpu/fast_rows.h"
#include "cpu/onednn.h"
#include "cpu/team_error.h"

int ISA(fast_linear_forward)(const linear_args *args) {
    int64_t M = args->weight->shape[0], K = args->weight->shape[1];
    int64_t rows = tensor_numel(args->y) / M;
    if (!onednn_exists() || rows == 0 || K == 0) return FAST_DECLINES;
    bool begun = args->bias != NONE || args->residual != NONE;
    if (begun) ISA(fast_rows_begin)(args->y, args->bias, args->residual);
    Factor x = {args->x->data, K, false}, weight = {args->weight->data, K, true};
    int result = onednn_product(x, weight, rows, K, M, 1, begun, args->y->data, M);
    return result == 0 ? 0 : error_context("linear");
}

int ISA(fast_linear_backward)(const linear_args *args) {
    const Tensor *x = args->x, *weight = args->weight;
    int64_t M = weight->shape[0], K = weight->shape[1], rows = tensor_numel(args->y) / M;
    if (!onednn_exists() || rows == 0 || K == 0) return FAST_DECLINES;
    const float *dy = args->y->grad->data;
    int result = 0;
    if (x->needs_grad)
        result = onednn_product((Factor){dy, M, false}, (Factor){weight->data, K, false}, rows, M,
                                K, 1, x->has_grad, x->grad->data, K);
    if (result == 0 && weight->needs_grad)
        result = onednn_product((Factor){dy, M, true}, (Factor){x->data, K, false}, M, rows, K, 1,
                                weight->has_grad, weight->grad->data, K);
    if (result != 0) return error_context("linear");
    return ISA(fast_rows_backward)(args->y, args->bias, args->residual);
}

// One pass of matmul: c = a b for each item of the batch, [M,K] [K,P] -> [M,P].
typedef struct {
    Factor a, b;
    int64_t batch, M, K, P;
    bool add;
    float *c;
} Products;

static void run_item(const Products *p, int64_t i, TeamError *error) {
    Factor a = p->a, b = p->b;
    a.data += i * p->M * p->K;
    b.data += i * p->K * p->P;
    if (onednn_product(a, b, p->M, p->K, p->P, 1, p->add, p->c + i * p->M * p->P, p->P) != 0)
        team_error_note(error);
}

// Many or small products: one thread each; few large ones: all threads in each.
static int run_products(const Products *p) {
    TeamError error = {""};
    bool one_each =
        p->batch > 1 && (p->batch >= 2 * cpu_threads() || p->M * p->K * p->P < FAST_PARALLEL);
    if (one_each) {
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < p->batch; i++) run_item(p, i, &error);
    } else { // outside any team, else the products' own would be made anew every time
        for (int64_t i = 0; i < p->batch; i++) run_item(p, i, &error);
    }
    return team_error_raise(&error, "matmul");
}

static Factor factor(const Tensor *tensor, const float *data, bool transposed) {
    return (Factor){data, tensor->shape[2], transposed};
}

int ISA(fast_matmul_forward)(const matmul_args *args) {
    const Tensor *left = args->left, *right = args->right, *y = args->y;
    int64_t K = left->shape[args->transpose_left ? 1 : 2];
    if (!onednn_exists() || tensor_numel(y) == 0 || K == 0) return FAST_DECLINES;
    Products products = {.a = factor(left, left->data, args->transpose_left),
                         .b = factor(right, right->data, args->transpose_right),
                         .batch = y->shape[0],
                         .M = y->shape[1],
                         .K = K,
                         .P = y->shape[2],
                         .c = y->data};
    return run_products(&products);
}

// With L and R as the product sees them: dL = dy R', dR = L' dy; a transposed input's gradient is
// the transposed product.
int ISA(fast_matmul_backward)(const matmul_args *args) {
    const Tensor *left = args->left, *right = args->right, *y = args->y;
    bool flip_left = args->transpose_left, flip_right = args->transpose_right;
    int64_t batch = y->shape[0], M = y->shape[1], P = y->shape[2];
    int64_t K = left->shape[flip_left ? 1 : 2];
    if (!onednn_exists() || tensor_numel(y) == 0 || K == 0) return FAST_DECLINES;
    int result = 0;
    if (left->needs_grad) {
        Factor dy = factor(y, y->grad->data, flip_left);
        Factor R = factor(right, right->data, flip_left ? flip_right : !flip_right);
        Products products = flip_left ? (Products){R, dy, batch, K, P, M, left->has_grad, NULL}
                                      : (Products){dy, R, batch, M, P, K, left->has_grad, NULL};
        products.c = left->grad->data;
        result = run_products(&products);
    }
    if (result == 0 && right->needs_grad) {
        Factor dy = factor(y, y->grad->data, flip_right);
        Factor L = factor(left, left->data, flip_right ? flip_left : !flip_left);
        Products products = flip_right ? (Products){dy, L, batch, P, M, K, right->has_grad, NULL}
                                       : (Products){L, dy, batch, K, M, P, right->has_grad, NULL};
        products.c = right->grad->data;
        result = run_products(&products);
    }
    return result;
}
