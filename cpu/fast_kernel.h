// SPDX-License-Identifier: MIT
// For files of fast kernels: each is compiled once per instruction set (CMakeLists.txt), and what
// it shares with other files carries the set's name:
//
//     int ISA(fast_conv2d_forward)(const conv2d_args *args)   is   fast_conv2d_forward_avx512, ...
//
// Loops are plain C that the compiler vectorises (omp simd); products and sums are contracted only
// where vec_multiply_add (fast_vec.h) says so, so that gcc and clang round alike.
#ifndef CPU_FAST_KERNEL_H
#define CPU_FAST_KERNEL_H

#include "cpu/fast.h"

#define ISA_JOIN(name, set) name##_##set
#define ISA_NAME(name, set) ISA_JOIN(name, set)
#define ISA(name) ISA_NAME(name, P2S_ISA)

// Floats of one vector register.
#if defined(__AVX512F__)
enum { LANES = 16 };
#elif defined(__AVX2__)
enum { LANES = 8 };
#else
enum { LANES = 4 };
#endif

// Into functions with constant arguments: a choice inside a loop would keep it scalar.
#define INLINED static inline __attribute__((always_inline))

#define FAST(name)                                           \
    int ISA(fast_##name##_forward)(const name##_args *args); \
    int ISA(fast_##name##_backward)(const name##_args *args);
FAST_LIST(FAST)
#undef FAST

int ISA(fast_sum_of_squares)(Tensor *const *tensors, int64_t count, double *result);
int ISA(fast_adamw)(const AdamwArgs *args);

#endif
