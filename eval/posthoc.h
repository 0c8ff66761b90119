// SPDX-License-Identifier: MIT
// gen2seg's point prompting after the fact: from a feature image and points to a mask, without the
// network. Gaussian query, similarity, joint bilateral filter, threshold.
#ifndef EVAL_POSTHOC_H
#define EVAL_POSTHOC_H

#include "data/image.h"
#include "eval/point.h"
#include "eval/similarity.h"

#include <stdbool.h>

typedef struct {
    double sigma;        // of the query, in normalised units
    SimilarityForm form; // which similarity
    int threshold;       // a pixel is in the mask when its filtered value is above, 0..255
    bool component;      // keep only what is 8-connected with a prompt ("+cc")
} PosthocOptions;

// Sigma 0.01, the paper's similarity, threshold 3 (so u8 >= 4), no component rule.
PosthocOptions posthoc_options(void);

// The filtered similarity map; with several points the greatest of their maps at each pixel.
// features: RGB, the 8-bit feature image at image size; map: [H,W].
// Fails unless there are points, all inside the image.
int posthoc_map(const Image *features, const PixelPoint *points, int count,
                const PosthocOptions *options, uint8_t *map);

// The mask: the map above the threshold; with `component`, what of it is connected with a prompt
// (nothing when no prompt lies in it). mask: [H,W], 0/1.
int posthoc_mask(const Image *features, const PixelPoint *points, int count,
                 const PosthocOptions *options, uint8_t *mask);

// The second half of posthoc_mask, for who has the map: in place, [H,W].
int posthoc_threshold(uint8_t *map, int width, int height, const PixelPoint *points, int count,
                      const PosthocOptions *options);

#endif
