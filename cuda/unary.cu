// SPDX-License-Identifier: MIT
// Unary ops and geglu.
#include "cuda/functions.cuh"
#include "cuda/kernels.h"
#include "cuda/map.cuh"

// ---- unary --------------------------------------------------------------------------------------

struct UnaryValue {
    UnaryKind kind;
    float a, b;
    __device__ float operator()(const float *arguments) const {
        float x = arguments[0];
        switch (kind) {
        case UNARY_SILU:
            return x * sigmoid(x);
        case UNARY_GELU:
            return x * normal_cdf(x);
        case UNARY_QUICK_GELU:
            return x * sigmoid(1.702f * x);
        case UNARY_EXP:
            return expf(x);
        case UNARY_SQUARE:
            return x * x;
        case UNARY_CLAMP:
            return x < a ? a : x > b ? b : x;
        case UNARY_AFFINE:
            return a * x + b;
        }
        return x;
    }
};

// dy * slope; x is the saved tensor: the input, for exp the output, for affine not read.
struct UnarySlope {
    UnaryKind kind;
    float a, b;
    __device__ float slope(float x) const {
        switch (kind) {
        case UNARY_SILU:
            return silu_slope(x);
        case UNARY_GELU:
            return normal_cdf(x) + x * normal_density(x);
        case UNARY_QUICK_GELU: {
            float s = sigmoid(1.702f * x);
            return s * (1 + 1.702f * x * (1 - s));
        }
        case UNARY_EXP:
            return x;
        case UNARY_SQUARE:
            return 2 * x;
        case UNARY_CLAMP:
            return x >= a && x <= b ? 1.0f : 0.0f;
        case UNARY_AFFINE:
            return a;
        }
        return 0;
    }
    __device__ float operator()(const float *arguments) const {
        return arguments[0] * slope(arguments[1]);
    }
};

int cuda_unary_forward(const unary_args *args) {
    UnaryValue f = {args->kind, (float)args->a, (float)args->b};
    int64_t count = tensor_numel(args->y);
    DISPATCH(args->x->dtype, "unary", T,
             { return map1(values<T>(args->x), values<T>(args->y), count, false, f); })
}

int cuda_unary_backward(const unary_args *args) {
    if (!args->x->needs_grad) return 0;
    UnarySlope f = {args->kind, (float)args->a, (float)args->b};
    int64_t count = tensor_numel(args->y);
    const Tensor *saved = args->kind == UNARY_EXP      ? args->y
                          : args->kind == UNARY_AFFINE ? args->y->grad // nothing is saved
                                                       : args->x;
    DISPATCH(args->x->dtype, "unary", T, {
        return map2(gradient<T>(args->y), values<T>(saved), gradient<T>(args->x), count,
                    args->x->has_grad, f);
    })
}

// ---- geglu --------------------------------------------------------------------------------------

template <typename T>
static __global__ void geglu_kernel(const T *x, T *y, int64_t count, int64_t width) {
    for (int64_t i = first_item(); i < count; i += item_step()) {
        int64_t at = i / width * 2 * width + i % width;
        float gate = to_float(x[at + width]);
        store(y + i, to_float(x[at]) * gate * normal_cdf(gate), false);
    }
}

template <typename T>
static __global__ void geglu_backward_kernel(const T *x, const T *dy, T *dx, int64_t count,
                                             int64_t width, bool add) {
    for (int64_t i = first_item(); i < count; i += item_step()) {
        int64_t at = i / width * 2 * width + i % width;
        float value = to_float(x[at]), gate = to_float(x[at + width]), d = to_float(dy[i]);
        float cdf = normal_cdf(gate);
        store(dx + at, d * gate * cdf, add);
        store(dx + at + width, d * value * (cdf + gate * normal_density(gate)), add);
    }
}

int cuda_geglu_forward(const geglu_args *args) {
    int64_t count = tensor_numel(args->y), width = tensor_side(args->y, -1);
    DISPATCH(args->x->dtype, "geglu", T, {
        return LAUNCH((geglu_kernel<T>), blocks_for(count), BLOCK, values<T>(args->x),
                      values<T>(args->y), count, width);
    })
}

int cuda_geglu_backward(const geglu_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t count = tensor_numel(args->y), width = tensor_side(args->y, -1);
    DISPATCH(args->x->dtype, "geglu", T, {
        return LAUNCH((geglu_backward_kernel<T>), blocks_for(count), BLOCK, values<T>(args->x),
                      gradient<T>(args->y), gradient<T>(args->x), count, width, args->x->has_grad);
    })
}
