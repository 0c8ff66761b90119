// SPDX-License-Identifier: MIT
// Fast float kernels. A row here replaces the reference kernel of that op on f32 in cpu_backend().
// A fast kernel has the contract of the kernel it replaces, and may return FAST_DECLINES before it
// has written anything, to let the reference kernel do this shape.
//
// They are written once, in C; each of their files (those that include cpu/fast_kernel.h) is
// compiled once per instruction set, and the program takes the best that the processor has. The
// environment variable P2S_ISA=portable|avx2|avx512 forces one.
#ifndef CPU_FAST_H
#define CPU_FAST_H

#include "autograd/backend.h"

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

// The fast kernels of one instruction set.
typedef struct {
    const char *name;
    int lanes; // floats of a register
#define FAST(name)                              \
    int (*name##_forward)(const name##_args *); \
    int (*name##_backward)(const name##_args *);
    FAST_LIST(FAST)
#undef FAST
    int (*sum_of_squares)(Tensor *const *tensors, int64_t count, double *result);
    int (*adamw)(const AdamwArgs *args);
} FastKernels;

// The set in use, the same during a whole run. NULL and an error when P2S_ISA names no set, or one
// that this program or this processor lacks.
const FastKernels *fast_kernels(void);

// The set that every processor has.
const FastKernels *fast_portable_kernels(void);

#endif
