// SPDX-License-Identifier: MIT
// What the prompt branch is shown of a prompted object: the points themselves, a confidence map
// that the frozen model draws from them, or both.
#ifndef EVAL_CONDITION_H
#define EVAL_CONDITION_H

#include "data/image.h"
#include "nn/prompt_map.h"

typedef enum {
    CONDITION_GAUSSIAN,   // a Gaussian at every point
    CONDITION_SIMILARITY, // how alike the unprompted feature image is to its colour at the points
    CONDITION_BOTH        // one channel each, in this order
} ConditionEncoding;

enum { CONDITION_MOST_POINTS = 64 }; // of an object: the range of the training key prompt.points

// The names, in the order of the enum.
extern const char *const condition_names[3];

// Channels per object: 1, 1, 2.
int condition_channels(ConditionEncoding encoding);

// Writes the channels of one object in the map [H,W,P] of `size`.
// points: in pixels of the image (before padding), inside it; sigma: of the Gaussian, in sides.
// features: RGB [height,width], the 8-bit feature image of the model without prompts at the same
// size; not looked at for CONDITION_GAUSSIAN. The confidence is similarity_confidence of the
// Gaussian query (sigma GAUSSIAN_QUERY_SIGMA) at the points, rounded to pixels.
// Fails when the channels do not fit, there is no point or too many, or one lies outside.
int condition_write(ConditionEncoding encoding, const PromptMapSize *size,
                    const PromptPoint *points, int count, double sigma, const Image *features,
                    int64_t object, float *map);

#endif
