// SPDX-License-Identifier: MIT
// Point prompting on a feature image. See posthoc.h.
#include "eval/posthoc.h"

#include "base/memory.h"
#include "eval/components.h"
#include "eval/gaussian_query.h"
#include "eval/joint_bilateral.h"

#include <stdlib.h>

PosthocOptions posthoc_options(void) {
    return (PosthocOptions){
        .sigma = GAUSSIAN_QUERY_SIGMA, .form = SIMILARITY_PAPER, .threshold = 3};
}

static int point_map(const Image *features, PixelPoint point, const PosthocOptions *options,
                     uint8_t *map) {
    double query[3];
    if (gaussian_query(features, &point, 1, options->sigma, query)) return -1;
    similarity_map(features, query, options->form, map);
    return joint_bilateral(features, map, map);
}

int posthoc_map(const Image *features, const PixelPoint *points, int count,
                const PosthocOptions *options, uint8_t *map) {
    if (points_check(points, count, features->width, features->height)) return -1;
    if (point_map(features, points[0], options, map)) return -1;
    if (count == 1) return 0;
    const size_t pixels = (size_t)features->width * (size_t)features->height;
    uint8_t *next = array_new(pixels, 1);
    if (!next) return -1;
    int result = 0;
    for (int i = 1; i < count && result == 0; i++) {
        result = point_map(features, points[i], options, next);
        for (size_t p = 0; p < pixels && result == 0; p++)
            if (next[p] > map[p]) map[p] = next[p];
    }
    free(next);
    return result;
}

int posthoc_threshold(uint8_t *map, int width, int height, const PixelPoint *points, int count,
                      const PosthocOptions *options) {
    const size_t pixels = (size_t)width * (size_t)height;
    for (size_t i = 0; i < pixels; i++) map[i] = map[i] > options->threshold;
    return options->component ? components_keep(map, width, height, points, count) : 0;
}

int posthoc_mask(const Image *features, const PixelPoint *points, int count,
                 const PosthocOptions *options, uint8_t *mask) {
    if (posthoc_map(features, points, count, options, mask)) return -1;
    return posthoc_threshold(mask, features->width, features->height, points, count, options);
}
