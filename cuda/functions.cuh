// SPDX-License-Identifier: MIT
// Functions of one number that several kernels share.
#ifndef CUDA_FUNCTIONS_CUH
#define CUDA_FUNCTIONS_CUH

#include "cuda/kernel.cuh"

static __device__ __forceinline__ float sigmoid(float x) {
    return 1 / (1 + expf(-x));
}
static __device__ __forceinline__ float silu_slope(float x) {
    float s = sigmoid(x);
    return s * (1 + x * (1 - s));
}
static __device__ __forceinline__ float normal_cdf(float x) {
    return 0.5f * (1 + erff(x * 0.70710678118654752f));
}
static __device__ __forceinline__ float normal_density(float x) {
    return 0.39894228040143268f * expf(-0.5f * x * x);
}

#endif
