// SPDX-License-Identifier: MIT
// Softmax over the last side: a block for each row.
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

constexpr int ROW_THREADS = 128;

template <typename T>
static __global__ void softmax_kernel(const T *x, T *y, int64_t rows, int64_t width) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const T *from = x + row * width;
        T *to = y + row * width;
        float highest = -INFINITY, sum = 0;
        for (int64_t i = threadIdx.x; i < width; i += ROW_THREADS)
            highest = fmaxf(highest, to_float(from[i]));
        highest = block_max(highest);
        for (int64_t i = threadIdx.x; i < width; i += ROW_THREADS)
            sum += expf(to_float(from[i]) - highest);
        sum = block_sum(sum);
        for (int64_t i = threadIdx.x; i < width; i += ROW_THREADS)
            store(to + i, expf(to_float(from[i]) - highest) / sum, false);
    }
}

template <typename T>
static __global__ void softmax_backward_kernel(const T *y, const T *dy, T *dx, int64_t rows,
                                               int64_t width, bool add) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        int64_t start = row * width;
        float dot = 0;
        for (int64_t i = threadIdx.x; i < width; i += ROW_THREADS)
            dot += to_float(y[start + i]) * to_float(dy[start + i]);
        dot = block_sum(dot);
        for (int64_t i = start + threadIdx.x; i < start + width; i += ROW_THREADS)
            store(dx + i, to_float(y[i]) * (to_float(dy[i]) - dot), add);
    }
}

int cuda_softmax_forward(const softmax_args *args) {
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->x) / width;
    DISPATCH(args->x->dtype, "softmax", T, {
        return LAUNCH((softmax_kernel<T>), blocks_for(rows, 1), ROW_THREADS, values<T>(args->x),
                      values<T>(args->y), rows, width);
    })
}

int cuda_softmax_backward(const softmax_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->x) / width;
    DISPATCH(args->x->dtype, "softmax", T, {
        return LAUNCH((softmax_backward_kernel<T>), blocks_for(rows, 1), ROW_THREADS,
                      values<T>(args->y), gradient<T>(args->y), gradient<T>(args->x), rows, width,
                      args->x->has_grad);
    })
}
