// SPDX-License-Identifier: MIT
// Point prompting: query, similarity, filter, masks, against printed vectors and definitions.
#include "base/error.h"
#include "eval/branch_readout.h"
#include "eval/gaussian_query.h"
#include "eval/joint_bilateral.h"
#include "eval/posthoc.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

enum { W = 9, H = 6 };

static uint8_t reference_pixels[H * W * 3];

// The feature image of the reference vector.
static Image reference_image(void) {
    for (int y = 0; y < H; y++)
        for (int x = 0; x < W; x++)
            for (int c = 0; c < 3; c++)
                reference_pixels[(y * W + x) * 3 + c] =
                    (uint8_t)(120 * (x >= 5) + 60 * (y >= 3) + (7 * x + 5 * y + 11 * c) % 9 +
                              20 * c);
    return (Image){W, H, 3, reference_pixels};
}

static const PixelPoint reference_point = {7, 1};

static PosthocOptions reference_options(void) {
    PosthocOptions options = posthoc_options();
    options.sigma = 0.1;
    options.form = SIMILARITY_CODE;
    return options;
}

static void expect_map(const uint8_t *found, const uint8_t *expected, int width, int height) {
    for (int i = 0; i < width * height; i++)
        cr_expect_eq(found[i], expected[i], "row %d column %d: %d, expected %d", i / width,
                     i % width, found[i], expected[i]);
}

Test(prompting, query_equals_the_released_script) {
    Image image = reference_image();
    double q[3];
    cr_assert_eq(gaussian_query(&image, &reference_point, 1, 0.1, q), 0);
    const double expected[3] = {122.644235, 142.744760, 164.028901};
    for (int c = 0; c < 3; c++)
        cr_expect_float_eq(q[c], expected[c], 2e-5, "channel %d: %.6f", c, q[c]);
}

// Over the whole image and without shortcuts.
static void query_by_definition(const Image *image, const PixelPoint *points, int count,
                                double sigma, double q[3]) {
    double total = 0, sum[3] = {0};
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            double g = 0;
            for (int i = 0; i < count; i++) {
                double dx = (double)(x - points[i].x) / fmax(image->width - 1, 1);
                double dy = (double)(y - points[i].y) / fmax(image->height - 1, 1);
                g = fmax(g, exp(-(dx * dx + dy * dy) / (2 * sigma * sigma)));
            }
            total += g;
            for (int c = 0; c < 3; c++) sum[c] += g * image->pixels[(y * image->width + x) * 3 + c];
        }
    for (int c = 0; c < 3; c++) q[c] = sum[c] / (total + 1e-6);
}

static uint32_t noise_state;

static uint8_t noise(void) {
    noise_state = noise_state * 1664525u + 1013904223u;
    return (uint8_t)(noise_state >> 24);
}

static Image noise_image(int width, int height, uint32_t seed) {
    Image image = {width, height, 3, malloc((size_t)width * (size_t)height * 3)};
    cr_assert(image.pixels);
    noise_state = seed;
    for (int i = 0; i < width * height * 3; i++) image.pixels[i] = noise();
    return image;
}

Test(prompting, query_of_several_points_takes_the_greatest_weight) {
    Image image = noise_image(61, 47, 1);
    const PixelPoint points[] = {{0, 0}, {60, 46}, {30, 20}, {33, 21}};
    for (int count = 1; count <= 4; count++)
        for (double sigma = 0.01; sigma < 1; sigma *= 3) {
            double q[3], expected[3];
            cr_assert_eq(gaussian_query(&image, points, count, sigma, q), 0);
            query_by_definition(&image, points, count, sigma, expected);
            for (int c = 0; c < 3; c++) cr_expect_float_eq(q[c], expected[c], 1e-4);
        }
    free(image.pixels);
}

Test(prompting, query_drops_weights_below_2_to_the_minus_26) {
    // Black but for the last pixel of a line, at 6 sigma: exp(-18) = 1.52e-8 rounds up to 2^-25;
    // at 6.1 sigma exp(-18.6) = 8.3e-9 rounds to nothing.
    uint8_t pixels[11 * 3] = {0};
    pixels[30] = 255;
    Image image = {11, 1, 3, pixels};
    PixelPoint point = {0, 0};
    double q[3];
    cr_assert_eq(gaussian_query(&image, &point, 1, 1 / 6.0, q), 0);
    cr_expect_gt(q[0], 0);
    cr_assert_eq(gaussian_query(&image, &point, 1, 1 / 6.1, q), 0);
    cr_expect_eq(q[0], 0);
}

Test(prompting, query_of_one_pixel_is_its_colour) {
    uint8_t pixels[3] = {10, 100, 250};
    Image image = {1, 1, 3, pixels};
    PixelPoint point = {0, 0};
    double q[3];
    cr_assert_eq(gaussian_query(&image, &point, 1, 0.01, q), 0);
    for (int c = 0; c < 3; c++) cr_expect_float_eq(q[c], pixels[c], 1e-3);
}

Test(prompting, points_outside_the_image_are_named) {
    Image image = reference_image();
    uint8_t mask[H * W];
    PosthocOptions options = posthoc_options();
    const PixelPoint points[] = {{3, 3}, {9, 5}};
    cr_expect_eq(posthoc_mask(&image, points, 2, &options, mask), -1);
    const char *message = error_take();
    cr_expect(strstr(message, "9,5") && strstr(message, "9 x 6"), "%s", message);
    cr_expect_eq(branch_readout(&image, points, 0, 0.01, mask), -1);
    cr_expect(strstr(error_take(), "at least one point"));
    PixelPoint negative = {-1, 0};
    cr_expect_eq(branch_readout(&image, &negative, 1, 0.01, mask), -1);
    cr_expect(strstr(error_take(), "-1,0"));
}

Test(prompting, similarity_equals_the_released_script) {
    // clang-format off
    static const uint8_t expected[H * W] = {
        0, 0, 0, 0, 0, 106,  87, 114, 254,
        0, 0, 0, 0, 0, 114, 254, 224, 110,
        0, 0, 0, 0, 0, 224, 110,  96, 163,
        3, 3, 3, 2, 3,   2,   2,   3,   2,
        3, 2, 3, 3, 3,   3,   2,   2,   2,
        3, 3, 3, 3, 3,   2,   2,   2,   3,
    };
    // clang-format on
    Image image = reference_image();
    double q[3];
    uint8_t map[H * W];
    cr_assert_eq(gaussian_query(&image, &reference_point, 1, 0.1, q), 0);
    similarity_map(&image, q, SIMILARITY_CODE, map);
    expect_map(map, expected, W, H);
}

Test(prompting, paper_similarity_accepts_by_distance) {
    // Greys 0..255 against a black query: s = min(1, 1/d) with d = sqrt(3) grey, lowest s at white.
    uint8_t pixels[256 * 3], map[256];
    for (int i = 0; i < 256 * 3; i++) pixels[i] = (uint8_t)(i / 3);
    Image image = {256, 1, 3, pixels};
    const double black[3] = {0};
    similarity_map(&image, black, SIMILARITY_PAPER, map);
    const double low = 1 / (255 * sqrt(3));
    for (int i = 0; i < 256; i++) {
        double s = fmin(1, 1 / (i * sqrt(3) + 1e-12));
        double exact = 255 * (s - low) / (1 - low + 1e-6);
        cr_expect(map[i] <= exact + 1e-3 && map[i] > exact - 1.001, "grey %d: %d, %f", i, map[i],
                  exact);
    }
    // 55.8 levels is the radius of u8 >= 4: grey 32 is at 55.4, grey 33 at 57.2.
    cr_expect_eq(map[32], 4);
    cr_expect_eq(map[33], 3);
}

Test(prompting, similarity_of_one_colour_is_zero) {
    uint8_t pixels[12], map[4];
    memset(pixels, 90, sizeof pixels);
    Image image = {2, 2, 3, pixels};
    const double q[3] = {90, 90, 90};
    similarity_map(&image, q, SIMILARITY_CODE, map);
    for (int i = 0; i < 4; i++) cr_expect_eq(map[i], 0);
}

Test(prompting, filter_equals_the_opencv_vector) {
    // clang-format off
    static const uint8_t expected[6 * 7] = {
         94, 120, 165,  71, 113, 123, 150,
        110, 171,  45, 108, 114, 153,  89,
        140, 176,  97, 116, 151, 114, 104,
        183,  74, 105, 151, 114,  98, 136,
        161,  88, 188,  92,  99, 135, 136,
        106, 132, 149, 118, 138, 131, 118,
    };
    // clang-format on
    uint8_t guide[6 * 7 * 3], source[6 * 7], out[6 * 7];
    for (int y = 0; y < 6; y++)
        for (int x = 0; x < 7; x++) {
            source[y * 7 + x] = (uint8_t)((91 * x + 53 * y + 7 * x * x * y) % 256);
            for (int c = 0; c < 3; c++)
                guide[(y * 7 + x) * 3 + c] =
                    (uint8_t)((37 * y + 59 * x + 83 * c + 11 * x * y) % 256);
        }
    Image image = {7, 6, 3, guide};
    cr_assert_eq(joint_bilateral(&image, source, out), 0);
    expect_map(out, expected, 7, 6);
    cr_assert_eq(joint_bilateral(&image, source, source), 0, "in place");
    expect_map(source, expected, 7, 6);
}

Test(prompting, filter_rounds_like_opencv_in_every_pixel) {
    // OpenCV 4.9.0's own output for this noise, as its FNV-1a hash. The seed is one where double
    // sums, fused multiply-add and a division in place of the reciprocal each change a pixel.
    enum { SIDE = 256 };
    static uint8_t source[SIDE * SIDE], out[SIDE * SIDE];
    Image image = noise_image(SIDE, SIDE, 13);
    for (int i = 0; i < SIDE * SIDE; i++) source[i] = noise();
    cr_assert_eq(joint_bilateral(&image, source, out), 0);
    uint64_t hash = 0xcbf29ce484222325;
    for (int i = 0; i < SIDE * SIDE; i++) hash = (hash ^ out[i]) * 0x100000001b3;
    cr_expect_eq(hash, 0xd7655d453a62cb4a);
    free(image.pixels);
}

static int mirror(int i, int side) {
    if (side == 1) return 0;
    int period = 2 * (side - 1);
    i = ((i % period) + period) % period;
    return i < side ? i : period - i;
}

// In double and straight from the definition: equal up to one rounding.
static double filter_by_definition(const Image *guide, const uint8_t *source, int x, int y) {
    double numerator = 0, denominator = 0;
    for (int i = -4; i <= 4; i++)
        for (int j = -4; j <= 4; j++) {
            if (i * i + j * j > 16) continue;
            int at = mirror(y + i, guide->height) * guide->width + mirror(x + j, guide->width);
            int a = 0;
            for (int c = 0; c < 3; c++)
                a += abs(guide->pixels[3 * at + c] - guide->pixels[3 * (y * guide->width + x) + c]);
            double w = exp(-(i * i + j * j + a * a) / 11250.0);
            numerator += w * source[at];
            denominator += w;
        }
    return numerator / denominator;
}

Test(prompting, filter_mirrors_sides_smaller_than_its_radius_and_takes_all_widths) {
    static const int sides[][2] = {{1, 1}, {1, 2}, {2, 1}, {2, 2}, {3, 1}, {1, 9},
                                   {4, 3}, {5, 5}, {7, 2}, {8, 2}, {9, 1}, {23, 1}};
    for (size_t s = 0; s < sizeof sides / sizeof *sides; s++) {
        int width = sides[s][0], height = sides[s][1];
        Image image = noise_image(width, height, 7 + (uint32_t)s);
        uint8_t source[25], out[25];
        for (int i = 0; i < width * height; i++) source[i] = noise();
        cr_assert_eq(joint_bilateral(&image, source, out), 0);
        for (int i = 0; i < width * height; i++) {
            double exact = filter_by_definition(&image, source, i % width, i / width);
            cr_expect(fabs(out[i] - exact) < 0.5 + 1e-4, "%d x %d pixel %d: %d, exact %f", width,
                      height, i, out[i], exact);
        }
        free(image.pixels);
    }
}

Test(prompting, filter_gives_the_same_bits_on_one_and_many_threads) {
#ifdef _OPENMP
    enum { SIDE = 83 };
    Image image = noise_image(SIDE, SIDE, 3);
    static uint8_t source[SIDE * SIDE], one[SIDE * SIDE], many[SIDE * SIDE];
    for (int i = 0; i < SIDE * SIDE; i++) source[i] = noise();
    omp_set_num_threads(1);
    cr_assert_eq(joint_bilateral(&image, source, one), 0);
    omp_set_num_threads(5);
    cr_assert_eq(joint_bilateral(&image, source, many), 0);
    cr_expect_eq(memcmp(one, many, sizeof one), 0);
    free(image.pixels);
#endif
}

Test(prompting, posthoc_map_and_mask_equal_the_released_script) {
    // clang-format off
    static const uint8_t expected[H * W] = {
        0, 0, 0, 0, 0, 151, 149, 152, 155,
        0, 0, 0, 0, 0, 154, 158, 154, 150,
        0, 0, 0, 0, 0, 154, 146, 153, 157,
        3, 3, 4, 4, 6,   8,   8,   9,   8,
        3, 3, 3, 4, 5,   7,   6,   5,   5,
        3, 3, 3, 4, 5,   5,   5,   5,   5,
    };
    // clang-format on
    static const char *rows = ".....####.....####.....####..#######...######...######";
    Image image = reference_image();
    PosthocOptions options = reference_options();
    uint8_t map[H * W];
    cr_assert_eq(posthoc_map(&image, &reference_point, 1, &options, map), 0);
    expect_map(map, expected, W, H);
    cr_assert_eq(posthoc_mask(&image, &reference_point, 1, &options, map), 0);
    for (int i = 0; i < H * W; i++) cr_expect_eq(map[i], rows[i] == '#', "pixel %d", i);
}

Test(prompting, several_points_give_the_greatest_of_their_maps) {
    Image image = noise_image(23, 17, 11);
    PosthocOptions options = posthoc_options();
    const PixelPoint points[3] = {{2, 3}, {20, 15}, {11, 9}};
    uint8_t all[23 * 17], one[23 * 17], greatest[23 * 17] = {0};
    cr_assert_eq(posthoc_map(&image, points, 3, &options, all), 0);
    for (int i = 0; i < 3; i++) {
        cr_assert_eq(posthoc_map(&image, points + i, 1, &options, one), 0);
        for (int p = 0; p < 23 * 17; p++)
            if (one[p] > greatest[p]) greatest[p] = one[p];
    }
    expect_map(all, greatest, 23, 17);
    free(image.pixels);
}

// Two white bars on black, 20 columns apart: wider than the filter.
static Image two_bars(void) {
    static uint8_t pixels[40 * 12 * 3];
    for (int i = 0; i < 40 * 12 * 3; i++) {
        int x = i / 3 % 40;
        pixels[i] = (x >= 4 && x < 10) || (x >= 30 && x < 36) ? 255 : 0;
    }
    return (Image){40, 12, 3, pixels};
}

Test(prompting, component_rule_keeps_only_what_the_prompt_touches) {
    Image image = two_bars();
    PosthocOptions options = posthoc_options();
    PixelPoint point = {6, 5};
    uint8_t mask[40 * 12];
    cr_assert_eq(posthoc_mask(&image, &point, 1, &options, mask), 0);
    cr_expect(mask[5 * 40 + 7] && mask[5 * 40 + 32] && !mask[5 * 40 + 20]);
    options.component = true;
    cr_assert_eq(posthoc_mask(&image, &point, 1, &options, mask), 0);
    cr_expect(mask[5 * 40 + 7] && !mask[5 * 40 + 32] && !mask[5 * 40 + 20]);
}

Test(prompting, branch_mask_is_what_is_closer_to_the_query_than_to_black) {
    Image image = noise_image(31, 29, 5);
    const PixelPoint points[2] = {{4, 4}, {25, 20}};
    uint8_t mask[31 * 29];
    double q[3];
    cr_assert_eq(gaussian_query(&image, points, 2, 0.05, q), 0);
    cr_assert_eq(branch_readout(&image, points, 2, 0.05, mask), 0);
    int inside = 0;
    for (int i = 0; i < 31 * 29; i++) {
        double to_query = 0, to_black = 0;
        for (int c = 0; c < 3; c++) {
            double f = image.pixels[3 * i + c];
            to_query += (f - q[c]) * (f - q[c]);
            to_black += f * f;
        }
        cr_expect_eq(mask[i], to_query < to_black, "pixel %d", i);
        inside += mask[i];
    }
    cr_expect(inside > 0 && inside < 31 * 29);
    free(image.pixels);
}

Test(prompting, branch_mask_of_a_black_image_is_empty) {
    uint8_t pixels[27] = {0}, mask[9];
    Image image = {3, 3, 3, pixels};
    PixelPoint point = {1, 1};
    cr_assert_eq(branch_readout(&image, &point, 1, 0.01, mask), 0);
    for (int i = 0; i < 9; i++) cr_expect_eq(mask[i], 0);
}
