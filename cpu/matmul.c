// SPDX-License-Identifier: MIT
// Matrix products: every pass of linear and of matmul is one strided product.
#include "cpu/kernel.h"
#include "cpu/product.h"

// An operand whose element (i, j) is data[i * row + j * column].
typedef struct {
    const real *data;
    int64_t row, column;
} Matrix;

static Matrix rows_of(const real *data, int64_t width) {
    return (Matrix){data, width, 1};
}

static Matrix transposed(Matrix matrix) {
    return (Matrix){matrix.data, matrix.column, matrix.row};
}

// c [M,P] = a [M,K] b [K,P], or added to c.
static void product(Matrix a, Matrix b, int64_t M, int64_t K, int64_t P, real *c, bool add) {
#pragma omp parallel for schedule(static) if (M * K * P > 1 << 14)
    for (int64_t i = 0; i < M; i++)
        for (int64_t j = 0; j < P; j++) {
            real sum = 0;
            for (int64_t k = 0; k < K; k++)
                sum += a.data[i * a.row + k * a.column] * b.data[k * b.row + j * b.column];
            accumulate(c + i * P + j, sum, add);
        }
}

int CPU(linear_forward)(const linear_args *args) {
    int64_t M = args->weight->shape[0], K = args->weight->shape[1];
    int64_t rows = M ? tensor_numel(args->y) / M : 0;
    real *y = values(args->y);
    for (int64_t i = 0; i < rows * M; i++) {
        y[i] = args->bias == NONE ? 0 : values(args->bias)[i % M];
        if (args->residual != NONE) y[i] += values(args->residual)[i];
    }
    product(rows_of(values(args->x), K), transposed(rows_of(values(args->weight), K)), rows, K, M,
            y, true);
    return 0;
}

int CPU(linear_backward)(const linear_args *args) {
    const Tensor *x = args->x, *weight = args->weight;
    int64_t M = weight->shape[0], K = weight->shape[1], rows = M ? tensor_numel(args->y) / M : 0;
    Matrix dy = rows_of(gradient(args->y), M);
    if (x->needs_grad)
        product(dy, rows_of(values(weight), K), rows, M, K, gradient(x), x->has_grad);
    if (weight->needs_grad)
        product(transposed(dy), rows_of(values(x), K), M, rows, K, gradient(weight),
                weight->has_grad);
    bias_backward(args->bias, args->y);
    residual_backward(args->residual, args->y);
    return 0;
}

// Matrix `b` of a batch, as the product sees it.
static Matrix item(const Tensor *tensor, const real *data, int64_t b, bool transpose) {
    int64_t rows = tensor->shape[1], columns = tensor->shape[2];
    Matrix matrix = rows_of(data + b * rows * columns, columns);
    return transpose ? transposed(matrix) : matrix;
}

int CPU(matmul_forward)(const matmul_args *args) {
    const Tensor *left = args->left, *right = args->right, *y = args->y;
    int64_t M = y->shape[1], P = y->shape[2], K = left->shape[args->transpose_left ? 1 : 2];
    for (int64_t b = 0; b < y->shape[0]; b++)
        product(item(left, values(left), b, args->transpose_left),
                item(right, values(right), b, args->transpose_right), M, K, P,
                values(y) + b * M * P, false);
    return 0;
}

// With L and R as the product sees them: dL = dy R', dR = L' dy. A transposed input's gradient is
// the transposed product.
int CPU(matmul_backward)(const matmul_args *args) {
    const Tensor *left = args->left, *right = args->right, *y = args->y;
    bool flip_left = args->transpose_left, flip_right = args->transpose_right;
    int64_t M = y->shape[1], P = y->shape[2], K = left->shape[flip_left ? 1 : 2];
    for (int64_t b = 0; left->needs_grad && b < y->shape[0]; b++) {
        Matrix dy = item(y, gradient(y), b, false), R = item(right, values(right), b, flip_right);
        real *dleft = gradient(left) + b * M * K;
        if (flip_left)
            product(R, transposed(dy), K, P, M, dleft, left->has_grad);
        else
            product(dy, transposed(R), M, P, K, dleft, left->has_grad);
    }
    for (int64_t b = 0; right->needs_grad && b < y->shape[0]; b++) {
        Matrix dy = item(y, gradient(y), b, false), L = item(left, values(left), b, flip_left);
        real *dright = gradient(right) + b * K * P;
        if (flip_right)
            product(transposed(dy), L, P, M, K, dright, right->has_grad);
        else
            product(transposed(L), dy, K, M, P, dright, right->has_grad);
    }
    return 0;
}
