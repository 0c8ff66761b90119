// SPDX-License-Identifier: MIT
// One op through host memory. See host_path.h.
#include "cuda/host_path.h"

#include "base/error.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const Backend *host;
static atomic_bool said[OP_COUNT];

void cuda_host_use(const Backend *backend) {
    host = backend;
}

const Backend *cuda_host(void) {
    return host;
}

static int say(OpKind kind, const char *reason) {
    if (!host) return error_int("%s: this device has no kernel for it", op_name(kind));
    if (reason && !atomic_exchange(&said[kind], true))
        fprintf(stderr, "%s: computed by the host, which is slow: %s\n", op_name(kind), reason);
    return 0;
}

// ---- copies -------------------------------------------------------------------------------------

static Dtype host_type(Dtype dtype) {
    return dtype == BF16 ? F32 : dtype;
}

static int move_in(Tensor *to, const Tensor *from) {
    if (from->dtype == BF16) return tensor_read_float(from, to->data);
    return tensor_read(from, to->data);
}

static int move_out(Tensor *to, const Tensor *from) {
    if (to->dtype == BF16) return tensor_write_float(to, from->data);
    return tensor_write(to, from->data);
}

// A host tensor like the device's; with its values where `filled`.
static Tensor *mirror(const Tensor *tensor, bool filled) {
    Tensor *copy = tensor_new(host_type(tensor->dtype), tensor->ndim, tensor->shape);
    if (!copy) return NULL;
    tensor_named(copy, "%s", tensor->name);
    copy->needs_grad = tensor->needs_grad;
    copy->has_grad = tensor->has_grad;
    if (filled && move_in(copy, tensor) != 0) {
        tensor_free(copy);
        return NULL;
    }
    return copy;
}

static int mirror_gradient(Tensor *copy, const Tensor *tensor, bool filled) {
    copy->grad = mirror(tensor->grad, filled);
    return copy->grad ? 0 : -1;
}

// ---- an op --------------------------------------------------------------------------------------

typedef struct {
    OpKind kind;
    Tensor *const *fields; // of the device
    void *args;            // a copy that names host tensors; its first fields are `copies`
    Tensor **copies;
    int inputs, count;
} Detour;

// The same tensor may be given twice: its copy is then shared. Returns the first field that names
// it.
static int first_field(const Detour *detour, int field) {
    int first = 0;
    while (detour->fields[first] != detour->fields[field]) first++;
    return first;
}

static void finish(Detour *detour) {
    for (int i = 0; detour->copies && i < detour->count; i++)
        if (first_field(detour, i) == i) tensor_free(detour->copies[i]);
    free(detour->args);
}

// Copies one field's tensor unless an earlier field has; `filled`: with its values.
static int copy_field(Detour *detour, int field, bool filled) {
    int first = first_field(detour, field);
    if (first == field) detour->copies[field] = mirror(detour->fields[field], filled);
    detour->copies[field] = detour->copies[first];
    return detour->copies[field] ? 0 : -1;
}

static int begin(Detour *detour, OpKind kind, const void *args) {
    *detour = (Detour){.kind = kind,
                       .fields = args,
                       .args = malloc(op_args_size(kind)),
                       .inputs = op_inputs(kind),
                       .count = op_inputs(kind) + op_outputs(kind)};
    if (!detour->args) return error_int("%s: out of memory", op_name(kind));
    memcpy(detour->args, args, op_args_size(kind));
    detour->copies = detour->args;
    for (int i = 0; i < detour->count; i++)
        if (detour->fields[i] != NONE) detour->copies[i] = NULL;
    return 0;
}

static int forward(Detour *detour) {
    for (int i = 0; i < detour->count; i++) {
        if (detour->fields[i] == NONE) continue;
        if (copy_field(detour, i, i < detour->inputs) != 0) return -1;
    }
    if (backend_forward(host, detour->kind, detour->args) != 0) return -1;
    for (int i = detour->inputs; i < detour->count; i++)
        if (move_out(detour->fields[i], detour->copies[i]) != 0) return -1;
    return 0;
}

// Where the tape has released what the rule does not read, the copy's values stay undefined.
static int backward(Detour *detour) {
    for (int i = 0; i < detour->count; i++) {
        const Tensor *tensor = detour->fields[i];
        if (tensor == NONE) continue;
        if (copy_field(detour, i, tensor->data != NULL) != 0) return -1;
        bool is_output = i == detour->inputs, wanted = i < detour->inputs && tensor->needs_grad;
        if ((is_output || wanted) && !detour->copies[i]->grad &&
            mirror_gradient(detour->copies[i], tensor, is_output || tensor->has_grad) != 0)
            return -1;
    }
    if (backend_backward(host, detour->kind, detour->args) != 0) return -1;
    for (int i = 0; i < detour->inputs; i++) {
        Tensor *tensor = detour->fields[i];
        if (tensor == NONE || !tensor->needs_grad) continue;
        if (move_out(tensor->grad, detour->copies[i]->grad) != 0) return -1;
    }
    return 0;
}

static int run(OpKind kind, const void *args, const char *reason, int (*pass)(Detour *detour)) {
    Detour detour;
    const Backend *device = backend_current();
    if (say(kind, reason) != 0 || begin(&detour, kind, args) != 0) return -1;
    backend_use(host);
    int result = pass(&detour);
    finish(&detour);
    backend_use(device);
    return result;
}

int cuda_host_forward(OpKind kind, const void *args, const char *reason) {
    return run(kind, args, reason, forward);
}

int cuda_host_backward(OpKind kind, const void *args, const char *reason) {
    return run(kind, args, reason, backward);
}
