// SPDX-License-Identifier: MIT
// 3 x 3 convolution with stride 1 and padding 1 by Winograd's algorithm F(4x4, 3x3) on [N,H,W,C]:
// 36 multiplications for 16 results, where the definition takes 144. Lavin and Gray 2016.
//
// A tile of 6 x 6 pixels d, the weights g and the 4 x 4 results are related by
//
//     y = A' [(G g G') * (B' d B)] A        * element by element, summed over channels
//
// so that for each of the 36 elements all tiles and channels are one matrix product. The matrices
// follow from interpolation at 0, a, -a, b, -b and infinity with a = 5/8, b = 3/2, whose error is
// less than half of that of 1 and 2 (docs/speed.md). The input gradient is the same with the kernel
// turned by 180 degrees and the channels exchanged; the weight gradient is G' [sum (A dy A') * (B'
// d B)] G.
#ifndef CPU_FAST_WINOGRAD_H
#define CPU_FAST_WINOGRAD_H

#include "cpu/fast_kernel.h"
#include "cpu/onednn.h"

// One pass: reads two of x, weight, y and writes the third. With `upsampled` x has half the height
// and width of the shape, each pixel standing for 2 x 2. What is written is the pass's result plus
// bias (NULL: none; forward only) plus `base`, which has its shape (NULL: none; may be itself).
// y may begin where x does, of at most 3/4 as many channels: x is then lost.
// Results do not depend on the number of threads. 0, or -1 with an error.
int ISA(winograd_conv)(ConvPass pass, const ConvShape *shape, bool upsampled, float *x,
                       float *weight, float *y, const float *bias, const float *base);

#endif
