// SPDX-License-Identifier: MIT
// Resampling against the printed vectors and against definitions written a second time.
#include "data/resample.h"
#include "data/resample_rows.h"
#include "tests/sample_data.h"

#include <math.h>

// The 7x5 image of the vectors, the same in every channel.
static Image vector_image(int channels) {
    Image image;
    cr_assert_eq(image_new(&image, 7, 5, channels), 0);
    for (int y = 0; y < 5; y++)
        for (int x = 0; x < 7; x++)
            for (int c = 0; c < channels; c++)
                image.pixels[(y * 7 + x) * channels + c] =
                    (uint8_t)((53 * x + 97 * y + 29 * x * y) % 256);
    return image;
}

static void expect_pixels(int width, int height, Resample filter, const uint8_t *expected) {
    for (int channels = 1; channels <= 3; channels += 2) {
        Image in = vector_image(channels), out;
        cr_assert_eq(image_resize(&in, width, height, filter, &out), 0, "%s", error_message());
        cr_assert_eq(out.width, width);
        cr_assert_eq(out.height, height);
        for (int i = 0; i < width * height; i++)
            for (int c = 0; c < channels; c++)
                cr_expect_eq(out.pixels[i * channels + c], expected[i],
                             "filter %d, %d channels, row %d column %d: %d, expected %d",
                             (int)filter, channels, i / width, i % width,
                             out.pixels[i * channels + c], expected[i]);
        image_free(&in);
        image_free(&out);
    }
}

// clang-format off
Test(resample, bilinear_equals_the_vectors) {
    expect_pixels(4, 3, RESAMPLE_BILINEAR, (const uint8_t[]){
        71, 90, 159, 93,  122, 95, 133, 156,  98, 141, 117, 155});
    expect_pixels(9, 8, RESAMPLE_BILINEAR, (const uint8_t[]){
        0, 35, 77, 118, 159, 200, 99, 27, 62,      42, 86, 88, 76, 128, 179, 150, 100, 69,
        103, 149, 102, 30, 83, 148, 213, 193, 78,  164, 114, 99, 95, 38, 117, 196, 190, 87,
        144, 107, 106, 116, 73, 104, 180, 187, 97, 45, 126, 121, 92, 188, 109, 163, 184, 106,
        90, 98, 121, 149, 159, 81, 146, 182, 115,  132, 74, 120, 195, 127, 59, 134, 180, 122});
}

Test(resample, bicubic_equals_the_vectors) {
    expect_pixels(4, 3, RESAMPLE_BICUBIC, (const uint8_t[]){
        68, 89, 166, 88,  129, 86, 135, 165,  93, 146, 116, 158});
    expect_pixels(9, 8, RESAMPLE_BICUBIC, (const uint8_t[]){
        0, 22, 75, 126, 164, 222, 86, 0, 65,       31, 88, 89, 67, 134, 194, 151, 87, 66,
        100, 166, 105, 8, 82, 147, 235, 206, 70,   187, 110, 96, 104, 19, 109, 220, 205, 80,
        158, 99, 103, 129, 62, 94, 193, 197, 90,   32, 138, 126, 77, 194, 97, 166, 196, 101,
        85, 94, 123, 156, 165, 63, 146, 194, 113,  144, 55, 116, 222, 122, 38, 135, 193, 119});
}

Test(resample, lanczos_equals_the_vectors) {
    expect_pixels(4, 3, RESAMPLE_LANCZOS, (const uint8_t[]){
        69, 88, 167, 88,  136, 75, 141, 172,  88, 148, 119, 155});
    expect_pixels(9, 8, RESAMPLE_LANCZOS, (const uint8_t[]){
        0, 13, 77, 131, 164, 232, 80, 0, 71,       19, 93, 92, 57, 142, 202, 154, 78, 67,
        100, 173, 107, 2, 78, 140, 254, 205, 64,   207, 111, 97, 107, 5, 89, 250, 211, 74,
        157, 93, 102, 132, 65, 86, 202, 189, 85,   28, 142, 126, 74, 194, 97, 166, 200, 96,
        78, 95, 123, 158, 173, 58, 143, 200, 108,  159, 44, 113, 240, 114, 24, 138, 199, 114});
}

Test(resample, nearest_equals_the_vectors) {
    expect_pixels(4, 3, RESAMPLE_NEAREST, (const uint8_t[]){
        0, 106, 212, 62,  194, 160, 126, 92,  132, 214, 40, 122});
    int indices[9];
    resample_nearest_indices(7, 9, indices);
    cr_expect_arr_eq(indices, ((int[]){0, 1, 1, 2, 3, 4, 5, 5, 6}), sizeof indices);
    resample_nearest_indices(5, 8, indices);
    cr_expect_arr_eq(indices, ((int[]){0, 0, 1, 2, 2, 3, 4, 4}), 8 * sizeof *indices);
}
// clang-format on

Test(resample, nearest_steps_by_a_running_sum) {
    const int cases[6][3] = {{768, 480, 184100},  {1024, 640, 327396}, {768, 224, 85912},
                             {1024, 224, 114567}, {375, 368, 68816},   {1242, 1024, 635392}};
    for (int i = 0; i < 6; i++) {
        int indices[1024], sum = 0;
        resample_nearest_indices(cases[i][0], cases[i][1], indices);
        for (int k = 0; k < cases[i][1]; k++) sum += indices[k];
        cr_expect_eq(sum, cases[i][2], "%d -> %d: %d, expected %d", cases[i][0], cases[i][1], sum,
                     cases[i][2]);
    }
}

Test(resample, labels_and_masks_take_the_nearest_indices) {
    LabelMap labels, small;
    uint8_t mask[48 * 32];
    cr_assert_eq(label_map_new(&labels, 48, 32), 0);
    for (int i = 0; i < 48 * 32; i++) {
        labels.ids[i] = 70000 * (i % 48) + i / 48;
        mask[i] = (uint8_t)(i * 7 / 5);
    }
    int columns[30], rows[17];
    resample_nearest_indices(48, 30, columns);
    resample_nearest_indices(32, 17, rows);
    cr_assert_eq(label_map_resize(&labels, 30, 17, &small), 0);
    uint8_t *small_mask = mask_resize(mask, 48, 32, 30, 17);
    cr_assert_not_null(small_mask);
    for (int y = 0; y < 17; y++)
        for (int x = 0; x < 30; x++) {
            cr_expect_eq(small.ids[y * 30 + x], 70000 * columns[x] + rows[y]);
            cr_expect_eq(small_mask[y * 30 + x], mask[rows[y] * 48 + columns[x]]);
        }
    free(small_mask);
    label_map_free(&labels);
    label_map_free(&small);
}

Test(resample, the_same_size_is_a_copy_and_one_side_alone_skips_a_pass) {
    Image in = vector_image(3), copy, wide, tall, both;
    cr_assert_eq(image_resize(&in, 7, 5, RESAMPLE_LANCZOS, &copy), 0);
    cr_expect_arr_eq(copy.pixels, in.pixels, 7 * 5 * 3);
    cr_expect_neq(copy.pixels, in.pixels);
    cr_assert_eq(image_resize(&in, 9, 5, RESAMPLE_BICUBIC, &wide), 0);
    cr_assert_eq(image_resize(&wide, 9, 8, RESAMPLE_BICUBIC, &tall), 0);
    cr_assert_eq(image_resize(&in, 9, 8, RESAMPLE_BICUBIC, &both), 0);
    cr_expect_arr_eq(tall.pixels, both.pixels, 9 * 8 * 3);
    image_free(&tall);
    image_free(&in);
    image_free(&copy);
    image_free(&wide);
    image_free(&both);
}

Test(resample, float_bilinear_equals_the_vectors) {
    const float in[7] = {0, 1, 4, 9, 16, 25, 36};
    const double three[3] = {1.2857141, 9.9411774, 26.9999981};
    const double ten[10] = {0, 0.55, 1.75, 3.85, 7.25, 11.45, 16.45, 22.75, 29.95, 36};
    float out[10];
    for (int upright = 0; upright < 2; upright++) {
        const int width = upright ? 1 : 7, height = upright ? 7 : 1;
        cr_assert_eq(
            resize_bilinear_float(in, width, height, 1, upright ? 1 : 3, upright ? 3 : 1, out), 0);
        for (int i = 0; i < 3; i++) cr_expect_float_eq(out[i], three[i], 2e-6, "%.7f", out[i]);
        cr_assert_eq(
            resize_bilinear_float(in, width, height, 1, upright ? 1 : 10, upright ? 10 : 1, out),
            0);
        for (int i = 0; i < 10; i++) cr_expect_float_eq(out[i], ten[i], 4e-6, "%.7f", out[i]);
    }
}

Test(resample, float_bilinear_treats_channels_alike) {
    float in[5 * 4 * 3], one[5 * 4], out[7 * 2 * 3], expected[7 * 2];
    for (int i = 0; i < 5 * 4 * 3; i++) in[i] = (float)sin(i);
    cr_assert_eq(resize_bilinear_float(in, 5, 4, 3, 7, 2, out), 0);
    for (int c = 0; c < 3; c++) {
        for (int i = 0; i < 20; i++) one[i] = in[3 * i + c];
        cr_assert_eq(resize_bilinear_float(one, 5, 4, 1, 7, 2, expected), 0);
        for (int i = 0; i < 14; i++) cr_expect_eq(out[3 * i + c], expected[i]);
    }
}

Test(resample, an_extreme_ratio_keeps_the_mean) {
    Image in, out;
    cr_assert_eq(image_new(&in, 5000, 1, 1), 0);
    for (int i = 0; i < 5000; i++) in.pixels[i] = (uint8_t)(i % 200);
    for (int filter = RESAMPLE_BILINEAR; filter <= RESAMPLE_LANCZOS; filter++) {
        cr_assert_eq(image_resize(&in, 1, 1, (Resample)filter, &out), 0);
        cr_expect(abs(out.pixels[0] - 100) <= 4, "%d", out.pixels[0]);
        image_free(&out);
        cr_assert_eq(image_resize(&in, 1, 3000, (Resample)filter, &out), 0);
        image_free(&out);
    }
    image_free(&in);
}

Test(resample, impossible_sizes_and_channels_are_errors) {
    Image in = vector_image(3), out;
    cr_expect_eq(image_resize(&in, 0, 4, RESAMPLE_BILINEAR, &out), -1);
    expect_error("0x4");
    cr_expect_eq(image_resize(&in, 4, 70000, RESAMPLE_BILINEAR, &out), -1);
    expect_error("70000");
    cr_expect_eq(image_resize(&in, 4, -1, RESAMPLE_NEAREST, &out), -1);
    expect_error("4x-1");
    image_free(&in);
    cr_assert_eq(image_new(&in, 4, 4, 4), 0);
    cr_expect_eq(image_resize(&in, 2, 2, RESAMPLE_BILINEAR, &out), -1);
    expect_error("4 channels");
    cr_expect_eq(image_resize(&in, 2, 2, RESAMPLE_NEAREST, &out), 0);
    image_free(&in);
    image_free(&out);
    cr_expect_null(mask_resize((const uint8_t *)"", 1, 1, 0, 3));
    expect_error("0x3");
    float value = 1;
    cr_expect_eq(resize_bilinear_float(&value, 1, 1, 1, 0, 1, &value), -1);
    expect_error("0x1");
}

// Windows of `taps` weights of 22 fractional bits, some negative, that slide over `in` pixels.
static Windows sliding_windows(int in, int out, int taps) {
    Windows windows = {.stride = taps,
                       .first = calloc((size_t)out, sizeof(int)),
                       .count = calloc((size_t)out, sizeof(int)),
                       .weights = calloc((size_t)(out * taps), sizeof(int32_t))};
    for (int x = 0; x < out; x++) {
        windows.first[x] = x * (in - taps) / (out > 1 ? out - 1 : 1);
        windows.count[x] = taps - x % taps;
        for (int k = 0; k < taps; k++)
            windows.weights[x * taps + k] = (int32_t)((x * 7919 + k * 104729) % 3000001) - 600000;
    }
    return windows;
}

static int weighted(const uint8_t *in, size_t step, const int32_t *weights, int count) {
    int64_t sum = 1 << 21;
    for (int k = 0; k < count; k++) sum += (int64_t)in[(size_t)k * step] * weights[k];
    return sum < 0 ? 0 : sum >> 22 > 255 ? 255 : (int)(sum >> 22);
}

Test(resample, vector_instructions_give_the_sums_of_plain_integers) {
    enum { HEIGHT = 3, MOST = 90 };
    uint8_t in[HEIGHT * MOST * 3], out[HEIGHT * MOST * 3 + 1];
    for (size_t i = 0; i < sizeof in; i++) in[i] = (uint8_t)(i * i * 31 + i * 17);
    for (int width = 9; width <= MOST; width += 9)
        for (int taps = 1; taps <= 9; taps++) {
            const int to = MOST - width + 1;
            Windows windows = sliding_windows(width, to, taps);
            out[HEIGHT * to * 3] = 77;
            cr_assert_eq(resample_rows(in, width, HEIGHT, 3, &windows, to, out), 0);
            cr_expect_eq(out[HEIGHT * to * 3], 77, "written beyond the last pixel");
            for (int i = 0; i < HEIGHT * to * 3; i++) {
                const int c = i % 3, x = i / 3 % to, y = i / 3 / to;
                cr_expect_eq(out[i],
                             weighted(in + 3 * (y * width + windows.first[x]) + c, 3,
                                      windows.weights + x * taps, windows.count[x]),
                             "%d taps, %d to %d pixels, at %d, %d, %d", taps, width, to, y, x, c);
            }
            free(windows.first);
            free(windows.count);
            free(windows.weights);
        }
    const int32_t weights[HEIGHT] = {3000000, -700000, 2000000};
    for (size_t row = 1; row <= 3 * MOST; row++) {
        resample_column(in, row, weights, HEIGHT, out);
        for (size_t x = 0; x < row; x++)
            cr_expect_eq(out[x], weighted(in + x, row, weights, HEIGHT), "%zu of %zu", x, row);
    }
}
