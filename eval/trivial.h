// SPDX-License-Identifier: MIT
// The rows that stand beside every system: what no network at all reaches with the same prompts.
#ifndef EVAL_TRIVIAL_H
#define EVAL_TRIVIAL_H

#include "data/image.h"
#include "eval/point.h"

#include <stdint.h>

typedef struct {
    const Image *image;       // RGB, the input image itself
    const PixelPoint *points; // the prompts of one object
    int point_count;
    const uint8_t *truth; // [H,W] its mask; only the oracle looks
} TrivialInput;

typedef struct {
    double disc_radius;     // as a share of sqrt(width * height): 0.125 = 8 pixels at 64x64
    double flood_tolerance; // greatest distance in RGB to the prompted pixel's colour
} TrivialOptions;

// disc   a disc around each prompt, blind to the image
// flood  what is 8-connected with a prompt through colours within the tolerance of its colour
// whole  every pixel
// oracle the truth
#define TRIVIAL_LIST(ROW) ROW(disc) ROW(flood) ROW(whole) ROW(oracle)

typedef enum {
#define TRIVIAL_ENUM(name) TRIVIAL_##name,
    TRIVIAL_LIST(TRIVIAL_ENUM)
#undef TRIVIAL_ENUM
        TRIVIAL_COUNT
} TrivialRow;

// Radius 0.125, tolerance 30.
TrivialOptions trivial_options(void);

// The row's mask. mask: [H,W], 0/1. Fails unless there are points, all inside the image.
int trivial_predict(TrivialRow row, const TrivialInput *input, const TrivialOptions *options,
                    uint8_t *mask);

#endif
