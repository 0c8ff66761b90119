// SPDX-License-Identifier: MIT
// Convolution as one product with the patches of x, [rows,kh*kw*Ci], a row per result pixel. Reads
// weights as they lie, where oneDNN's convolution first copies them into its own layout.
#ifndef CPU_FAST_PATCHES_H
#define CPU_FAST_PATCHES_H

#include "cpu/fast_kernel.h"
#include "cpu/onednn.h"

// One pass: reads two of x, weight, y and writes the third, or adds to it. 0, or -1 with an error.
int ISA(patches_conv)(ConvPass pass, const ConvShape *shape, bool add, float *x, float *weight,
                      float *y);

#endif
