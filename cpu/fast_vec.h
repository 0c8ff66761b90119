// SPDX-License-Identifier: MIT
// One register of floats, for kernels whose loops the compiler would not vectorise as wanted.
// Include after cpu/fast_kernel.h.
#ifndef CPU_FAST_VEC_H
#define CPU_FAST_VEC_H

#include "cpu/fast_kernel.h"

#if defined(__AVX2__)
#include <immintrin.h>
#endif

// Before a loop of at most n constant rounds that must leave no loop behind.
#define PRAGMA(text) _Pragma(#text)
#ifdef __clang__
#define UNROLL(n) PRAGMA(unroll)
#else
#define UNROLL(n) PRAGMA(GCC unroll n)
#endif

typedef float Vec __attribute__((vector_size(4 * LANES)));
typedef float VecInMemory __attribute__((vector_size(4 * LANES), aligned(4), may_alias));

INLINED Vec vec_load(const float *from) {
    return *(const VecInMemory *)from;
}

INLINED void vec_store(float *to, Vec value) {
    *(VecInMemory *)to = value;
}

INLINED Vec vec_all(float value) {
#if defined(__AVX512F__)
    return _mm512_set1_ps(value);
#elif defined(__AVX2__)
    return _mm256_set1_ps(value);
#else
    return (Vec){value, value, value, value};
#endif
}

// a b + c
INLINED Vec vec_multiply_add(Vec a, Vec b, Vec c) {
#if defined(__AVX512F__)
    return _mm512_fmadd_ps(a, b, c);
#elif defined(__AVX2__)
    return _mm256_fmadd_ps(a, b, c);
#else
    return a * b + c;
#endif
}

#endif
