// SPDX-License-Identifier: MIT
// Distance transform in two passes, all in integers: along columns the distance to the nearest
// outside pixel, then along each row the lower envelope of the parabolas (x - i)^2 + g_i^2. See
// distance_transform.h.
#include "eval/distance_transform.h"

#include "base/memory.h"

#include <stdlib.h>

// Row-wise work space. Sites 0 and width + 1 are the border columns, pixel x is site x + 1.
typedef struct {
    int32_t *height; // g of each site
    int32_t *site;   // sites of the envelope, left to right
    int32_t *start;  // first site that each of them serves
} Envelope;

static void column_distances(const uint8_t *mask, int width, int height, int32_t *distance) {
    const size_t w = (size_t)width;
    for (size_t x = 0; x < w; x++) {
        int32_t run = 0;
        for (size_t y = 0; y < (size_t)height; y++) {
            run = mask[y * w + x] ? run + 1 : 0;
            distance[y * w + x] = run;
        }
        run = 0;
        for (size_t y = (size_t)height; y-- > 0;) {
            run = mask[y * w + x] ? run + 1 : 0;
            if (run < distance[y * w + x]) distance[y * w + x] = run;
        }
    }
}

static int64_t parabola(const Envelope *e, int64_t x, int32_t site) {
    int64_t g = e->height[site];
    return (x - site) * (x - site) + g * g;
}

// The last x at which site a is not worse than site b > a; a is not worse at some x >= 0.
static int64_t last_of(const Envelope *e, int32_t a, int32_t b) {
    int64_t ga = e->height[a], gb = e->height[b];
    int64_t twice = (int64_t)b * b - (int64_t)a * a + gb * gb - ga * ga;
    return twice / (2 * (int64_t)(b - a));
}

static void row_distances(Envelope *e, int width, int32_t *row) {
    const int32_t sites = width + 2;
    e->height[0] = e->height[sites - 1] = 0;
    for (int x = 0; x < width; x++) e->height[x + 1] = row[x];

    int32_t top = 0;
    e->site[0] = 0;
    e->start[0] = 0;
    for (int32_t s = 1; s < sites; s++) {
        while (top >= 0 && parabola(e, e->start[top], e->site[top]) > parabola(e, e->start[top], s))
            top--;
        int64_t begin = top < 0 ? 0 : last_of(e, e->site[top], s) + 1;
        if (begin >= sites) continue;
        top++;
        e->site[top] = s;
        e->start[top] = (int32_t)begin;
    }
    for (int32_t x = width; x > 0; x--) {
        while (e->start[top] > x) top--;
        row[x - 1] = (int32_t)parabola(e, x, e->site[top]);
    }
}

int distance_transform(const uint8_t *mask, int width, int height, int32_t *squared) {
    const size_t sites = (size_t)width + 2;
    int32_t *work = array_new(3 * sites, sizeof *work);
    if (!work) return -1;
    Envelope envelope = {work, work + sites, work + 2 * sites};
    column_distances(mask, width, height, squared);
    for (size_t y = 0; y < (size_t)height; y++)
        row_distances(&envelope, width, squared + y * (size_t)width);
    free(work);
    return 0;
}
