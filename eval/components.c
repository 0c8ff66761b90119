// SPDX-License-Identifier: MIT
// Components by flooding from each unlabelled pixel with a stack of their own. See components.h.
#include "eval/components.h"

#include "base/memory.h"

#include <stdlib.h>

typedef struct {
    const uint8_t *mask;
    int32_t *labels;
    int width, height;
    uint32_t *stack; // pixels whose neighbours are still to be seen; each enters once
} Flood;

static void flood(Flood *f, uint32_t start, int32_t label) {
    size_t depth = 0;
    f->labels[start] = label;
    f->stack[depth++] = start;
    while (depth > 0) {
        uint32_t at = f->stack[--depth];
        int x = (int)(at % (uint32_t)f->width), y = (int)(at / (uint32_t)f->width);
        int x0 = x > 0 ? x - 1 : 0, x1 = x + 1 < f->width ? x + 1 : x;
        int y0 = y > 0 ? y - 1 : 0, y1 = y + 1 < f->height ? y + 1 : y;
        for (int v = y0; v <= y1; v++)
            for (int u = x0; u <= x1; u++) {
                uint32_t next = (uint32_t)v * (uint32_t)f->width + (uint32_t)u;
                if (!f->mask[next] || f->labels[next]) continue;
                f->labels[next] = label;
                f->stack[depth++] = next;
            }
    }
}

int components_label(const uint8_t *mask, int width, int height, int32_t *labels) {
    const size_t count = (size_t)width * (size_t)height;
    Flood f = {mask, labels, width, height, array_new(count, sizeof *f.stack)};
    if (!f.stack) return -1;
    for (size_t i = 0; i < count; i++) labels[i] = 0;
    int32_t found = 0;
    for (size_t i = 0; i < count; i++)
        if (mask[i] && !labels[i]) flood(&f, (uint32_t)i, ++found);
    free(f.stack);
    return found;
}

int components_keep(uint8_t *mask, int width, int height, const PixelPoint *points, int count) {
    const size_t pixels = (size_t)width * (size_t)height;
    Flood f = {mask, array_new(pixels, sizeof *f.labels), width, height, NULL};
    f.stack = f.labels ? array_new(pixels, sizeof *f.stack) : NULL;
    if (f.stack) {
        for (int i = 0; i < count; i++) {
            uint32_t at = (uint32_t)points[i].y * (uint32_t)width + (uint32_t)points[i].x;
            if (mask[at] && !f.labels[at]) flood(&f, at, 1);
        }
        for (size_t i = 0; i < pixels; i++) mask[i] = f.labels[i] != 0;
    }
    int result = f.stack ? 0 : -1;
    free(f.labels);
    free(f.stack);
    return result;
}
