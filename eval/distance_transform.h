// SPDX-License-Identifier: MIT
// Exact Euclidean distance transform of a mask.
#ifndef EVAL_DISTANCE_TRANSFORM_H
#define EVAL_DISTANCE_TRANSFORM_H

#include <stdint.h>

// For each non-zero pixel of the mask the squared distance between its centre and that of the
// nearest pixel outside; the pixels around the image count as outside. 0 for zero pixels.
// mask, squared: [H,W], sides up to 65535 (so the greatest value is 2^30). Fails only when out of
// memory. Source: Meijster, Roerdink and Hesselink 2000.
int distance_transform(const uint8_t *mask, int width, int height, int32_t *squared);

#endif
