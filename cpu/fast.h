// SPDX-License-Identifier: MIT
// Fast float kernels. A row here replaces the reference kernel of that op on f32 in cpu_backend().
// A fast kernel has the contract of the kernel it replaces, and may return FAST_DECLINES before it
// has written anything, to let the reference kernel do this shape.
#ifndef CPU_FAST_H
#define CPU_FAST_H

#include "autograd/ops.h"

enum { FAST_DECLINES = 1 };

// clang-format off
#define FAST_LIST(FAST) \
    FAST(conv2d)        \
    FAST(linear)        \
    FAST(matmul)        \
    FAST(attention)     \
    FAST(unary)         \
    FAST(binary)        \
    FAST(geglu)         \
    FAST(group_norm)    \
    FAST(layer_norm)    \
    FAST(coloring_loss)
// clang-format on

#define FAST(name)                                      \
    int fast_##name##_forward(const name##_args *args); \
    int fast_##name##_backward(const name##_args *args);
FAST_LIST(FAST)
#undef FAST

#endif
