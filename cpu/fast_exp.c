// SPDX-License-Identifier: MIT
// Rows of a softmax. The compiler makes one version per instruction set; the loader picks. Not in
// sanitizer builds, whose runtime is not ready when the loader asks.
#include "cpu/fast_exp.h"

#include <math.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && defined(__x86_64__) && defined(__GLIBC__) && \
    !defined(P2S_SANITIZED)
#define VECTORISED __attribute__((target_clones("avx512f", "avx2", "default")))
#else
#define VECTORISED
#endif

// exp(x) = 2^n exp(r) with n the integer nearest to x / ln 2, found by adding a number so large
// that the fraction falls off; then the low bits of the sum hold n. exp(r) for |r| <= ln 2 / 2 is
// the Taylor series with its seventh term spread over the lower ones (Chebyshev): error 2e-8.
static inline float fast_exp(float x) {
    const float shifter = 12582912.0f; // 1.5 * 2^23
    float shifted = x * 1.44269504f + shifter, n = shifted - shifter;
    float r = x - n * 0.693145752f - n * 1.42860677e-6f; // ln 2 in two parts
    float series = 0.00138888889f * r + 0.0083750393f;
    series = series * r + 0.0416666667f;
    series = series * r + 0.166664162f;
    series = series * r + 0.5f;
    series = series * r * r + r + 1.0f;
    uint32_t bits;
    memcpy(&bits, &shifted, sizeof bits);
    bits = (bits << 23) + 0x3F800000u; // n becomes the exponent
    float power;
    memcpy(&power, &bits, sizeof power);
    return x < -87.0f ? 0.0f : series * power;
}

VECTORISED float row_max(float *logits, const float *mask, float top, int64_t count) {
    float largest = -INFINITY;
    if (mask) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) logits[i] += (top - mask[i]) * -10000.0f;
    }
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < count; i++) largest = logits[i] > largest ? logits[i] : largest;
    return largest;
}

VECTORISED float row_exp(float *x, float shift, int64_t count) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += x[i] = fast_exp(x[i] - shift);
    return sum;
}

VECTORISED void row_logit_gradient(float *d, const float *p, float mean, float scale,
                                   int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) d[i] = p[i] * (d[i] - mean) * scale;
}

VECTORISED void row_scale(float *x, float factor, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) x[i] *= factor;
}
