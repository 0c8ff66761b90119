// SPDX-License-Identifier: MIT
// Prompts inside the image. See point.h.
#include "eval/point.h"

#include "base/error.h"

int points_check(const PixelPoint *points, int count, int width, int height) {
    if (count < 1) return error_int("prompt: needs at least one point, found %d", count);
    for (int i = 0; i < count; i++)
        if (points[i].x < 0 || points[i].x >= width || points[i].y < 0 || points[i].y >= height)
            return error_int("prompt: point %d,%d lies outside the image of %d x %d pixels",
                             points[i].x, points[i].y, width, height);
    return 0;
}
