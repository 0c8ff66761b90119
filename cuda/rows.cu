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

// ---- sums over rows
// ------------------------------------------------------------------------------

enum { SUM_COLUMNS = 32, SUM_ROWS = 8, SUM_CHUNKS = 128 };

// partial [chunks,columns]: sums over the rows of a chunk; chunks lie side by side in the grid.
template <typename T>
static __global__ void sum_chunk_kernel(const T *x, int64_t rows, int64_t columns, float *partial) {
    SHARED(float, sums, SUM_COLUMNS *SUM_ROWS);
    int64_t column = (int64_t)blockIdx.x * SUM_COLUMNS + threadIdx.x;
    float sum = 0;
    if (column < columns)
        for (int64_t row = (int64_t)blockIdx.y * SUM_ROWS + threadIdx.y; row < rows;
             row += (int64_t)gridDim.y * SUM_ROWS)
            sum += to_float(x[row * columns + column]);
    sums[threadIdx.y * SUM_COLUMNS + threadIdx.x] = sum;
    __syncthreads();
    if (threadIdx.y > 0 || column >= columns) return;
    for (int i = 1; i < SUM_ROWS; i++) sum += sums[i * SUM_COLUMNS + threadIdx.x];
    partial[(int64_t)blockIdx.y * columns + column] = sum;
}

static __global__ void sum_partial_kernel(const float *partial, int64_t chunks, int64_t columns,
                                          float *y, bool add) {
    for (int64_t column = first_item(); column < columns; column += item_step()) {
        float sum = 0;
        for (int64_t i = 0; i < chunks; i++) sum += partial[i * columns + column];
        store(y + column, sum, add);
    }
}

template <typename T>
static int sum_rows(const T *x, int64_t rows, int64_t columns, float *partial, int64_t chunks,
                    float *y, bool add) {
    dim3 grid((unsigned)((columns + SUM_COLUMNS - 1) / SUM_COLUMNS), (unsigned)chunks);
    dim3 block(SUM_COLUMNS, SUM_ROWS);
    if (LAUNCH((sum_chunk_kernel<T>), grid, block, x, rows, columns, partial) != 0) return -1;
    return LAUNCH(sum_partial_kernel, blocks_for(columns), BLOCK, (const float *)partial, chunks,
                  columns, y, add);
}

static int sum_rows_of(const void *x, Dtype type, int64_t rows, int64_t columns, float *partial,
                       int64_t chunks, float *y, bool add) {
    DISPATCH(type, "sum_rows", T,
             { return sum_rows((const T *)x, rows, columns, partial, chunks, y, add); })
}

int cuda_sum_rows(const void *x, Dtype type, int64_t rows, int64_t columns, float *y, bool add) {
    int64_t chunks = (rows + SUM_ROWS - 1) / SUM_ROWS;
    if (chunks > SUM_CHUNKS) chunks = SUM_CHUNKS;
    if (chunks < 1) chunks = 1;
    size_t bytes = (size_t)(chunks * columns) * sizeof(float);
    float *partial = (float *)cuda_scratch("sum_rows", bytes);
    if (!partial) return -1;
    int result = sum_rows_of(x, type, rows, columns, partial, chunks, y, add);
    cuda_free(partial, bytes);
    return result;
}
