// SPDX-License-Identifier: MIT
// Sobel and non-maximum suppression, in integers. See edges.h.
#include "eval/edges.h"

#include "base/memory.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct {
    int32_t dx, dy, square; // at most 1020, 1020, their squares' sum
} Gradient;

typedef struct {
    const Image *image;
    Gradient *gradients; // [H,W]
} Field;

static int clamp(int value, int size) {
    return value < 0 ? 0 : value < size ? value : size - 1;
}

static int pixel(const Image *image, int x, int y, int channel) {
    const size_t at =
        (size_t)clamp(y, image->height) * (size_t)image->width + (size_t)clamp(x, image->width);
    return image->pixels[at * (size_t)image->channels + (size_t)channel];
}

static Gradient sobel(const Image *image, int x, int y, int channel) {
    int dx = 0, dy = 0;
    for (int i = -1; i <= 1; i++) {
        const int weight = i == 0 ? 2 : 1;
        dx += weight * (pixel(image, x + 1, y + i, channel) - pixel(image, x - 1, y + i, channel));
        dy += weight * (pixel(image, x + i, y + 1, channel) - pixel(image, x + i, y - 1, channel));
    }
    return (Gradient){dx, dy, dx * dx + dy * dy};
}

static Gradient strongest(const Image *image, int x, int y) {
    Gradient best = sobel(image, x, y, 0);
    for (int channel = 1; channel < image->channels; channel++) {
        const Gradient other = sobel(image, x, y, channel);
        if (other.square > best.square) best = other;
    }
    return best;
}

// The squared length at a pixel, 0 outside the image.
static int32_t square_at(const Field *field, int x, int y) {
    const Image *image = field->image;
    if (x < 0 || y < 0 || x >= image->width || y >= image->height) return 0;
    return field->gradients[(size_t)y * (size_t)image->width + (size_t)x].square;
}

// The tangent of 22.5 degrees to 15 bits parts the directions; that of 67.5 is larger by 2.
static bool is_edge(const Field *field, int x, int y) {
    const Gradient g = field->gradients[(size_t)y * (size_t)field->image->width + (size_t)x];
    const int64_t across = abs(g.dx), down = (int64_t)abs(g.dy) << 15, low = across * 13573;
    if (g.square == 0) return false;
    if (down < low)
        return g.square > square_at(field, x - 1, y) && g.square >= square_at(field, x + 1, y);
    if (down > low + (across << 16))
        return g.square > square_at(field, x, y - 1) && g.square >= square_at(field, x, y + 1);
    const int side = (g.dx < 0) != (g.dy < 0) ? -1 : 1;
    return g.square > square_at(field, x - side, y - 1) &&
           g.square > square_at(field, x + side, y + 1);
}

int edges_find(const Image *image, float *strength) {
    const size_t width = (size_t)image->width, count = width * (size_t)image->height;
    Field field = {image, array_new(count, sizeof *field.gradients)};
    if (!field.gradients) return -1;
    int32_t largest = 1;
    for (size_t i = 0; i < count; i++) {
        field.gradients[i] = strongest(image, (int)(i % width), (int)(i / width));
        if (field.gradients[i].square > largest) largest = field.gradients[i].square;
    }
    const double scale = 1 / sqrt((double)largest);
    for (size_t i = 0; i < count; i++)
        strength[i] = is_edge(&field, (int)(i % width), (int)(i / width))
                          ? (float)(sqrt((double)field.gradients[i].square) * scale)
                          : 0;
    free(field.gradients);
    return 0;
}
