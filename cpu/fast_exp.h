// SPDX-License-Identifier: MIT
// Rows of a softmax.
#ifndef CPU_FAST_EXP_H
#define CPU_FAST_EXP_H

#include "cpu/fast_kernel.h"

// logits[i] += (top - mask[i]) * -10000 where there is a mask (NULL: none); returns the largest.
float ISA(row_max)(float *logits, const float *mask, float top, int64_t count);

// x[i] = exp(x[i] - shift); returns their sum. Relative error below 2.4e-7; 0 below exp(-87). The
// differences must not be above 80.
float ISA(row_exp)(float *x, float shift, int64_t count);

// d[i] = p[i] * (d[i] - mean) * scale: from the gradient of a softmax to that of its logits.
void ISA(row_logit_gradient)(float *d, const float *p, float mean, float scale, int64_t count);

// x[i] *= factor.
void ISA(row_scale)(float *x, float factor, int64_t count);

#endif
