// SPDX-License-Identifier: MIT
// How alike every pixel of a feature image is to a query colour, as an 8-bit map.
#ifndef EVAL_SIMILARITY_H
#define EVAL_SIMILARITY_H

#include "data/image.h"

typedef enum {
    SIMILARITY_PAPER, // s = min(1, 1/d)
    SIMILARITY_CODE   // s = 1/(d + 1e-6), no clamp: the closest pixel sets the scale
} SimilarityForm;

// map = trunc(255 (s - min s) / (max s - min s + 1e-6)), min and max over the image, where d is the
// Euclidean distance of a pixel's RGB to the query. An image of one colour gives zeros.
// features: RGB; query: [3], 0..255; map: [H,W]. Arithmetic in float32, as the released script.
// Source: gen2seg, eq. 7 (paper form) and its prompting script (code form).
void similarity_map(const Image *features, const double query[3], SimilarityForm form,
                    uint8_t *map);

// confidence = 1 / (1 + d/32): 1 at the query's colour, 1/2 at 32 levels from it. No extremes of
// the image enter, so that a map means the same on every image. confidence: [H,W].
void similarity_confidence(const Image *features, const double query[3], float *confidence);

#endif
