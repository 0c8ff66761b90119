// SPDX-License-Identifier: MIT
// Thin edges: beside recorded answers of OpenCV's Canny, and what every image must give.
#include "base/error.h"
#include "eval/edges.h"
#include "nn/safetensors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static Image image_of(const SafeTensor *stored) {
    Image image = {0};
    cr_assert_eq(
        image_new(&image, (int)stored->shape[1], (int)stored->shape[0], (int)stored->shape[2]), 0);
    memcpy(image.pixels, stored->data, stored->bytes);
    return image;
}

static float *edges_of(const Image *image) {
    float *strength = calloc((size_t)image->width * (size_t)image->height, sizeof *strength);
    cr_assert_eq(edges_find(image, strength), 0, "%s", error_message());
    return strength;
}

static void agrees(const SafeFile *file, const char *number) {
    char name[32];
    snprintf(name, sizeof name, "image.%s", number);
    Image image = image_of(safetensors_find(file, name));
    snprintf(name, sizeof name, "edges.%s", number);
    const SafeTensor *edges = safetensors_find(file, name);
    float *strength = edges_of(&image);
    for (int64_t i = 0; i < edges->numel; i++)
        cr_assert_eq(strength[i] > 0, ((const uint8_t *)edges->data)[i] != 0,
                     "image %s, pixel %lld", number, (long long)i);
    free(strength);
    image_free(&image);
}

Test(edges, lie_where_canny_finds_them) {
    SafeFile *file = safetensors_open(P2S_FIXTURES "/edges.safetensors");
    cr_assert_not_null(file, "%s", error_message());
    const char *const numbers[] = {"0", "1", "2"};
    for (size_t i = 0; i < 3; i++) agrees(file, numbers[i]);
    safetensors_close(file);
}

Test(edges, a_step_is_one_pixel_wide_and_as_strong_as_its_height) {
    Image image = {0};
    cr_assert_eq(image_new(&image, 12, 5, 3), 0);
    for (int i = 0; i < 12 * 5; i++) {
        image.pixels[3 * i] = i % 12 < 4 ? 0 : i % 12 < 8 ? 200 : 250;
        image.pixels[3 * i + 1] = 77;
    }
    float *strength = edges_of(&image);
    for (int i = 0; i < 12 * 5; i++) {
        const double expected = i % 12 == 3 ? 1 : i % 12 == 7 ? 0.25 : 0;
        cr_assert_float_eq(strength[i], expected, 1e-6, "pixel %d: %g", i, (double)strength[i]);
    }
    free(strength);
    image_free(&image);
}

Test(edges, an_image_of_one_colour_has_none) {
    Image image = {0};
    cr_assert_eq(image_new(&image, 7, 1, 1), 0);
    memset(image.pixels, 9, 7);
    float *strength = edges_of(&image);
    for (int i = 0; i < 7; i++) cr_assert_eq(strength[i], 0);
    free(strength);
    image_free(&image);
}
