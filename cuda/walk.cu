// SPDX-License-Identifier: MIT
// Sums over some sides of a tensor. A block has threads along the kept elements (x) and along the
// sum (y); where that gives too few blocks, the sum is also cut into chunks whose results are added
// by a second kernel.
#include "cuda/walk.cuh"

#include "cuda/kernels.h"

template <typename T, typename To>
static __global__ void gather_sum_kernel(const T *a, const T *b, Walk kept, Walk summed,
                                         int64_t chunk, float scale, To *y, bool add,
                                         float *partial) {
    SHARED(float, parts, BLOCK);
    int64_t element = (int64_t)blockIdx.x * blockDim.x + threadIdx.x, a0 = 0, b0 = 0;
    int64_t begin = blockIdx.y * chunk, end = begin + chunk;
    float sum = 0;
    if (end > summed.count) end = summed.count;
    walk_offsets(kept, element, &a0, &b0);
    for (int64_t i = begin + threadIdx.y; element < kept.count && i < end; i += blockDim.y) {
        int64_t ai, bi;
        walk_offsets(summed, i, &ai, &bi);
        float x = to_float(a[a0 + ai]);
        sum += b ? x * to_float(b[b0 + bi]) : x;
    }
    int at = (int)(threadIdx.y * blockDim.x + threadIdx.x);
    parts[at] = sum;
    for (unsigned half = blockDim.y / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.y < half) parts[at] += parts[at + (int)(half * blockDim.x)];
    }
    if (threadIdx.y > 0 || element >= kept.count) return;
    if (partial)
        partial[blockIdx.y * kept.count + element] = parts[at];
    else
        store(y + element, scale * parts[at], add);
}

template <typename To>
static __global__ void add_chunks_kernel(const float *partial, int64_t count, int chunks,
                                         double scale, To *y, bool add) {
    for (int64_t e = first_item(); e < count; e += item_step()) {
        double sum = 0;
        for (int k = 0; k < chunks; k++) sum += (double)partial[k * count + e];
        store(y + e, (float)(scale * sum), add);
    }
}

template <typename T, typename To>
int gather_sum(const char *op, const T *a, const T *b, const Walk &kept, const Walk &summed,
               double scale, To *y, bool add) {
    if (kept.count == 0) return 0;
    unsigned width = 1;
    while (width < 32 && width < kept.count) width *= 2;
    dim3 block(width, BLOCK / width);
    int64_t blocks = (kept.count + width - 1) / width;
    int64_t chunks = summed.count / (block.y * 16), most = 1024 / blocks;
    if (chunks > most) chunks = most;
    if (chunks < 1) chunks = 1;
    int64_t chunk = (summed.count + chunks - 1) / chunks;
    float factor = (float)scale, *none = NULL;
    dim3 grid((unsigned)blocks, (unsigned)chunks);
    if (chunks == 1)
        return LAUNCH((gather_sum_kernel<T, To>), grid, block, a, b, kept, summed, chunk, factor, y,
                      add, none);
    size_t bytes = (size_t)(chunks * kept.count) * sizeof(float);
    float *partial = (float *)cuda_scratch(op, bytes);
    if (!partial) return -1;
    int result = LAUNCH((gather_sum_kernel<T, To>), grid, block, a, b, kept, summed, chunk, factor,
                        y, add, partial);
    if (result == 0)
        result = LAUNCH((add_chunks_kernel<To>), blocks_for(kept.count), BLOCK, partial, kept.count,
                        (int)chunks, scale, y, add);
    cuda_free(partial, bytes);
    return result;
}

#define DEFINE(T, To)                                                                        \
    template int gather_sum<T, To>(const char *op, const T *a, const T *b, const Walk &kept, \
                                   const Walk &summed, double scale, To *y, bool add);
DEFINE(float, float)
DEFINE(Bf16, Bf16)
DEFINE(Bf16, float)

int cuda_sum_rows(const void *x, Dtype dtype, int64_t rows, int64_t columns, float *y, bool add) {
    Walk kept = walk_new(), summed = walk_new();
    walk_add(&kept, columns, 1, 0);
    walk_add(&summed, rows, columns, 0);
    DISPATCH(dtype, "sum of rows", T, {
        return gather_sum<T, float>("sum of rows", (const T *)x, NULL, kept, summed, 1, y, add);
    })
}
