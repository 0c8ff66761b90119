// SPDX-License-Identifier: MIT
// What stands around a fast product: a bias for every row, a residual for every element.
#ifndef CPU_FAST_ROWS_H
#define CPU_FAST_ROWS_H

#include "cpu/fast_kernel.h"

// Elements from which a parallel loop is worth its start.
enum { FAST_PARALLEL = 1 << 15 };

// y = bias + residual, NONE counting as 0: what a product is then added to.
void ISA(fast_rows_begin)(const Tensor *y, const Tensor *bias, const Tensor *residual);

// to [channels] = factor * the sum of the rows of dy [rows,channels], or added to it. Sums run in
// double over a number of pieces that depends on the shape only. -1 and an error without memory.
int ISA(fast_column_sums)(const float *dy, int64_t rows, int64_t channels, double factor, float *to,
                          bool add);

// Gradients of both, as far as they are asked for. -1 and an error when memory is out.
int ISA(fast_rows_backward)(const Tensor *y, const Tensor *bias, const Tensor *residual);

#endif
