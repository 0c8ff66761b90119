// SPDX-License-Identifier: MIT
// Front of embedding. See ops.h.
#include "autograd/front.h"

Tensor *op_embedding(Tensor *table, Tensor *ids) {
    embedding_args args = {.table = table, .ids = ids};
    if (!front_inputs(OP_embedding, &args)) return NULL;
    if (!front_ndim("embedding", "table", table, 2) || !front_dtype("embedding", "ids", ids, I32))
        return NULL;
    if (ids->ndim >= TENSOR_MAX_DIMS)
        return error_null("embedding: ids %s have too many sides", tensor_text(ids));
    int64_t shape[TENSOR_MAX_DIMS];
    for (int i = 0; i < ids->ndim; i++) shape[i] = ids->shape[i];
    shape[ids->ndim] = table->shape[1];
    args.y = tape_result(table->dtype, ids->ndim + 1, shape);
    return RUN(embedding, args);
}

unsigned embedding_saves(const embedding_args *args) {
    (void)args;
    return save_if(true, 1);
}
