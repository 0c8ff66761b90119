// SPDX-License-Identifier: MIT
// Similarity to a colour. s falls with the distance, so its extremes are found from those of the
// distance and no float map is kept. See similarity.h.
#include "eval/similarity.h"

#include <math.h>
#include <stddef.h>

// A smaller image is done before the other threads have started.
enum { PARALLEL_PIXELS = 1 << 16 };

static float distance(const uint8_t *pixel, const float query[3]) {
    float r = (float)pixel[0] - query[0];
    float g = (float)pixel[1] - query[1];
    float b = (float)pixel[2] - query[2];
    return sqrtf(r * r + g * g + b * b);
}

static float similarity(float d, SimilarityForm form) {
    if (form == SIMILARITY_CODE) return 1.0f / (d + 1e-6f);
    return d > 1.0f ? 1.0f / d : 1.0f;
}

void similarity_map(const Image *features, const double query[3], SimilarityForm form,
                    uint8_t *map) {
    const float q[3] = {(float)query[0], (float)query[1], (float)query[2]};
    const ptrdiff_t count = (ptrdiff_t)features->width * features->height;
    float nearest = INFINITY, farthest = 0;
    for (ptrdiff_t i = 0; i < count; i++) {
        float d = distance(features->pixels + 3 * i, q);
        nearest = d < nearest ? d : nearest;
        farthest = d > farthest ? d : farthest;
    }
    const float low = similarity(farthest, form);
    const float range = similarity(nearest, form) - low + 1e-6f;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_PIXELS)
    for (ptrdiff_t i = 0; i < count; i++) {
        float s = similarity(distance(features->pixels + 3 * i, q), form);
        map[i] = (uint8_t)fminf(255.0f * ((s - low) / range), 255.0f);
    }
}

void similarity_confidence(const Image *features, const double query[3], float *confidence) {
    const float q[3] = {(float)query[0], (float)query[1], (float)query[2]};
    const ptrdiff_t count = (ptrdiff_t)features->width * features->height;
#pragma omp parallel for schedule(static) if (count >= PARALLEL_PIXELS)
    for (ptrdiff_t i = 0; i < count; i++)
        confidence[i] = 1.0f / (1.0f + distance(features->pixels + 3 * i, q) / 32.0f);
}
