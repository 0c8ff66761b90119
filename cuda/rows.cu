// SPDX-License-Identifier: MIT
// What is added to the rows of a product after it, where the library could not do so in the same
// pass. See operand.h.
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"
#include "cuda/operand.h"

template <typename T>
static __global__ void add_rows_kernel(T *y, const float *bias, const T *residual, int64_t count,
                                       int64_t columns) {
    for (int64_t i = first_item(); i < count; i += item_step()) {
        float value = to_float(y[i]);
        if (bias) value += bias[i % columns];
        if (residual) value += to_float(residual[i]);
        y[i] = Stored<T>::of(value);
    }
}

int cuda_add_rows(void *y, Dtype type, int64_t rows, int64_t columns, const float *bias,
                  const void *residual) {
    int64_t count = rows * columns;
    if (!bias && !residual) return 0;
    DISPATCH(type, "add_rows", T, {
        return LAUNCH((add_rows_kernel<T>), blocks_for(count), BLOCK, (T *)y, bias,
                      (const T *)residual, count, columns);
    })
}
