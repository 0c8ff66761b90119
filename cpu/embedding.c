// SPDX-License-Identifier: MIT
// Rows of a table, chosen by ids.
#include "cpu/kernel.h"

#include <string.h>

int CPU(embedding_forward)(const embedding_args *args) {
    const int32_t *ids = args->ids->data;
    int64_t count = tensor_numel(args->ids), rows = args->table->shape[0];
    int64_t width = args->table->shape[1];
    for (int64_t i = 0; i < count; i++) {
        if (ids[i] < 0 || ids[i] >= rows)
            return error_int("embedding: id %d at position %lld is outside 0..%lld", ids[i],
                             (long long)i, (long long)rows - 1);
        memcpy(values(args->y) + i * width, values(args->table) + ids[i] * width,
               (size_t)width * sizeof(real));
    }
    return 0;
}

int CPU(embedding_backward)(const embedding_args *args) {
    if (!args->table->needs_grad) return 0;
    const int32_t *ids = args->ids->data;
    int64_t count = tensor_numel(args->ids), width = args->table->shape[1];
    real *dtable = gradient(args->table);
    if (!args->table->has_grad) memset(dtable, 0, tensor_bytes(args->table));
    for (int64_t i = 0; i < count; i++)
        for (int64_t c = 0; c < width; c++)
            dtable[ids[i] * width + c] += gradient(args->y)[i * width + c];
    return 0;
}
