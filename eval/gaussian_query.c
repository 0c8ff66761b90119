// SPDX-License-Identifier: MIT
// Gaussian mean colour at a prompt. Only the box around the points is visited, outside of which
// every weight rounds to zero. See gaussian_query.h.
#include "eval/gaussian_query.h"

#include "base/error.h"

#include <math.h>
#include <stddef.h>

// exp(-18.1) < 2^-26, and such a weight rounds to zero.
#define EXPONENT_LIMIT 18.1

typedef struct {
    int x0, y0, x1, y1; // inclusive
} Box;

static int reach(double sigma, int side) {
    double pixels = ceil(sqrt(2 * EXPONENT_LIMIT) * sigma * (side - 1));
    return pixels < side ? (int)pixels : side;
}

// The smallest box that holds every pixel with a weight above zero.
static Box support(const PixelPoint *points, int count, double sigma, int width, int height) {
    Box box = {width - 1, height - 1, 0, 0};
    int rx = reach(sigma, width), ry = reach(sigma, height);
    for (int i = 0; i < count; i++) {
        int x0 = points[i].x - rx, x1 = points[i].x + rx;
        int y0 = points[i].y - ry, y1 = points[i].y + ry;
        if (x0 < box.x0) box.x0 = x0 < 0 ? 0 : x0;
        if (y0 < box.y0) box.y0 = y0 < 0 ? 0 : y0;
        if (x1 > box.x1) box.x1 = x1 >= width ? width - 1 : x1;
        if (y1 > box.y1) box.y1 = y1 >= height ? height - 1 : y1;
    }
    return box;
}

// The released script stores the map in float32 as 2g - 1 and maps it back, which rounds g.
static double rounded(double g) {
    float stored = 2.0f * (float)g - 1.0f;
    return (double)((stored + 1.0f) * 0.5f);
}

static double weight(const PixelPoint *points, int count, double sx, double sy, int x, int y) {
    double nearest = INFINITY;
    for (int i = 0; i < count; i++) {
        double dx = (x - points[i].x) * sx, dy = (y - points[i].y) * sy;
        nearest = fmin(nearest, dx * dx + dy * dy);
    }
    return nearest > EXPONENT_LIMIT ? 0 : rounded(exp(-nearest));
}

int gaussian_query(const Image *features, const PixelPoint *points, int count, double sigma,
                   double query[3]) {
    int width = features->width, height = features->height;
    if (features->channels != 3)
        return error_int("gaussian_query: needs 3 channels, found %d", features->channels);
    if (!(sigma > 0)) return error_int("gaussian_query: sigma must be above 0, found %g", sigma);
    if (points_check(points, count, width, height)) return -1;

    double scale = 1 / (sqrt(2) * sigma);
    double sx = width > 1 ? scale / (width - 1) : 0;
    double sy = height > 1 ? scale / (height - 1) : 0;
    Box box = support(points, count, sigma, width, height);
    double total = 0, sum[3] = {0};
    for (int y = box.y0; y <= box.y1; y++) {
        const uint8_t *row = features->pixels + (size_t)y * (size_t)width * 3;
        for (int x = box.x0; x <= box.x1; x++) {
            double g = weight(points, count, sx, sy, x, y);
            total += g;
            for (int c = 0; c < 3; c++) sum[c] += g * row[3 * x + c];
        }
    }
    for (int c = 0; c < 3; c++) query[c] = sum[c] / (total + 1e-6);
    return 0;
}
