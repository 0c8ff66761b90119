// SPDX-License-Identifier: MIT
// Prompters, distance transform and components, against brute force on random masks.
#include "base/memory.h"
#include "eval/components.h"
#include "eval/distance_transform.h"
#include "eval/prompter.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

enum { LARGEST = 24, TRIALS = 400 };

static uint32_t noise_state = 1;

static uint32_t noise(uint32_t n) {
    noise_state = noise_state * 1664525u + 1013904223u;
    return (uint32_t)(((uint64_t)noise_state * n) >> 32);
}

// A mask of random size and density, sometimes full or empty.
static void random_mask(uint8_t *mask, int *width, int *height) {
    *width = 1 + (int)noise(LARGEST);
    *height = 1 + (int)noise(LARGEST);
    uint32_t density = noise(101);
    for (int i = 0; i < *width * *height; i++) mask[i] = noise(100) < density ? 1 + (i & 1) : 0;
}

static int32_t nearest_outside(const uint8_t *mask, int width, int height, int x, int y) {
    int32_t best = INT32_MAX;
    for (int v = -1; v <= height; v++)
        for (int u = -1; u <= width; u++) {
            bool border = u < 0 || v < 0 || u == width || v == height;
            int32_t d = (u - x) * (u - x) + (v - y) * (v - y);
            if ((border || !mask[v * width + u]) && d < best) best = d;
        }
    return best;
}

Test(prompter, distance_transform_equals_brute_force) {
    uint8_t mask[LARGEST * LARGEST];
    int32_t squared[LARGEST * LARGEST];
    for (int trial = 0; trial < TRIALS; trial++) {
        int width, height;
        random_mask(mask, &width, &height);
        cr_assert_eq(distance_transform(mask, width, height, squared), 0);
        for (int i = 0; i < width * height; i++)
            cr_assert_eq(squared[i], nearest_outside(mask, width, height, i % width, i / width),
                         "trial %d, %d x %d, pixel %d: %d", trial, width, height, i, squared[i]);
    }
}

Test(prompter, distance_transform_of_a_wide_full_image_counts_the_border) {
    enum { WIDTH = 65535, HEIGHT = 3 };
    uint8_t *mask = malloc((size_t)WIDTH * HEIGHT);
    int32_t *squared = malloc((size_t)WIDTH * HEIGHT * sizeof *squared);
    cr_assert(mask && squared);
    memset(mask, 1, (size_t)WIDTH * HEIGHT);
    cr_assert_eq(distance_transform(mask, WIDTH, HEIGHT, squared), 0);
    cr_expect_eq(squared[WIDTH + 40000], 4);
    cr_expect_eq(squared[WIDTH], 1);
    // The same lying down: columns as long as can be.
    cr_assert_eq(distance_transform(mask, HEIGHT, WIDTH, squared), 0);
    cr_expect_eq(squared[40000 * HEIGHT + 1], 4);
    free(mask);
    free(squared);
}

// Labels by letting the smallest index spread until nothing changes.
static void spread(const uint8_t *mask, int width, int height, int32_t *labels) {
    for (int i = 0; i < width * height; i++) labels[i] = mask[i] ? i + 1 : 0;
    for (bool changed = true; changed;) {
        changed = false;
        for (int i = 0; i < width * height; i++)
            for (int k = 0; k < 9 && mask[i]; k++) {
                int x = i % width + k % 3 - 1, y = i / width + k / 3 - 1;
                if (x < 0 || y < 0 || x >= width || y >= height) continue;
                int32_t other = labels[y * width + x];
                if (other && other < labels[i]) {
                    labels[i] = other;
                    changed = true;
                }
            }
    }
}

Test(prompter, components_equal_brute_force_and_are_numbered_by_rows) {
    uint8_t mask[LARGEST * LARGEST];
    int32_t labels[LARGEST * LARGEST], expected[LARGEST * LARGEST];
    for (int trial = 0; trial < TRIALS; trial++) {
        int width, height, number[LARGEST * LARGEST + 1] = {0}, found = 0;
        random_mask(mask, &width, &height);
        spread(mask, width, height, expected);
        int count = components_label(mask, width, height, labels);
        for (int i = 0; i < width * height; i++) {
            if (mask[i] && !number[expected[i]]) number[expected[i]] = ++found;
            cr_assert_eq(labels[i], mask[i] ? number[expected[i]] : 0, "trial %d pixel %d", trial,
                         i);
        }
        cr_assert_eq(count, found);
    }
}

Test(prompter, keeping_components_drops_those_without_a_point) {
    uint8_t mask[LARGEST * LARGEST], kept[LARGEST * LARGEST];
    int32_t labels[LARGEST * LARGEST];
    for (int trial = 0; trial < TRIALS; trial++) {
        int width, height;
        random_mask(mask, &width, &height);
        PixelPoint points[2];
        for (int i = 0; i < 2; i++)
            points[i] = (PixelPoint){(int)noise((uint32_t)width), (int)noise((uint32_t)height)};
        memcpy(kept, mask, sizeof kept);
        cr_assert_geq(components_label(mask, width, height, labels), 0);
        cr_assert_eq(components_keep(kept, width, height, points, 2), 0);
        int32_t a = labels[points[0].y * width + points[0].x];
        int32_t b = labels[points[1].y * width + points[1].x];
        for (int i = 0; i < width * height; i++)
            cr_assert_eq(kept[i], labels[i] && (labels[i] == a || labels[i] == b));
    }
}

Test(prompter, center_is_the_first_pixel_of_greatest_distance) {
    uint8_t mask[LARGEST * LARGEST];
    for (int trial = 0; trial < TRIALS; trial++) {
        int width, height;
        random_mask(mask, &width, &height);
        int best = -1;
        int32_t greatest = 0;
        for (int i = 0; i < width * height; i++) {
            int32_t d = mask[i] ? nearest_outside(mask, width, height, i % width, i / width) : 0;
            if (d > greatest) {
                greatest = d;
                best = i;
            }
        }
        PixelPoint point = {-1, -1};
        cr_assert_eq(prompt_center(mask, width, height, &point), best >= 0);
        if (best >= 0) cr_assert(point.x == best % width && point.y == best / width);
    }
}

Test(prompter, center_of_a_full_square_is_its_upper_left_middle) {
    uint8_t mask[36];
    memset(mask, 1, sizeof mask);
    PixelPoint point;
    cr_assert_eq(prompt_center(mask, 6, 6, &point), 1);
    cr_expect(point.x == 2 && point.y == 2);
}

Test(prompter, random_point_reaches_each_interior_pixel_equally) {
    // A 5x4 block: its interior is 3x2.
    uint8_t mask[9 * 8] = {0};
    for (int y = 2; y < 6; y++) memset(mask + y * 9 + 1, 1, 5);
    int hits[9 * 8] = {0};
    for (int i = 0; i < 600; i++) {
        PixelPoint point;
        cr_assert_eq(prompt_random(mask, 9, 8, (i + 0.5) / 600, &point), 1);
        hits[point.y * 9 + point.x]++;
    }
    for (int i = 0; i < 9 * 8; i++) {
        int x = i % 9, y = i / 9;
        cr_expect_eq(hits[i], x >= 2 && x <= 4 && y >= 3 && y <= 4 ? 100 : 0, "pixel %d", i);
    }
}

Test(prompter, random_point_of_a_thin_mask_is_on_the_mask) {
    uint8_t mask[7 * 5] = {0};
    for (int x = 0; x < 7; x++) mask[2 * 7 + x] = 1;
    PixelPoint point;
    cr_assert_eq(prompt_random(mask, 7, 5, 0, &point), 1);
    cr_expect(point.x == 0 && point.y == 2);
    cr_assert_eq(prompt_random(mask, 7, 5, 0.999999, &point), 1);
    cr_expect(point.x == 6 && point.y == 2);
    memset(mask, 0, sizeof mask);
    cr_expect_eq(prompt_random(mask, 7, 5, 0.5, &point), 0);
}

Test(prompter, next_point_lies_in_the_largest_missed_part) {
    // Truth is a 15x5 block; the prediction covers columns 4..6, which leaves 4x5 and 8x5.
    enum { WIDTH = 15, HEIGHT = 5 };
    uint8_t truth[WIDTH * HEIGHT], prediction[WIDTH * HEIGHT], ignore[WIDTH * HEIGHT] = {0};
    memset(truth, 1, sizeof truth);
    for (int i = 0; i < WIDTH * HEIGHT; i++) prediction[i] = i % WIDTH >= 4 && i % WIDTH <= 6;
    PixelPoint point;
    cr_assert_eq(prompt_next(truth, prediction, NULL, WIDTH, HEIGHT, &point), 1);
    cr_expect(point.x == 9 && point.y == 2, "%d,%d", point.x, point.y);
    // With most of the right part ignored the left one is larger.
    for (int i = 0; i < WIDTH * HEIGHT; i++) ignore[i] = i % WIDTH >= 9;
    cr_assert_eq(prompt_next(truth, prediction, ignore, WIDTH, HEIGHT, &point), 1);
    cr_expect(point.x == 1 && point.y == 1, "%d,%d", point.x, point.y);
    cr_expect_eq(prompt_next(truth, truth, NULL, WIDTH, HEIGHT, &point), 0);
}

Test(prompter, running_out_of_memory_is_an_error_and_loses_nothing) {
    uint8_t truth[64], prediction[64] = {0};
    memset(truth, 1, sizeof truth);
    PixelPoint point;
    for (int64_t n = 1; n <= 6; n++) {
        memory_fail_at(n);
        cr_expect_eq(prompt_next(truth, prediction, NULL, 8, 8, &point), -1, "allocation %d",
                     (int)n);
    }
    memory_fail_at(0);
    cr_expect_eq(prompt_next(truth, prediction, NULL, 8, 8, &point), 1);
}
