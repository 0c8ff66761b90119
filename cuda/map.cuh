// SPDX-License-Identifier: MIT
// Element by element over equally long arrays, 16 bytes at a time.
#ifndef CUDA_MAP_CUH
#define CUDA_MAP_CUH

#include "cuda/kernel.cuh"

template <typename T, int INPUTS> struct Arrays { const T *at[INPUTS]; };

// y[i] = f(x0[i], x1[i], ...), or added to y. F: float operator()(const float *x).
template <typename T, int INPUTS, typename F>
static __global__ void map_kernel(Arrays<T, INPUTS> x, T *y, int64_t count, bool add, F f) {
    enum { WIDTH = Pack<T>::WIDTH };
    int64_t packs = count / WIDTH;
    for (int64_t p = first_item(); p < packs; p += item_step()) {
        Pack<T> in[INPUTS], out;
        for (int k = 0; k < INPUTS; k++) in[k] = ((const Pack<T> *)x.at[k])[p];
        if (add) out = ((const Pack<T> *)y)[p];
        for (int i = 0; i < WIDTH; i++) {
            float arguments[INPUTS];
            for (int k = 0; k < INPUTS; k++) arguments[k] = to_float(in[k].at[i]);
            store(&out.at[i], f(arguments), add);
        }
        ((Pack<T> *)y)[p] = out;
    }
    int64_t rest = packs * WIDTH + first_item();
    if (rest >= count) return;
    float arguments[INPUTS];
    for (int k = 0; k < INPUTS; k++) arguments[k] = to_float(x.at[k][rest]);
    store(y + rest, f(arguments), add);
}

template <typename T, typename F> static int map1(const T *x, T *y, int64_t count, bool add, F f) {
    Arrays<T, 1> arrays = {{x}};
    return LAUNCH((map_kernel<T, 1, F>), blocks_for(count / Pack<T>::WIDTH), BLOCK, arrays, y,
                  count, add, f);
}

template <typename T, typename F>
static int map2(const T *x0, const T *x1, T *y, int64_t count, bool add, F f) {
    Arrays<T, 2> arrays = {{x0, x1}};
    return LAUNCH((map_kernel<T, 2, F>), blocks_for(count / Pack<T>::WIDTH), BLOCK, arrays, y,
                  count, add, f);
}

#endif
