// SPDX-License-Identifier: MIT
// Trivial systems. See trivial.h.
#include "eval/trivial.h"

#include "base/memory.h"
#include "eval/components.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t pixel_count(const Image *image) {
    return (size_t)image->width * (size_t)image->height;
}

static int disc_predict(const TrivialInput *input, const TrivialOptions *options, uint8_t *mask) {
    const int width = input->image->width, height = input->image->height;
    const double radius = options->disc_radius * sqrt((double)width * height);
    memset(mask, 0, pixel_count(input->image));
    for (int i = 0; i < input->point_count; i++)
        for (int y = 0; y < height; y++)
            for (int x = 0; x < width; x++) {
                double dx = x - input->points[i].x, dy = y - input->points[i].y;
                if (dx * dx + dy * dy <= radius * radius)
                    mask[(size_t)y * (size_t)width + (size_t)x] = 1;
            }
    return 0;
}

// Adds to the mask what one prompt floods. similar: work space [H,W].
static int flood_point(const Image *image, PixelPoint point, double tolerance, uint8_t *similar,
                       uint8_t *mask) {
    const size_t start = (size_t)point.y * (size_t)image->width + (size_t)point.x;
    const uint8_t *seed = image->pixels + 3 * start;
    for (size_t i = 0; i < pixel_count(image); i++) {
        const uint8_t *pixel = image->pixels + 3 * i;
        int r = pixel[0] - seed[0], g = pixel[1] - seed[1], b = pixel[2] - seed[2];
        similar[i] = r * r + g * g + b * b <= tolerance * tolerance;
    }
    if (components_keep(similar, image->width, image->height, &point, 1)) return -1;
    for (size_t i = 0; i < pixel_count(image); i++) mask[i] |= similar[i];
    return 0;
}

static int flood_predict(const TrivialInput *input, const TrivialOptions *options, uint8_t *mask) {
    uint8_t *similar = array_new(pixel_count(input->image), 1);
    if (!similar) return -1;
    memset(mask, 0, pixel_count(input->image));
    int result = 0;
    for (int i = 0; i < input->point_count && result == 0; i++)
        result =
            flood_point(input->image, input->points[i], options->flood_tolerance, similar, mask);
    free(similar);
    return result;
}

static int whole_predict(const TrivialInput *input, const TrivialOptions *options, uint8_t *mask) {
    (void)options;
    memset(mask, 1, pixel_count(input->image));
    return 0;
}

static int oracle_predict(const TrivialInput *input, const TrivialOptions *options, uint8_t *mask) {
    (void)options;
    for (size_t i = 0; i < pixel_count(input->image); i++) mask[i] = input->truth[i] != 0;
    return 0;
}

typedef int Predict(const TrivialInput *input, const TrivialOptions *options, uint8_t *mask);

static Predict *const rows[TRIVIAL_COUNT] = {
#define TRIVIAL_ROW(name) name##_predict,
    TRIVIAL_LIST(TRIVIAL_ROW)
#undef TRIVIAL_ROW
};

TrivialOptions trivial_options(void) {
    return (TrivialOptions){.disc_radius = 0.125, .flood_tolerance = 30};
}

int trivial_predict(TrivialRow row, const TrivialInput *input, const TrivialOptions *options,
                    uint8_t *mask) {
    const Image *image = input->image;
    if (points_check(input->points, input->point_count, image->width, image->height)) return -1;
    return rows[row](input, options, mask);
}
