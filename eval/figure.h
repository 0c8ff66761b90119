// SPDX-License-Identifier: MIT
// Pictures for people: masks and prompts drawn on images, and images tiled with captions.
// All images here are RGB; whatever lies outside an image is clipped.
#ifndef EVAL_FIGURE_H
#define EVAL_FIGURE_H

#include "data/image.h"
#include "eval/point.h"

typedef struct {
    uint8_t r, g, b;
} Color;

// Fills the rectangle with its upper left corner at x, y.
void figure_fill(Image *image, int x, int y, int width, int height, Color color);

// Writes one line of text, its upper left corner at x, y. Glyphs are 5x7 pixels in cells of 6,
// each pixel a square of `scale`. Characters that are not printable ASCII become '?'.
void figure_text(Image *image, int x, int y, int scale, Color color, const char *text);

// Tints the mask (non-zero pixels of [H,W]) with this opacity (0..1) and draws its outline, the
// pixels with a 4-neighbour outside the mask, in the full color.
void figure_mask(Image *image, const uint8_t *mask, Color color, double opacity);

// A disc of this radius in pixels with a black rim of one pixel more.
void figure_point(Image *image, PixelPoint point, int radius, Color color);

typedef struct {
    const Image *image;  // NULL: an empty cell
    const char *caption; // lines parted by '\n', above the image; NULL: none
} FigureTile;

// Tiles images row by row on white. Each is scaled into a square of `side` pixels, its proportions
// kept (nearest pixel when enlarged, antialiased when reduced); a row is as high as its highest.
// Caption lines too long for the cell end in "..". Makes *out, which the caller frees.
// Fails unless count, columns and side are positive and all images RGB, or when *out would have a
// side above 65535 pixels.
int figure_grid(const FigureTile *tiles, int count, int columns, int side, Image *out);

#endif
