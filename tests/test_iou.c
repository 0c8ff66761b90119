// SPDX-License-Identifier: MIT
// IoU, size buckets, bootstrap intervals and the trivial rows.
#include "autograd/rng.h"
#include "base/error.h"
#include "eval/iou.h"
#include "eval/trivial.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

Test(iou, is_intersection_over_union) {
    const uint8_t prediction[8] = {1, 1, 1, 0, 0, 0, 0, 2};
    const uint8_t truth[8] = {0, 1, 3, 1, 0, 0, 0, 1};
    cr_expect_float_eq(iou_score(prediction, truth, NULL, 8), 3 / 5.0, 1e-12);
}

Test(iou, leaves_ignored_pixels_out_of_both_sides) {
    const uint8_t prediction[6] = {1, 1, 1, 0, 0, 0};
    const uint8_t truth[6] = {0, 1, 1, 1, 0, 0};
    const uint8_t ignore[6] = {1, 1, 0, 0, 0, 1};
    cr_expect_float_eq(iou_score(prediction, truth, ignore, 6), 1 / 2.0, 1e-12);
}

Test(iou, of_disjoint_masks_is_zero_and_of_two_empty_ones_is_one) {
    const uint8_t empty[4] = {0}, left[4] = {1, 1, 0, 0}, right[4] = {0, 0, 1, 1};
    cr_expect_eq(iou_score(left, right, NULL, 4), 0);
    cr_expect_eq(iou_score(empty, left, NULL, 4), 0);
    cr_expect_eq(iou_score(empty, empty, NULL, 4), 1);
    cr_expect_eq(iou_score(left, right, (const uint8_t[]){1, 1, 1, 1}, 4), 1);
}

Test(iou, buckets_have_cocos_borders) {
    cr_expect_eq(size_bucket(1023.99), BUCKET_SMALL);
    cr_expect_eq(size_bucket(1024), BUCKET_MEDIUM);
    cr_expect_eq(size_bucket(9216), BUCKET_MEDIUM);
    cr_expect_eq(size_bucket(9216.01), BUCKET_LARGE);
    cr_expect_str_eq(size_bucket_name(BUCKET_LARGE), "large");
}

Test(iou, mean_of_nothing_is_not_a_number) {
    cr_expect(isnan(mean_of(NULL, 0)));
    cr_expect_float_eq(mean_of((const double[]){1, 2, 6}, 3), 3, 1e-12);
}

enum { IMAGES = 50, PER_IMAGE = 4, VALUES = IMAGES * PER_IMAGE };

// Values that agree within an image: value = image effect, uniform in [0, 1).
static void clustered(double *values, uint32_t *images) {
    for (int i = 0; i < VALUES; i++) {
        Rng rng = rng_stream(5, "test", (uint64_t)(i / PER_IMAGE), 0);
        images[i] = (uint32_t)(i / PER_IMAGE);
        values[i] = rng_uniform(&rng);
    }
}

Test(iou, bootstrap_interval_has_the_width_of_the_images_not_of_the_values) {
    double values[VALUES], interval[2], variance = 0;
    uint32_t images[VALUES];
    clustered(values, images);
    double mean = mean_of(values, VALUES);
    for (int i = 0; i < VALUES; i++) variance += (values[i] - mean) * (values[i] - mean) / VALUES;
    cr_assert_eq(bootstrap_interval(values, images, VALUES, IMAGES, 4000, 1, interval), 0);
    // Normal theory: mean +- 1.96 sigma / sqrt(images), to a tenth.
    double half = 1.96 * sqrt(variance / IMAGES);
    cr_expect_float_eq(interval[1] - interval[0], 2 * half, 0.2 * half);
    cr_expect_float_eq((interval[0] + interval[1]) / 2, mean, 0.1 * half);
}

Test(iou, bootstrap_interval_repeats_and_follows_the_seed) {
    double values[VALUES], a[2], b[2], c[2];
    uint32_t images[VALUES];
    clustered(values, images);
    cr_assert_eq(bootstrap_interval(values, images, VALUES, IMAGES, 200, 1, a), 0);
    cr_assert_eq(bootstrap_interval(values, images, VALUES, IMAGES, 200, 1, b), 0);
    cr_assert_eq(bootstrap_interval(values, images, VALUES, IMAGES, 200, 2, c), 0);
    cr_expect(a[0] == b[0] && a[1] == b[1]);
    cr_expect(a[0] != c[0] || a[1] != c[1]);
}

Test(iou, bootstrap_draws_are_paired_between_systems) {
    // Values raised by 0.25 have an interval raised by 0.25.
    double values[VALUES], raised[VALUES], a[2], b[2];
    uint32_t images[VALUES];
    clustered(values, images);
    for (int i = 0; i < VALUES; i++) raised[i] = values[i] + 0.25;
    cr_assert_eq(bootstrap_interval(values, images, VALUES, IMAGES, 200, 3, a), 0);
    cr_assert_eq(bootstrap_interval(raised, images, VALUES, IMAGES, 200, 3, b), 0);
    cr_expect_float_eq(b[0] - a[0], 0.25, 1e-12);
    cr_expect_float_eq(b[1] - a[1], 0.25, 1e-12);
}

Test(iou, bootstrap_weighs_images_by_their_instances) {
    // Two images, of 1 and 3 values: means of the draws are 0, 3/4 (twice as often) and 1.
    const double values[4] = {0, 1, 1, 1};
    const uint32_t images[4] = {0, 1, 1, 1};
    double interval[2];
    cr_assert_eq(bootstrap_interval(values, images, 4, 2, 1000, 1, interval), 0);
    cr_expect_float_eq(interval[0], 0, 1e-12);
    cr_expect_float_eq(interval[1], 1, 1e-12);
}

Test(iou, bootstrap_quantiles_are_interpolated) {
    // Of two draws' means the first is known from a bootstrap of one draw.
    double values[VALUES], one[2], two[2];
    uint32_t images[VALUES];
    clustered(values, images);
    cr_assert_eq(bootstrap_interval(values, images, VALUES, IMAGES, 1, 1, one), 0);
    cr_assert_eq(bootstrap_interval(values, images, VALUES, IMAGES, 2, 1, two), 0);
    double range = (two[1] - two[0]) / 0.95;
    double low = two[0] - 0.025 * range, high = two[1] + 0.025 * range;
    cr_expect(range > 1e-6 && one[0] == one[1]);
    cr_expect(fabs(one[0] - low) < 1e-12 || fabs(one[0] - high) < 1e-12);
}

Test(iou, bootstrap_of_one_image_is_its_mean_and_of_none_an_error) {
    const double values[2] = {0.25, 0.75};
    const uint32_t images[2] = {0, 0};
    double interval[2];
    cr_assert_eq(bootstrap_interval(values, images, 2, 1, 100, 1, interval), 0);
    cr_expect(interval[0] == 0.5 && interval[1] == 0.5);
    cr_expect_eq(bootstrap_interval(values, images, 0, 0, 100, 1, interval), -1);
    cr_expect(strstr(error_take(), "0 values"));
}

enum { SIDE = 32 };

// Left half dark, right half bright, but for one bright pixel at (2,2).
static Image halves(void) {
    static uint8_t pixels[SIDE * SIDE * 3];
    for (int i = 0; i < SIDE * SIDE; i++) {
        bool bright = i % SIDE >= SIDE / 2 || i == 2 * SIDE + 2;
        memset(pixels + 3 * i, bright ? 200 : 20 + i % 2, 3);
    }
    return (Image){SIDE, SIDE, 3, pixels};
}

Test(iou, trivial_disc_scales_with_the_image) {
    Image image = halves();
    uint8_t mask[SIDE * SIDE];
    PixelPoint points[2] = {{10, 10}, {31, 31}};
    TrivialInput input = {&image, points, 2, NULL};
    TrivialOptions options = trivial_options(); // 0.125 * 32 = 4 pixels
    cr_assert_eq(trivial_predict(TRIVIAL_disc, &input, &options, mask), 0);
    for (int i = 0; i < SIDE * SIDE; i++) {
        int x = i % SIDE, y = i / SIDE;
        bool inside = (x - 10) * (x - 10) + (y - 10) * (y - 10) <= 16 ||
                      (x - 31) * (x - 31) + (y - 31) * (y - 31) <= 16;
        cr_assert_eq(mask[i], inside, "%d,%d", x, y);
    }
}

Test(iou, trivial_flood_stops_at_colours_and_gaps) {
    Image image = halves();
    uint8_t mask[SIDE * SIDE];
    PixelPoint points[2] = {{5, 5}, {2, 2}};
    TrivialInput input = {&image, points, 1, NULL};
    TrivialOptions options = trivial_options();
    cr_assert_eq(trivial_predict(TRIVIAL_flood, &input, &options, mask), 0);
    for (int i = 0; i < SIDE * SIDE; i++)
        cr_assert_eq(mask[i], i % SIDE < SIDE / 2 && i != 2 * SIDE + 2, "pixel %d", i);
    input.points = points + 1; // alone among dark pixels, though the right half has its colour
    cr_assert_eq(trivial_predict(TRIVIAL_flood, &input, &options, mask), 0);
    for (int i = 0; i < SIDE * SIDE; i++) cr_assert_eq(mask[i], i == 2 * SIDE + 2);
    input = (TrivialInput){&image, points, 2, NULL};
    cr_assert_eq(trivial_predict(TRIVIAL_flood, &input, &options, mask), 0);
    for (int i = 0; i < SIDE * SIDE; i++) cr_assert_eq(mask[i], i % SIDE < SIDE / 2);
}

Test(iou, trivial_flood_tolerance_is_a_distance_in_rgb) {
    // From the middle: 18,24,0 is 30 levels away, 19,24,0 a little more.
    uint8_t pixels[9] = {18, 24, 0, 0, 0, 0, 19, 24, 0}, mask[3];
    Image image = {3, 1, 3, pixels};
    PixelPoint point = {1, 0};
    TrivialInput input = {&image, &point, 1, NULL};
    TrivialOptions options = trivial_options();
    cr_assert_eq(trivial_predict(TRIVIAL_flood, &input, &options, mask), 0);
    cr_expect(mask[0] == 1 && mask[1] == 1 && mask[2] == 0);
}

Test(iou, trivial_whole_and_oracle_are_what_they_say) {
    Image image = halves();
    uint8_t mask[SIDE * SIDE], truth[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) truth[i] = i % 3 == 0 ? 255 : 0;
    PixelPoint point = {20, 9};
    TrivialInput input = {&image, &point, 1, truth};
    TrivialOptions options = trivial_options();
    cr_assert_eq(trivial_predict(TRIVIAL_whole, &input, &options, mask), 0);
    for (int i = 0; i < SIDE * SIDE; i++) cr_assert_eq(mask[i], 1);
    cr_assert_eq(trivial_predict(TRIVIAL_oracle, &input, &options, mask), 0);
    cr_expect_eq(iou_score(mask, truth, NULL, SIDE * SIDE), 1);
    cr_expect_eq(mask[3], 1);
}

Test(iou, trivial_rows_refuse_points_outside) {
    Image image = halves();
    uint8_t mask[SIDE * SIDE], truth[SIDE * SIDE] = {0};
    PixelPoint point = {SIDE, 0};
    TrivialInput input = {&image, &point, 1, truth};
    TrivialOptions options = trivial_options();
    for (int row = 0; row < TRIVIAL_COUNT; row++) {
        cr_expect_eq(trivial_predict((TrivialRow)row, &input, &options, mask), -1, "%d", row);
        cr_expect(strstr(error_take(), "32,0"));
    }
}
