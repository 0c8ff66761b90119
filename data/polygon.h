// SPDX-License-Identifier: MIT
// Polygons to pixels exactly as the COCO tools do it; a plain scan-line fill gives other masks.
#ifndef DATA_POLYGON_H
#define DATA_POLYGON_H

#include <stddef.h>
#include <stdint.h>

// Sets mask [height, width] to 1 inside the polygon (even-odd) and leaves the other pixels as they
// are, so that several polygons of one object unite. xy [points, 2] are corners in pixels, pixel
// (x, y) covering [x, x+1) x [y, y+1); they may lie outside the mask. Fails with fewer than 3
// points, on coordinates that are not finite or beyond +-2^20, and on outlines longer than 2^24
// pixels. Source: datasets.md 2.7.
int polygon_paint(const double *xy, size_t points, int width, int height, uint8_t *mask);

#endif
