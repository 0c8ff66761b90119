// SPDX-License-Identifier: MIT
// What follows from OP_LIST: names, counts, dispatch to a back end's kernels.
#include "autograd/ops.h"

#include "autograd/backend.h"
#include "base/error.h"

typedef struct {
    const char *name;
    int inputs, outputs;
    size_t args_size;
} OpRow;

#define OP(name, inputs, outputs) {#name, inputs, outputs, sizeof(name##_args)},
static const OpRow rows[OP_COUNT] = {OP_LIST(OP)};
#undef OP

static _Thread_local const Backend *current;

void backend_use(const Backend *backend) {
    current = backend;
}

const Backend *backend_current(void) {
    return current;
}

const char *op_name(OpKind kind) {
    return rows[kind].name;
}

int op_inputs(OpKind kind) {
    return rows[kind].inputs;
}

int op_outputs(OpKind kind) {
    return rows[kind].outputs;
}

size_t op_args_size(OpKind kind) {
    return rows[kind].args_size;
}

int backend_forward(const Backend *backend, OpKind kind, const void *args) {
    switch (kind) {
#define OP(name, inputs, outputs) \
    case OP_##name:               \
        return backend->name##_forward(args);
        OP_LIST(OP)
#undef OP
    default:
        return error_int("op %d does not exist", (int)kind);
    }
}

int backend_backward(const Backend *backend, OpKind kind, const void *args) {
    switch (kind) {
#define OP(name, inputs, outputs) \
    case OP_##name:               \
        return backend->name##_backward(args);
        OP_LIST(OP)
#undef OP
    default:
        return error_int("op %d does not exist", (int)kind);
    }
}
