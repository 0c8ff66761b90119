// SPDX-License-Identifier: MIT
// A prompt: one pixel of an image, and the check that it lies inside.
#ifndef EVAL_POINT_H
#define EVAL_POINT_H

typedef struct {
    int x, y; // column and row, from 0
} PixelPoint;

// 0 when there is at least one point and all lie in width x height; otherwise -1 and an error that
// names the first that does not.
int points_check(const PixelPoint *points, int count, int width, int height);

#endif
