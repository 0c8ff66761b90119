// SPDX-License-Identifier: MIT
// Restriction to classes. See restrict.h.
#include "data/restrict.h"

#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

static const double most_ignored = 0.35;

typedef struct {
    int left, top, right, bottom; // inclusive; right < left: nothing
} Box;

static bool is_among(int category, const int *classes, int count) {
    for (int i = 0; i < count; i++)
        if (classes[i] == category) return true;
    return false;
}

static Box *find_boxes(const Sample *sample) {
    const LabelMap *labels = &sample->labels;
    Box *boxes = array_new((size_t)sample->instance_count, sizeof *boxes);
    if (!boxes) return NULL;
    for (int i = 0; i < sample->instance_count; i++)
        boxes[i] = (Box){labels->width, labels->height, -1, -1};
    for (int y = 0; y < labels->height; y++)
        for (int x = 0; x < labels->width; x++) {
            const int32_t id = labels->ids[(size_t)y * (size_t)labels->width + (size_t)x];
            if (id == 0) continue;
            Box *box = &boxes[id - 1];
            if (x < box->left) box->left = x;
            if (x > box->right) box->right = x;
            if (y < box->top) box->top = y;
            if (y > box->bottom) box->bottom = y;
        }
    return boxes;
}

static void ignore_box(Sample *sample, const Box *box) {
    const size_t width = (size_t)sample->labels.width;
    for (int y = box->top; y <= box->bottom; y++)
        memset(sample->ignore + (size_t)y * width + (size_t)box->left, 1,
               (size_t)(box->right - box->left + 1));
}

// Takes the labels away where nothing counts; everywhere when that is too much of the image.
static void clear_ignored(Sample *sample) {
    const size_t count = (size_t)sample->labels.width * (size_t)sample->labels.height;
    size_t ignored = 0;
    for (size_t i = 0; i < count; i++) ignored += sample->ignore[i];
    const bool all = (double)ignored > most_ignored * (double)count;
    for (size_t i = 0; i < count; i++)
        if (all || sample->ignore[i]) sample->labels.ids[i] = 0;
}

int sample_restrict(Sample *sample, const int *classes, int count) {
    const size_t pixels = (size_t)sample->labels.width * (size_t)sample->labels.height;
    if (!sample->ignore) sample->ignore = array_new(pixels, 1);
    Box *boxes = sample->ignore ? find_boxes(sample) : NULL;
    if (!boxes) return -1;
    for (int i = 0; i < sample->instance_count; i++)
        if (!is_among(sample->instances[i].category, classes, count)) ignore_box(sample, &boxes[i]);
    free(boxes);
    clear_ignored(sample);
    return sample_drop_vanished(sample) < 0 ? -1 : 0;
}
