// SPDX-License-Identifier: MIT
// Rows of a softmax. See fast_exp.h.
#include "cpu/fast_exp.h"

#include "cpu/fast_kernel.h"
#include "cpu/fast_vector.h"

#include <math.h>

float ISA(row_max)(float *logits, const float *mask, float top, int64_t count) {
    float largest = -INFINITY;
    if (mask) {
#pragma omp simd
        for (int64_t i = 0; i < count; i++) logits[i] += (top - mask[i]) * -10000.0f;
    }
#pragma omp simd reduction(max : largest)
    for (int64_t i = 0; i < count; i++) largest = logits[i] > largest ? logits[i] : largest;
    return largest;
}

float ISA(row_exp)(float *x, float shift, int64_t count) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) {
        float d = x[i] - shift, power = vector_exp(d);
        sum += x[i] = d < -87.0f ? 0.0f : power;
    }
    return sum;
}

void ISA(row_logit_gradient)(float *d, const float *p, float mean, float scale, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) d[i] = p[i] * (d[i] - mean) * scale;
}

void ISA(row_scale)(float *x, float factor, int64_t count) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) x[i] *= factor;
}
