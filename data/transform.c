// SPDX-License-Identifier: MIT
// Sample transforms. Everything but the image is an array of elements of 1 or 4 bytes in [H, W].
#include "data/transform.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/resample.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_DRAWS = 1000, FLIP_BLOCK = 64 };

typedef struct {
    int left, top, width, height;
} Rectangle;

static inline void reverse_into(char *to, const char *from, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++) memcpy(to + i * size, from + (count - 1 - i) * size, size);
}

// Swaps blocks from both ends, each turned round, until the middle is turned in one piece.
static inline void flip_row(char *row, size_t width, size_t size) {
    char keep[2 * FLIP_BLOCK * 4];
    size_t left = 0, right = width;
    for (; right - left > 2 * FLIP_BLOCK; left += FLIP_BLOCK, right -= FLIP_BLOCK) {
        char *first = row + left * size, *last = row + (right - FLIP_BLOCK) * size;
        memcpy(keep, first, FLIP_BLOCK * size);
        reverse_into(first, last, FLIP_BLOCK, size);
        reverse_into(last, keep, FLIP_BLOCK, size);
    }
    memcpy(keep, row + left * size, (right - left) * size);
    reverse_into(row + left * size, keep, right - left, size);
}

// Elements of 1, 3 or 4 bytes: with a constant size copies are single moves.
static void flip_rows(void *rows, int width, int height, size_t size) {
    for (int y = 0; y < height; y++) {
        char *row = (char *)rows + (size_t)y * (size_t)width * size;
        if (size == 4)
            flip_row(row, (size_t)width, 4);
        else if (size == 3)
            flip_row(row, (size_t)width, 3);
        else
            flip_row(row, (size_t)width, 1);
    }
}

void sample_flip(Sample *sample) {
    const int width = sample->labels.width, height = sample->labels.height;
    flip_rows(sample->image.pixels, width, height, (size_t)sample->image.channels);
    flip_rows(sample->labels.ids, width, height, sizeof *sample->labels.ids);
    if (sample->ignore) flip_rows(sample->ignore, width, height, 1);
    for (int i = 0; i < sample->instance_count; i++)
        if (sample->instances[i].mask) flip_rows(sample->instances[i].mask, width, height, 1);
}

// Replaces a mask, when there is one, by its resized form.
static int resize_mask(uint8_t **mask, const LabelMap *from, int width, int height) {
    if (!*mask) return 0;
    uint8_t *resized = mask_resize(*mask, from->width, from->height, width, height);
    if (!resized) return -1;
    free(*mask);
    *mask = resized;
    return 0;
}

int sample_resize(Sample *sample, int width, int height) {
    Image image;
    if (image_resize(&sample->image, width, height, RESAMPLE_BILINEAR, &image)) return -1;
    image_free(&sample->image);
    sample->image = image;
    if (resize_mask(&sample->ignore, &sample->labels, width, height)) return -1;
    for (int i = 0; i < sample->instance_count; i++)
        if (resize_mask(&sample->instances[i].mask, &sample->labels, width, height)) return -1;
    LabelMap labels;
    if (label_map_resize(&sample->labels, width, height, &labels)) return -1;
    label_map_free(&sample->labels);
    sample->labels = labels;
    return 0;
}

// Moves the rectangle's rows to the front; the array keeps its old length.
static void crop_rows(void *rows, int width, Rectangle part, size_t size) {
    const size_t length = (size_t)part.width * size;
    for (int y = 0; y < part.height; y++) {
        const size_t from = (size_t)(part.top + y) * (size_t)width + (size_t)part.left;
        memmove((char *)rows + (size_t)y * length, (char *)rows + from * size, length);
    }
}

static void crop(Sample *sample, Rectangle part) {
    const int width = sample->labels.width;
    crop_rows(sample->image.pixels, width, part, (size_t)sample->image.channels);
    crop_rows(sample->labels.ids, width, part, sizeof *sample->labels.ids);
    if (sample->ignore) crop_rows(sample->ignore, width, part, 1);
    for (int i = 0; i < sample->instance_count; i++)
        if (sample->instances[i].mask) crop_rows(sample->instances[i].mask, width, part, 1);
    sample->image.width = sample->labels.width = part.width;
    sample->image.height = sample->labels.height = part.height;
}

int sample_crop(Sample *sample, int left, int top, int width, int height) {
    if (left < 0 || top < 0 || width < 1 || height < 1 || left > sample->labels.width - width ||
        top > sample->labels.height - height)
        return error_int("%s: crop of %dx%d at (%d, %d) leaves the sample of %dx%d", sample->name,
                         width, height, left, top, sample->labels.width, sample->labels.height);
    crop(sample, (Rectangle){left, top, width, height});
    return 0;
}

// Whether an array of [H, W] elements of `size` bytes is all zero in the rectangle.
static bool all_zero(const void *rows, int width, Rectangle part, size_t size) {
    for (int y = 0; y < part.height; y++) {
        const char *row = (const char *)rows +
                          ((size_t)(part.top + y) * (size_t)width + (size_t)part.left) * size;
        for (size_t i = 0; i < (size_t)part.width * size; i++)
            if (row[i]) return false;
    }
    return true;
}

static int enlarge_to_cover(Sample *sample, int width, int height) {
    const LabelMap *labels = &sample->labels;
    const double across = (double)width / labels->width, down = (double)height / labels->height;
    const double scale = across > down ? across : down;
    if (scale <= 1.0) return 0;
    const double wide = across > down ? width : floor(labels->width * scale + 0.5);
    const double tall = across > down ? floor(labels->height * scale + 0.5) : height;
    if (wide > 65535.0 || tall > 65535.0)
        return error_int("%s: %dx%d cannot be enlarged to cover %dx%d", sample->name, labels->width,
                         labels->height, width, height);
    return sample_resize(sample, wide < width ? width : (int)wide,
                         tall < height ? height : (int)tall);
}

int sample_crop_random(Sample *sample, int width, int height, Rng *rng) {
    if (width < 1 || height < 1 || width > 65535 || height > 65535)
        return error_int("%s: crop of %dx%d: sides must be 1 to 65535", sample->name, width,
                         height);
    if (enlarge_to_cover(sample, width, height)) return -1;
    const int old_width = sample->labels.width, old_height = sample->labels.height;
    Rectangle part = {.width = width, .height = height};
    for (int draw = 0; draw < MAX_DRAWS; draw++) {
        part.top = (int)rng_below(rng, (uint64_t)(old_height - height) + 1);
        part.left = (int)rng_below(rng, (uint64_t)(old_width - width) + 1);
        if (!all_zero(sample->labels.ids, old_width, part, sizeof *sample->labels.ids) &&
            !all_zero(sample->image.pixels, old_width, part, (size_t)sample->image.channels))
            break;
    }
    crop(sample, part);
    return 0;
}
