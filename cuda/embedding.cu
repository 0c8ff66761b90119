// SPDX-License-Identifier: MIT
// Rows of a table, chosen by ids. An id out of range counts as 0 and is reported (fault.h).
#include "cuda/fault.cuh"
#include "cuda/kernels.h"

static __device__ __forceinline__ int64_t row_of(const int32_t *ids, int64_t at, int64_t rows) {
    return ids[at] < 0 || ids[at] >= rows ? 0 : ids[at];
}

template <typename T>
static __global__ void embedding_kernel(const T *table, const int32_t *ids, int64_t count,
                                        int64_t rows, int64_t width, T *y, Fault *fault) {
    for (int64_t i = first_item(); i < count * width; i += item_step()) {
        int64_t at = i / width;
        if (ids[at] < 0 || ids[at] >= rows)
            fault_note(fault, FAULT_EMBEDDING_ID, ids[at], at, rows - 1);
        y[i] = table[row_of(ids, at, rows) * width + i % width];
    }
}

int cuda_embedding_forward(const embedding_args *args) {
    const Tensor *table = args->table;
    int64_t count = tensor_numel(args->ids), rows = table->shape[0], width = table->shape[1];
    Fault *fault = cuda_fault();
    if (!fault) return -1;
    DISPATCH(table->dtype, "embedding", T, {
        return LAUNCH((embedding_kernel<T>), blocks_for(count * width), BLOCK, values<T>(table),
                      (const int32_t *)args->ids->data, count, rows, width, values<T>(args->y),
                      fault);
    })
}

// A thread for each column, which takes the ids in order: the same id may occur more than once.
template <typename T>
static __global__ void embedding_backward_kernel(const T *dy, const int32_t *ids, int64_t count,
                                                 int64_t rows, int64_t width, T *dtable) {
    int64_t c = first_item();
    for (int64_t i = 0; c < width && i < count; i++)
        store(dtable + row_of(ids, i, rows) * width + c, to_float(dy[i * width + c]), true);
}

int cuda_embedding_backward(const embedding_args *args) {
    const Tensor *table = args->table;
    if (!table->needs_grad) return 0;
    int64_t count = tensor_numel(args->ids), rows = table->shape[0], width = table->shape[1];
    if (!table->has_grad && cuda_fill(table->grad, 0) != 0) return -1;
    DISPATCH(table->dtype, "embedding", T, {
        return LAUNCH((embedding_backward_kernel<T>), (unsigned)((width + 63) / 64), 64,
                      gradient<T>(args->y), (const int32_t *)args->ids->data, count, rows, width,
                      gradient<T>(table));
    })
}
