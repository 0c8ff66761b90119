// SPDX-License-Identifier: MIT
// Thin edges of a feature image, for edge benchmarks: Sobel gradients and non-maximum suppression.
#ifndef EVAL_EDGES_H
#define EVAL_EDGES_H

#include "data/image.h"

// strength [H,W]: 0 where there is no edge, otherwise the length of the 3 x 3 Sobel gradient over
// the greatest one of the image, 0..1. The gradient is that of the channel where it is longest (of
// equals the first); pixels around the image repeat its border. A pixel is an edge if no neighbour
// in its gradient's direction, one of four, has a longer gradient: towards the left and above it
// must be shorter, to the right and below not longer, on diagonals shorter both ways. Where
// strength is above 0 is where OpenCV's Canny finds an edge with both thresholds 0 and exact
// lengths. image: 1 or 3 channels. Fails only when out of memory. Source: method.md 3.7; Canny
// 1986.
int edges_find(const Image *image, float *strength);

#endif
