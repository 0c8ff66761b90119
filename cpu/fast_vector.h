// SPDX-License-Identifier: MIT
// For fast float kernels: an exponential and a normal distribution that compilers vectorise.
#ifndef CPU_FAST_VECTOR_H
#define CPU_FAST_VECTOR_H

#include <stdint.h>

// exp(x) within 2 ulp; arguments are limited to the range of normal floats.
static inline float vector_exp(float x) {
    union {
        float value;
        int32_t bits;
    } shifted, power;
    x = x > 88.0f ? 88.0f : x;
    x = x < -87.0f ? -87.0f : x;
    shifted.value = x * 1.44269504f + 12582912.0f; // the integer lands in the lowest bits
    float n = shifted.value - 12582912.0f;
    float r = (x - n * 0.693359375f) + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    p = p * r * r + r + 1.0f;
    power.bits = (int32_t)(((uint32_t)shifted.bits << 23) + 0x3f800000u);
    return p * power.value;
}

static inline float vector_sigmoid(float x) {
    return 1.0f / (1.0f + vector_exp(-x));
}

// The normal distribution function, relative error 1e-6, and its density times sqrt(2 pi): with
// z = |x| / sqrt(2) and t = 1 / (1 + z / 2), erfc(z) exp(z z) / t is a polynomial in t within 6e-8
// (interpolated at Chebyshev nodes for z up to 9.5).
static inline float vector_normal_cdf(float x, float *bell) {
    float size = x < 0 ? -x : x, t = 1.0f / (1.0f + 0.35355339f * size);
    float p = -0.0593381259f;
    p = p * t + 0.285979672f;
    p = p * t - 0.490276047f;
    p = p * t + 0.281742193f;
    p = p * t - 0.029231098f;
    p = p * t + 0.203802261f;
    p = p * t + 0.242824091f;
    p = p * t + 0.282412613f;
    p = p * t + 0.282084401f;
    *bell = vector_exp(-0.5f * x * x);
    float tail = 0.5f * p * t * *bell;
    return x < 0 ? tail : 1.0f - tail;
}

#endif
