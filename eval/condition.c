// SPDX-License-Identifier: MIT
// See condition.h.
#include "eval/condition.h"

#include "base/error.h"
#include "base/memory.h"
#include "eval/gaussian_query.h"
#include "eval/similarity.h"

#include <math.h>
#include <stdlib.h>

const char *const condition_names[] = {"gaussian", "similarity", "both"};

int condition_channels(ConditionEncoding encoding) {
    return encoding == CONDITION_BOTH ? 2 : 1;
}

static int write_similarity(const PromptMapSize *size, const PromptPoint *points, int count,
                            const Image *features, int64_t channel, float *map) {
    PixelPoint pixels[CONDITION_MOST_POINTS];
    double query[3];
    if (count > CONDITION_MOST_POINTS)
        return error_int("%d points, expected at most %d", count, (int)CONDITION_MOST_POINTS);
    if (features->width != size->width || features->height != size->height)
        return error_int("a feature image of %dx%d, expected %lldx%lld", features->width,
                         features->height, (long long)size->width, (long long)size->height);
    for (int i = 0; i < count; i++)
        pixels[i] = (PixelPoint){(int)lround(points[i].x), (int)lround(points[i].y)};
    if (gaussian_query(features, pixels, count, GAUSSIAN_QUERY_SIGMA, query) != 0) return -1;
    float *confidence = array_new((size_t)(size->width * size->height), sizeof *confidence);
    if (!confidence) return -1;
    similarity_confidence(features, query, confidence);
    const int result =
        prompt_map_confidence(size, confidence, size->height, size->width, channel, map);
    free(confidence);
    return result;
}

int condition_write(ConditionEncoding encoding, const PromptMapSize *size,
                    const PromptPoint *points, int count, double sigma, const Image *features,
                    int64_t object, float *map) {
    int64_t channel = object * condition_channels(encoding);
    if (encoding != CONDITION_SIMILARITY &&
        prompt_map_gaussian(size, points, count, sigma, channel++, map) != 0)
        return -1;
    if (encoding == CONDITION_GAUSSIAN) return 0;
    return write_similarity(size, points, count, features, channel, map);
}
