// SPDX-License-Identifier: MIT
// 8-connected components of a mask.
#ifndef EVAL_COMPONENTS_H
#define EVAL_COMPONENTS_H

#include "eval/point.h"

#include <stdint.h>

// Labels the 8-connected components of the non-zero pixels 1, 2, ... in the order of their first
// pixel by rows; other pixels get 0. mask, labels: [H,W], sides up to 65535 (so at most 2^30
// components). Returns their number; -1 when out of memory.
int components_label(const uint8_t *mask, int width, int height, int32_t *labels);

// Marks (1) the pixels of the mask that are connected with a point through the mask; the others
// become 0. Points outside the mask mark nothing. mask: [H,W], in place. -1 when out of memory.
int components_keep(uint8_t *mask, int width, int height, const PixelPoint *points, int count);

#endif
