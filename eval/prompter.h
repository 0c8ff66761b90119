// SPDX-License-Identifier: MIT
// Where to click: from ground truth (and a prediction) to prompts. Each function returns 1 and a
// point, 0 when there is none (an empty mask), -1 and an error when out of memory. Masks: [H,W].
#ifndef EVAL_PROMPTER_H
#define EVAL_PROMPTER_H

#include "eval/point.h"

#include <stdint.h>

// The interior-most pixel: the one farthest from all pixels outside the mask and from the border
// of the image; among equals the first by rows.
int prompt_center(const uint8_t *mask, int width, int height, PixelPoint *point);

// A random pixel among those whose eight neighbours are in the mask too; among all of the mask when
// it has none. u: uniform in [0,1), chooses by rows.
int prompt_random(const uint8_t *mask, int width, int height, double u, PixelPoint *point);

// The next click on an object: the interior-most pixel of the largest 8-connected part of the truth
// that the prediction has not covered (of equals the one that begins first by rows). Pixels where
// ignore (may be NULL) is set are left out.
int prompt_next(const uint8_t *truth, const uint8_t *prediction, const uint8_t *ignore, int width,
                int height, PixelPoint *point);

#endif
