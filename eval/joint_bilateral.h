// SPDX-License-Identifier: MIT
// Joint bilateral filter: smooths one map where another image is smooth.
#ifndef EVAL_JOINT_BILATERAL_H
#define EVAL_JOINT_BILATERAL_H

#include "data/image.h"

// The filter of gen2seg's prompting: circular window of radius 4 (49 taps), Gaussians of 75 levels
// over the L1 distance of the guide's colours and of 75 pixels over space, borders mirrored without
// repeating the edge. The same bits as OpenCV's jointBilateralFilter(d = 9, 75, 75,
// BORDER_REFLECT_101) for 8-bit images, on any number of threads.
// guide: RGB, any size from 1x1; source, out: [H,W], may be the same array. Fails only when out of
// memory.
int joint_bilateral(const Image *guide, const uint8_t *source, uint8_t *out);

#endif
