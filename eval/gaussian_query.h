// SPDX-License-Identifier: MIT
// The colour a prompt asks for: the mean of a feature image under a Gaussian at the point.
#ifndef EVAL_GAUSSIAN_QUERY_H
#define EVAL_GAUSSIAN_QUERY_H

#include "data/image.h"
#include "eval/point.h"

// Standard deviation of the released prompting script, as a share of the image's sides.
#define GAUSSIAN_QUERY_SIGMA 0.01

// query[c] = sum g F[c] / (sum g + 1e-6) over all pixels of the feature image F.
// g = exp(-((x-px)/(W-1))^2 + ((y-py)/(H-1))^2) / (2 sigma^2)); a side of one pixel adds nothing to
// the distance. Several points, all of one object: g is the greatest of theirs at each pixel.
// features: RGB; sigma: in normalised units, > 0; query: [3], 0..255.
// Fails unless there are points, all inside the image.
// Source: gen2seg's point prompting. Like there, g is rounded to multiples of 2^-25.
int gaussian_query(const Image *features, const PixelPoint *points, int count, double sigma,
                   double query[3]);

#endif
