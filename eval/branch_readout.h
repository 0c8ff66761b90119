// SPDX-License-Identifier: MIT
// Prompt2Seg's read-out: from the feature image of a prompted run to a mask.
#ifndef EVAL_BRANCH_READOUT_H
#define EVAL_BRANCH_READOUT_H

#include "data/image.h"
#include "eval/point.h"

// A pixel is in the mask when its colour F is closer to the query q than to black:
// |F - q| < |F|. q is the Gaussian query over all points of the object (gaussian_query).
// features: RGB, the 8-bit feature image made with these prompts; sigma: as for the query;
// mask: [H,W], 0/1. Fails unless there are points, all inside the image.
int branch_readout(const Image *features, const PixelPoint *points, int count, double sigma,
                   uint8_t *mask);

#endif
