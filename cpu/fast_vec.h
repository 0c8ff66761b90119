// SPDX-License-Identifier: MIT
// One register of floats, for kernels whose loops the compiler would not vectorise as wanted.
// Include after cpu/fast_kernel.h.
#ifndef CPU_FAST_VEC_H
#define CPU_FAST_VEC_H

#include "cpu/fast_kernel.h"

#include <string.h>

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
typedef int32_t VecBits __attribute__((vector_size(4 * LANES)));
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

// The first `count` lanes, the others 0; and back.
INLINED Vec vec_load_part(const float *from, int64_t count) {
    float lanes[LANES] = {0};
    for (int64_t i = 0; i < count; i++) lanes[i] = from[i];
    return vec_load(lanes);
}

INLINED void vec_store_part(float *to, Vec value, int64_t count) {
    for (int64_t i = 0; i < count; i++) to[i] = value[i];
}

INLINED Vec vec_limited(Vec x, float least, float most) {
#if defined(__AVX512F__)
    return _mm512_min_ps(_mm512_max_ps(x, vec_all(least)), vec_all(most));
#elif defined(__AVX2__)
    return _mm256_min_ps(_mm256_max_ps(x, vec_all(least)), vec_all(most));
#else
    for (int i = 0; i < LANES; i++) x[i] = x[i] < least ? least : x[i] > most ? most : x[i];
    return x;
#endif
}

// 1 / x within 1 ulp, for |x| from 2e-38; 0 to 1.3e-38 above 8e37; NaN stays NaN.
INLINED Vec vec_reciprocal(Vec x) {
#if defined(__AVX512F__)
    const Vec one = _mm512_set1_ps(1);
    x = _mm512_min_ps(_mm512_set1_ps(8e37f), x);
    const Vec about = _mm512_rcp14_ps(x);
    return _mm512_fmadd_ps(_mm512_fnmadd_ps(x, about, one), about, about);
#elif defined(__AVX2__)
    const Vec one = _mm256_set1_ps(1);
    x = _mm256_min_ps(_mm256_set1_ps(8e37f), x);
    Vec about = _mm256_rcp_ps(x);
    about = _mm256_fmadd_ps(_mm256_fnmadd_ps(x, about, one), about, about);
    return _mm256_fmadd_ps(_mm256_fnmadd_ps(x, about, one), about, about);
#else
    return vec_all(1) / x;
#endif
}

// x where keys[i] is not `key`, otherwise 0.
INLINED Vec vec_where_other(const int32_t *keys, int32_t key, Vec x) {
#if defined(__AVX512F__)
    const __m512i found = _mm512_loadu_si512(keys);
    return _mm512_maskz_mov_ps(_mm512_cmpneq_epi32_mask(found, _mm512_set1_epi32(key)), x);
#else
    VecBits found;
    memcpy(&found, keys, sizeof found);
    return (Vec)((VecBits)x & (found != key));
#endif
}

// The sum of all lanes, by halves.
INLINED float vec_sum(Vec x) {
#if defined(__AVX512F__)
    const __m512d pairs = _mm512_castps_pd(x);
    const __m256 half =
        _mm512_castps512_ps256(x) + _mm256_castpd_ps(_mm512_extractf64x4_pd(pairs, 1));
#elif defined(__AVX2__)
    const __m256 half = x;
#endif
#if defined(__AVX2__)
    const __m128 y = _mm256_castps256_ps128(half) + _mm256_extractf128_ps(half, 1);
#else
    const Vec y = x;
#endif
    return (y[0] + y[2]) + (y[1] + y[3]);
}

// exp(x) within 2 ulp; arguments are limited to the range of normal floats. As vector_exp.
INLINED Vec vec_exp(Vec x) {
    const Vec shifter = vec_all(12582912.0f);
    x = vec_limited(x, -87.0f, 88.0f);
    Vec shifted = vec_multiply_add(x, vec_all(1.44269504f), shifter), n = shifted - shifter;
    Vec r = vec_multiply_add(n, vec_all(2.12194440e-4f),
                             vec_multiply_add(n, vec_all(-0.693359375f), x));
    Vec p = vec_multiply_add(vec_all(1.9875691500e-4f), r, vec_all(1.3981999507e-3f));
    p = vec_multiply_add(p, r, vec_all(8.3334519073e-3f));
    p = vec_multiply_add(p, r, vec_all(4.1665795894e-2f));
    p = vec_multiply_add(p, r, vec_all(1.6666665459e-1f));
    p = vec_multiply_add(p, r, vec_all(5.0000001201e-1f));
    p = vec_multiply_add(p * r, r, r + vec_all(1));
    return p * (Vec)(((VecBits)shifted << 23) + 0x3f800000);
}

INLINED Vec vec_sigmoid(Vec x) {
    return vec_all(1) / (vec_all(1) + vec_exp(-x));
}

#endif
