// SPDX-License-Identifier: MIT
// Softmax over the keys of each row, and its gradient; a block for each row. See attention_rows.h.
#include "cuda/attention_rows.h"

#include "cuda/kernel.cuh"

// What is added to the logit of a key: the mask's terms, of which the row's largest is taken off.
template <typename T>
static __device__ inline float masked(float logit, const T *mask, float largest, int64_t key) {
    return mask ? logit + (largest - to_float(mask[key])) * -10000.0f : logit;
}

template <typename T>
static __global__ void weights_kernel(const float *logits, T *weights, float *lse, const T *mask,
                                      int64_t rows, int64_t row_count, int64_t S, bool causal,
                                      bool again) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        const float *from = logits + row * S;
        T *to = weights + row * S;
        int64_t seen = causal ? row % row_count + 1 : S;
        float largest = -INFINITY;
        for (int64_t key = threadIdx.x; mask && key < seen; key += BLOCK)
            largest = fmaxf(largest, to_float(mask[key]));
        if (mask) largest = block_max(largest);
        float sum;
        if (again) {
            sum = lse[row];
        } else {
            float most = -INFINITY, part = 0;
            for (int64_t key = threadIdx.x; key < seen; key += BLOCK)
                most = fmaxf(most, masked(from[key], mask, largest, key));
            most = block_max(most);
            for (int64_t key = threadIdx.x; key < seen; key += BLOCK)
                part += expf(masked(from[key], mask, largest, key) - most);
            sum = most + logf(block_sum(part));
            if (threadIdx.x == 0) lse[row] = sum;
        }
        for (int64_t key = threadIdx.x; key < S; key += BLOCK)
            to[key] = Stored<T>::of(key < seen ? expf(masked(from[key], mask, largest, key) - sum)
                                               : 0.0f);
    }
}

int cuda_attention_weights(const AttentionRows *r, const float *logits, void *weights, float *lse,
                           bool again) {
    int64_t rows = r->heads * r->T;
    DISPATCH(r->type, "attention", T, {
        return LAUNCH((weights_kernel<T>), blocks_for(rows, 1), BLOCK, logits, (T *)weights, lse,
                      (const T *)r->mask, rows, r->T, r->S, r->causal, again);
    })
}

template <typename T>
static __global__ void gradient_kernel(T *weights, const float *dweights, const T *y, const T *dy,
                                       int64_t rows, int64_t row_count, int64_t S, int64_t heads,
                                       int64_t width, float scale) {
    for (int64_t row = blockIdx.x; row < rows; row += gridDim.x) {
        int64_t at = (row % row_count * heads + row / row_count) * width;
        float part = 0;
        for (int64_t i = threadIdx.x; i < width; i += BLOCK)
            part += to_float(y[at + i]) * to_float(dy[at + i]);
        float mean = block_sum(part);
        for (int64_t key = threadIdx.x; key < S; key += BLOCK) {
            int64_t i = row * S + key;
            weights[i] = Stored<T>::of(to_float(weights[i]) * (dweights[i] - mean) * scale);
        }
    }
}

int cuda_attention_gradient(const AttentionRows *r, void *weights, const float *dweights,
                            const void *y, const void *dy, float scale) {
    int64_t rows = r->heads * r->T;
    DISPATCH(r->type, "attention", T, {
        return LAUNCH((gradient_kernel<T>), blocks_for(rows, 1), BLOCK, (T *)weights, dweights,
                      (const T *)y, (const T *)dy, rows, r->T, r->S, r->heads, r->width, scale);
    })
}
