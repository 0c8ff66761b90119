// SPDX-License-Identifier: MIT
// Prompts from masks. See prompter.h.
#include "eval/prompter.h"

#include "base/memory.h"
#include "eval/components.h"
#include "eval/distance_transform.h"

#include <stdbool.h>
#include <stdlib.h>

static PixelPoint point_at(size_t index, int width) {
    return (PixelPoint){(int)(index % (size_t)width), (int)(index / (size_t)width)};
}

int prompt_center(const uint8_t *mask, int width, int height, PixelPoint *point) {
    const size_t count = (size_t)width * (size_t)height;
    int32_t *squared = array_new(count, sizeof *squared);
    if (!squared) return -1;
    int result = distance_transform(mask, width, height, squared);
    size_t best = 0;
    for (size_t i = 1; result == 0 && i < count; i++)
        if (squared[i] > squared[best]) best = i;
    if (result == 0 && squared[best] > 0) {
        *point = point_at(best, width);
        result = 1;
    }
    free(squared);
    return result;
}

static bool is_interior(const uint8_t *mask, int width, int height, size_t index) {
    PixelPoint p = point_at(index, width);
    if (p.x == 0 || p.y == 0 || p.x == width - 1 || p.y == height - 1) return false;
    for (int v = p.y - 1; v <= p.y + 1; v++)
        for (int u = p.x - 1; u <= p.x + 1; u++)
            if (!mask[(size_t)v * (size_t)width + (size_t)u]) return false;
    return true;
}

int prompt_random(const uint8_t *mask, int width, int height, double u, PixelPoint *point) {
    const size_t count = (size_t)width * (size_t)height;
    size_t set = 0, interior = 0;
    for (size_t i = 0; i < count; i++) {
        if (!mask[i]) continue;
        set++;
        interior += is_interior(mask, width, height, i);
    }
    if (set == 0) return 0;
    const size_t choices = interior ? interior : set;
    size_t chosen = (size_t)(u * (double)choices);
    if (chosen >= choices) chosen = choices - 1;
    for (size_t i = 0;; i++) {
        if (!mask[i] || (interior && !is_interior(mask, width, height, i))) continue;
        if (chosen-- > 0) continue;
        *point = point_at(i, width);
        return 1;
    }
}

// Leaves in the mask its largest component only. labels: work space [H,W].
static int keep_largest(uint8_t *mask, int width, int height, int32_t *labels) {
    const size_t count = (size_t)width * (size_t)height;
    int found = components_label(mask, width, height, labels);
    if (found <= 0) return found;
    size_t *sizes = array_new((size_t)found + 1, sizeof *sizes);
    if (!sizes) return -1;
    for (size_t i = 0; i < count; i++) sizes[labels[i]]++;
    int32_t largest = 1;
    for (int32_t label = 2; label <= found; label++)
        if (sizes[label] > sizes[largest]) largest = label;
    for (size_t i = 0; i < count; i++) mask[i] = labels[i] == largest;
    free(sizes);
    return found;
}

int prompt_next(const uint8_t *truth, const uint8_t *prediction, const uint8_t *ignore, int width,
                int height, PixelPoint *point) {
    const size_t count = (size_t)width * (size_t)height;
    uint8_t *missed = array_new(count, 1);
    int32_t *labels = missed ? array_new(count, sizeof *labels) : NULL;
    int result = labels ? 1 : -1;
    if (result > 0) {
        for (size_t i = 0; i < count; i++)
            missed[i] = truth[i] && !prediction[i] && !(ignore && ignore[i]);
        result = keep_largest(missed, width, height, labels);
    }
    if (result > 0) result = prompt_center(missed, width, height, point);
    free(missed);
    free(labels);
    return result;
}
