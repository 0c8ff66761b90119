// SPDX-License-Identifier: MIT
// Condition images of the prompt branch, on the host: Q [H,W,P] in 0..1, one channel per prompted
// instance, row-major with the channel fastest. Unused channels stay 0.
#ifndef NN_PROMPT_MAP_H
#define NN_PROMPT_MAP_H

#include <stdint.h>

// Where the image lies in a padded map: rows 0..height-1 and columns 0..width-1; the rest is
// padding, which stays 0 and does not count when points and widths are measured.
typedef struct {
    int64_t height, width;               // of the image
    int64_t padded_height, padded_width; // of the map, at least as large
    int64_t channels;                    // P
} PromptMapSize;

// A point in pixels of the image: x to the right, y down, the centre of the first pixel at (0, 0).
typedef struct {
    double x, y;
} PromptPoint;

// sigma that is used in prompting, in units of (W-1) and (H-1).
#define PROMPT_SIGMA 0.01

// Sets one channel to max over the points of exp(-(x-px)^2 / (2 (sigma (W-1))^2) - the same in y),
// W and H those of the image. Other channels stay as they are. A side of one pixel counts as two.
// Fails when the channel or a size is impossible, sigma is not above 0, or there is no point.
int prompt_map_gaussian(const PromptMapSize *size, const PromptPoint *points, int64_t count,
                        double sigma, int64_t channel, float *map);

// Sets one channel from a confidence map [rows,columns] of any size, resized bilinearly (half-pixel
// centres, edges clamped) to the image and clamped to 0..1; NaN counts as 0.
int prompt_map_confidence(const PromptMapSize *size, const float *confidence, int64_t rows,
                          int64_t columns, int64_t channel, float *map);

#endif
