// SPDX-License-Identifier: MIT
// The outline is drawn on a grid five times finer, column steps of it toggle the mask from a pixel
// on in column-major order. Everything rounds as the COCO tools round; the file must be compiled
// without contraction of a*b+c, which changes masks.
#include "data/polygon.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static const double max_coordinate = 1 << 20;
static const int64_t max_outline = INT64_C(5) << 24; // in fine steps

typedef struct {
    int64_t x, y; // on the fine grid
} Point;

typedef struct {
    int64_t width, height;
    Point last; // the point emitted before, once there is one
    int started;
    uint32_t *toggles; // [count], column-major pixel positions
    size_t count, capacity;
} Outline;

static int record(Outline *outline, int64_t position) {
    if (array_grow(&outline->toggles, &outline->capacity, outline->count, sizeof *outline->toggles))
        return -1;
    outline->toggles[outline->count++] = (uint32_t)position;
    return 0;
}

static int64_t clamp(int64_t value, int64_t high) {
    return value < 0 ? 0 : value > high ? high : value;
}

// Takes the next point of the outline; a step to another fine column may be a toggle.
static int emit(Outline *outline, Point point) {
    const Point last = outline->last;
    outline->last = point;
    if (!outline->started) {
        outline->started = 1;
        return 0;
    }
    if (point.x == last.x) return 0;
    const int64_t column = point.x < last.x ? point.x : point.x - 1;
    if (column < 2 || (column - 2) % 5 != 0) return 0;
    const int64_t x = (column - 2) / 5;
    if (x >= outline->width) return 0;
    const int64_t lower = point.y < last.y ? point.y : last.y;
    const int64_t y = clamp((int64_t)ceil((double)(lower - 2) / 5.0), outline->height);
    return record(outline, x * outline->height + y);
}

// The coordinate across the longer direction, at `step` from the end where that direction starts.
static int64_t along(int64_t start, int64_t end, int64_t steps, int64_t step) {
    const double slope = (double)(end - start) / (double)steps;
    return (int64_t)((double)start + slope * (double)step + 0.5);
}

static int draw_edge(Outline *outline, Point from, Point to) {
    const int64_t dx = llabs(to.x - from.x), dy = llabs(to.y - from.y);
    const int flat = dx >= dy;
    const int64_t steps = flat ? dx : dy;
    if (steps == 0) return 0;
    // Measured from the end with the smaller coordinate, emitted in the edge's direction.
    const int backward = flat ? from.x > to.x : from.y > to.y;
    const Point low = backward ? to : from, high = backward ? from : to;
    for (int64_t i = 0; i <= steps; i++) {
        const int64_t step = backward ? steps - i : i;
        const Point point = flat ? (Point){low.x + step, along(low.y, high.y, steps, step)}
                                 : (Point){along(low.x, high.x, steps, step), low.y + step};
        if (emit(outline, point)) return -1;
    }
    return 0;
}

static Point to_fine_grid(const double *xy) {
    return (Point){(int64_t)(5.0 * xy[0] + 0.5), (int64_t)(5.0 * xy[1] + 0.5)};
}

static int draw_outline(Outline *outline, const double *xy, size_t points) {
    int64_t length = 0;
    for (size_t i = 0; i < points; i++) {
        const Point from = to_fine_grid(xy + 2 * i);
        const Point to = to_fine_grid(xy + 2 * ((i + 1) % points));
        length += llabs(to.x - from.x) + llabs(to.y - from.y);
        if (length > max_outline)
            return error_int("polygon with an outline of more than %lld pixels",
                             (long long)(max_outline / 5));
        if (draw_edge(outline, from, to)) return -1;
    }
    return 0;
}

static int compare_positions(const void *left, const void *right) {
    const uint32_t a = *(const uint32_t *)left, b = *(const uint32_t *)right;
    return (a > b) - (a < b);
}

static void fill_between_toggles(const Outline *outline, uint8_t *mask) {
    const size_t width = (size_t)outline->width, height = (size_t)outline->height;
    for (size_t i = 0; i < outline->count; i += 2) {
        const size_t end = i + 1 < outline->count ? outline->toggles[i + 1] : width * height;
        for (size_t at = outline->toggles[i]; at < end; at++)
            mask[at % height * width + at / height] = 1;
    }
}

int polygon_paint(const double *xy, size_t points, int width, int height, uint8_t *mask) {
    if (points < 3) return error_int("polygon of %zu points, expected 3 or more", points);
    for (size_t i = 0; i < 2 * points; i++)
        if (!(fabs(xy[i]) <= max_coordinate))
            return error_int("polygon with the coordinate %g, expected at most +-%g", xy[i],
                             max_coordinate);
    Outline outline = {.width = width, .height = height};
    int status = draw_outline(&outline, xy, points);
    if (status == 0 && outline.count > 0) {
        qsort(outline.toggles, outline.count, sizeof *outline.toggles, compare_positions);
        fill_between_toggles(&outline, mask);
    }
    free(outline.toggles);
    return status;
}
