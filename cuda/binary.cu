// SPDX-License-Identifier: MIT
// Binary ops with broadcasting. Gradients are summed over what was repeated.
#include "cuda/kernels.h"
#include "cuda/map.cuh"
#include "cuda/walk.cuh"

struct Combine {
    BinaryKind kind;
    __device__ float operator()(const float *x) const {
        return kind == BINARY_ADD ? x[0] + x[1] : kind == BINARY_SUB ? x[0] - x[1] : x[0] * x[1];
    }
};

// The gradient of one side when nothing is repeated: sign * dy, or dy * the other factor.
struct Scaled {
    float sign;
    __device__ float operator()(const float *x) const { return sign * x[0]; }
};
struct Product {
    __device__ float operator()(const float *x) const { return x[0] * x[1]; }
};

// How far one step along side `i` of y, counted from the end, goes in a source; 0 if it is
// repeated.
static int64_t step_in(const Tensor *source, int from_end) {
    if (-from_end > source->ndim || tensor_side(source, from_end) == 1) return 0;
    int64_t step = 1;
    for (int i = source->ndim + from_end + 1; i < source->ndim; i++) step *= source->shape[i];
    return step;
}

template <typename T>
static __global__ void broadcast_kernel(const T *left, const T *right, T *y, Walk walk, Combine f) {
    for (int64_t i = first_item(); i < walk.count; i += item_step()) {
        int64_t at[2];
        walk_offsets(walk, i, &at[0], &at[1]);
        float pair[2] = {to_float(left[at[0]]), to_float(right[at[1]])};
        store(y + i, f(pair), false);
    }
}

template <typename T> static int forward(const binary_args *args) {
    const Tensor *left = args->left, *right = args->right, *y = args->y;
    Combine f = {args->kind};
    int64_t count = tensor_numel(y);
    if (tensor_numel(left) == count && tensor_numel(right) == count)
        return map2(values<T>(left), values<T>(right), values<T>(y), count, false, f);
    Walk walk = walk_new();
    for (int i = -y->ndim; i < 0; i++)
        walk_add(&walk, tensor_side(y, i), step_in(left, i), step_in(right, i));
    return LAUNCH((broadcast_kernel<T>), blocks_for(count), BLOCK, values<T>(left),
                  values<T>(right), values<T>(y), walk, f);
}

int cuda_binary_forward(const binary_args *args) {
    DISPATCH(args->y->dtype, "binary", T, { return forward<T>(args); })
}

template <typename T>
static int backward(const binary_args *args, const Tensor *source, const Tensor *other,
                    float sign) {
    const Tensor *y = args->y;
    const T *dy = gradient<T>(y), *factor = args->kind == BINARY_MUL ? values<T>(other) : NULL;
    T *dx = gradient<T>(source);
    int64_t count = tensor_numel(y);
    bool whole = tensor_numel(source) == count, add = source->has_grad;
    if (whole && !factor) return map1(dy, dx, count, add, Scaled{sign});
    if (whole && tensor_numel(other) == count) return map2(dy, factor, dx, count, add, Product{});
    Walk kept = walk_new(), summed = walk_new();
    int64_t step = count;
    for (int i = -y->ndim; i < 0; i++) {
        step = tensor_side(y, i) ? step / tensor_side(y, i) : 0;
        bool repeated = step_in(source, i) == 0;
        walk_add(repeated ? &summed : &kept, tensor_side(y, i), step, step_in(other, i));
    }
    return gather_sum<T, T>("binary", dy, factor, kept, summed, (double)sign, dx, add);
}

int cuda_binary_backward(const binary_args *args) {
    DISPATCH(args->y->dtype, "binary", T, {
        float sign = args->kind == BINARY_SUB ? -1.0f : 1.0f;
        if (args->left->needs_grad && backward<T>(args, args->left, args->right, 1) != 0) return -1;
        return args->right->needs_grad ? backward<T>(args, args->right, args->left, sign) : 0;
    })
}
