// SPDX-License-Identifier: MIT
// Sums over all elements of each of some groups, in two kernels: blocks of a group, then the group.
#ifndef CUDA_TOTALS_CUH
#define CUDA_TOTALS_CUH

#include "cuda/kernel.cuh"

// How many blocks share a group of `count` elements.
static inline int64_t total_blocks(int64_t groups, int64_t count) {
    int64_t blocks = count / (BLOCK * 16), most = 1024 / (groups > 0 ? groups : 1);
    if (blocks > most) blocks = most;
    return blocks < 1 ? 1 : blocks;
}

// A block's part of the elements of group blockIdx.y.
struct Share {
    int64_t begin, end;
};
static __device__ __forceinline__ Share share_of_block(int64_t count) {
    int64_t part = (count + gridDim.x - 1) / gridDim.x;
    Share share = {blockIdx.x * part, (blockIdx.x + 1) * part};
    if (share.end > count) share.end = count;
    return share;
}

// parts[group][block] = sum over the block's share of f(group, i). F: float operator()(group, i).
template <typename F> static __global__ void total_parts_kernel(int64_t count, F f, double *parts) {
    Share share = share_of_block(count);
    double sum = 0;
    for (int64_t i = share.begin + threadIdx.x; i < share.end; i += blockDim.x)
        sum += (double)f((int64_t)blockIdx.y, i);
    sum = block_sum(sum);
    if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = sum;
}

// The sum of a group's parts, by one thread: there are few.
static __device__ __forceinline__ double total_of(const double *parts, int64_t group,
                                                  int64_t blocks) {
    double sum = 0;
    for (int64_t k = 0; k < blocks; k++) sum += parts[group * blocks + k];
    return sum;
}

#endif
