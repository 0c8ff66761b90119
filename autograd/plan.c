// SPDX-License-Identifier: MIT
// The plan back end: memory is counted, kernels do nothing but count arithmetic. See backend.h.
#include "autograd/backend.h"

#include <string.h>

static _Thread_local BackendStats stats;

static void *plan_alloc(size_t bytes) {
    stats.live += bytes;
    stats.held = stats.live;
    if (stats.live > stats.peak) stats.peak = stats.live;
    static char somewhere[64];
    return somewhere; // never read or written
}

static void plan_free(void *memory, size_t bytes) {
    (void)memory;
    stats.live -= bytes;
    stats.held = stats.live;
}

static int plan_write(void *to, const void *host, size_t bytes) {
    (void)to, (void)host, (void)bytes;
    return 0;
}

static int plan_read(void *host, const void *from, size_t bytes) {
    (void)from;
    memset(host, 0, bytes);
    return 0;
}

static int plan_fill(Tensor *tensor, double value) {
    (void)tensor, (void)value;
    return 0;
}

static int plan_add_to(Tensor *to, const Tensor *from) {
    stats.flops += (double)tensor_numel(to);
    (void)from;
    return 0;
}

static int plan_sum_of_squares(Tensor *const *tensors, int64_t count, double *result) {
    (void)tensors, (void)count;
    *result = 1;
    return 0;
}

static int plan_clip(Tensor *const *tensors, int64_t count, double limit, Tensor *found) {
    (void)tensors, (void)count, (void)limit, (void)found;
    return 0;
}

static int plan_adamw(const AdamwArgs *args) {
    (void)args;
    return 0;
}

static int plan_all_reduce(Tensor *const *tensors, int64_t count, Tensor *found) {
    (void)tensors, (void)count, (void)found;
    return 0;
}

static BackendStats plan_stats(void) {
    return stats;
}

static void plan_reset_stats(void) {
    stats.peak = stats.live;
    stats.flops = 0;
}

// Multiplications and additions of an op's forward pass. Only products count: the rest is bound by
// memory, and is counted as one operation per element written.
static double flops_of(OpKind kind, const void *args) {
    Tensor *const *fields = args;
    double outputs = (double)tensor_numel(fields[op_inputs(kind)]);
    const char *name = op_name(kind);
    const Tensor *second = op_inputs(kind) > 1 ? fields[1] : NONE;
    if (strcmp(name, "conv2d") == 0 || strcmp(name, "linear") == 0)
        return 2 * outputs * (double)tensor_numel(second) / (double)second->shape[0];
    if (strcmp(name, "matmul") == 0)
        return 2 * outputs * (double)tensor_numel(second) /
               (double)(second->shape[0] * tensor_side(fields[2], -1));
    if (strcmp(name, "attention") == 0) return 4 * outputs * (double)tensor_side(second, 1);
    return outputs;
}

// Backward repeats a product once for each factor, the first two inputs, that needs a gradient;
// attention computes its logits again and takes five products for its two.
static double backward_flops_of(OpKind kind, const void *args) {
    Tensor *const *fields = args;
    int needed = 0;
    for (int i = 0; i < op_inputs(kind) && i < 2; i++)
        needed += fields[i]->needs_grad && fields[i]->ndim > 1;
    if (strcmp(op_name(kind), "attention") == 0) return needed ? 2.5 * flops_of(kind, args) : 0;
    return flops_of(kind, args) * needed;
}

static PlanWatch watch;

void plan_backend_watch(PlanWatch next) {
    watch = next;
}

#define OP(name, inputs, outputs)                                \
    static int plan_##name##_forward(const name##_args *args) {  \
        stats.flops += flops_of(OP_##name, args);                \
        return watch ? watch(OP_##name, args, false) : 0;        \
    }                                                            \
    static int plan_##name##_backward(const name##_args *args) { \
        stats.flops += backward_flops_of(OP_##name, args);       \
        return watch ? watch(OP_##name, args, true) : 0;         \
    }
OP_LIST(OP)
#undef OP

const Backend *plan_backend(void) {
    static const Backend backend = {.name = "plan",
                                    .bf16 = true,
                                    .shapes_only = true,
                                    .alloc = plan_alloc,
                                    .free = plan_free,
                                    .write = plan_write,
                                    .read = plan_read,
                                    .copy = plan_write,
                                    .fill = plan_fill,
                                    .add_to = plan_add_to,
                                    .sum_of_squares = plan_sum_of_squares,
                                    .clip = plan_clip,
                                    .adamw = plan_adamw,
                                    .all_reduce = plan_all_reduce,
                                    .stats = plan_stats,
                                    .reset_stats = plan_reset_stats,
#define OP(name, inputs, outputs) \
    .name##_forward = plan_##name##_forward, .name##_backward = plan_##name##_backward,
                                    OP_LIST(OP)
#undef OP
    };
    return &backend;
}
