// SPDX-License-Identifier: MIT
// For files with kernels: launches, shared memory, the bf16 type, dispatch by type.
//
// The same file is compiled by nvcc for the device and by a C++ compiler for the host
// (emulation/emulate.cuh). Therefore: kernels are launched by LAUNCH only, shared memory is
// declared by SHARED only, and what only the device has stands under __CUDACC__ beside a plain
// form. Kernels are templates of a storage type, float or Bf16; arithmetic is float. No sum
// depends on the order in which threads arrive: no atomic operations on floats.
#ifndef CUDA_KERNEL_CUH
#define CUDA_KERNEL_CUH

#include "autograd/ops.h"
#include "base/error.h"
#include "cuda/memory.h"
#include "cuda/runtime.h"

#include <math.h>

#ifdef P2S_CUDA_EMULATED
#include "cuda/emulation/emulate.cuh"
#else
#include <cuda_bf16.h>
#include <cuda_runtime.h>

// LAUNCH((kernel<T>), grid, block, arguments...): 0, or -1 and an error that names the kernel.
// clang-format off
#define LAUNCH(kernel, grid, block, ...)                                                          \
    ((kernel)<<<(grid), (block), 0, (cudaStream_t)device_stream(STREAM_COMPUTE)>>>(__VA_ARGS__), \
     device_launched(#kernel))
// clang-format on
// T name[count], shared by the threads of a block; its values are undefined.
#define SHARED(T, name, count) __shared__ T name[count]
#endif

#ifdef P2S_EMULATE_TSAN
constexpr int BLOCK = 64; // beyond some 250 threads at once TSan forgets what it has seen
#else
constexpr int BLOCK = 256;
#endif
constexpr int WARP = 32, MOST_BLOCKS = 1 << 14;
#define ALL_LANES 0xffffffffu

// ---- types --------------------------------------------------------------------------------------

struct Bf16 {
    uint16_t bits;
};

static __device__ __forceinline__ float to_float(float x) {
    return x;
}
static __device__ __forceinline__ float to_float(Bf16 x) {
#ifdef __CUDACC__
    return __uint_as_float((unsigned)x.bits << 16);
#else
    return emulate_float_from_bits((uint32_t)x.bits << 16);
#endif
}

template <typename T> struct Stored;
template <> struct Stored<float> {
    static __device__ __forceinline__ float of(float x) { return x; }
};
template <> struct Stored<Bf16> { // round to nearest, ties to even
    static __device__ __forceinline__ Bf16 of(float x) {
        Bf16 y;
#ifdef __CUDACC__
        y.bits = __bfloat16_as_ushort(__float2bfloat16_rn(x));
#else
        uint32_t bits = emulate_bits_from_float(x);
        if ((bits & 0x7fffffffu) > 0x7f800000u)
            y.bits = 0x7fff;
        else
            y.bits = (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
#endif
        return y;
    }
};

// One element of a gradient: adds or overwrites, as the tape says.
template <typename T> static __device__ __forceinline__ void store(T *to, float value, bool add) {
    *to = Stored<T>::of(add ? to_float(*to) + value : value);
}

// What a thread moves at once.
template <typename T> struct alignas(16) Pack {
    enum { WIDTH = 16 / (int)sizeof(T) };
    T at[WIDTH];
};

// The elements of a tensor, and of its gradient; of T, whatever type the tensor says.
template <typename T> static inline T *values(const Tensor *tensor) {
    return (T *)tensor->data;
}
template <typename T> static inline T *gradient(const Tensor *tensor) {
    return (T *)tensor->grad->data;
}

// Runs a statement block with T as the storage type: DISPATCH(x->dtype, "silu", T, { ... }). The
// block returns from the function around it.
#define DISPATCH(type, op, T, ...)                                                     \
    switch (type) {                                                                    \
    case F32: {                                                                        \
        typedef float T;                                                               \
        __VA_ARGS__                                                                    \
    }                                                                                  \
    case BF16: {                                                                       \
        typedef Bf16 T;                                                                \
        __VA_ARGS__                                                                    \
    }                                                                                  \
    default:                                                                           \
        return error_int("%s: %s is not a type of this device", op, dtype_name(type)); \
    }

// ---- grids --------------------------------------------------------------------------------------

// Blocks for a loop over `count` items by grid stride, at least 1.
static inline unsigned blocks_for(int64_t count, int threads = BLOCK) {
    int64_t blocks = (count + threads - 1) / threads;
    return blocks < 1 ? 1 : blocks > MOST_BLOCKS ? MOST_BLOCKS : (unsigned)blocks;
}

static __device__ __forceinline__ int64_t first_item() {
    return (int64_t)blockIdx.x * blockDim.x + threadIdx.x;
}
static __device__ __forceinline__ int64_t item_step() {
    return (int64_t)gridDim.x * blockDim.x;
}

// ---- sums within a block ------------------------------------------------------------------------

template <typename T> static __device__ __forceinline__ T warp_sum(T x) {
    for (int step = WARP / 2; step > 0; step /= 2) x += __shfl_xor_sync(ALL_LANES, x, step);
    return x;
}

static __device__ __forceinline__ float warp_max(float x) {
    for (int step = WARP / 2; step > 0; step /= 2)
        x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, step));
    return x;
}

static __device__ __forceinline__ int thread_of_block() {
    return (int)(threadIdx.x + blockDim.x * threadIdx.y);
}
static __device__ __forceinline__ int warps_of_block() {
    return (int)(blockDim.x * blockDim.y) / WARP;
}

// The sum over all threads of a block of a multiple of 32 threads, in every thread. Always added in
// the same order.
template <typename T> static __device__ inline T block_sum(T x) {
    SHARED(T, parts, WARP);
    int thread = thread_of_block(), lane = thread % WARP;
    x = warp_sum(x);
    __syncthreads(); // the last use of parts is over
    if (lane == 0) parts[thread / WARP] = x;
    __syncthreads();
    return warp_sum(lane < warps_of_block() ? parts[lane] : (T)0);
}

static __device__ inline float block_max(float x) {
    SHARED(float, parts, WARP);
    int thread = thread_of_block(), lane = thread % WARP;
    x = warp_max(x);
    __syncthreads(); // the last use of parts is over
    if (lane == 0) parts[thread / WARP] = x;
    __syncthreads();
    return warp_max(lane < warps_of_block() ? parts[lane] : -INFINITY);
}

#endif
