// SPDX-License-Identifier: MIT
// Sample transforms: all parts of a sample move together, and random crops keep their rule.
#include "data/resample.h"
#include "data/transform.h"
#include "tests/sample_data.h"

// 12 wide, 8 high: instance 1 in columns 2..4, instance 2 with an own mask in rows 5..6, which the
// labels show except where instance 1 covers it, ignore in the last column.
static Sample make_sample(void) {
    Sample sample = {.name = "made", .instance_count = 2};
    cr_assert_eq(image_new(&sample.image, 12, 8, 3), 0);
    cr_assert_eq(label_map_new(&sample.labels, 12, 8), 0);
    sample.ignore = calloc(96, 1);
    sample.instances = calloc(2, sizeof *sample.instances);
    uint8_t *mask = sample.instances[1].mask = calloc(96, 1);
    for (int y = 0; y < 8; y++)
        for (int x = 0; x < 12; x++) {
            const int i = 12 * y + x;
            for (int c = 0; c < 3; c++) sample.image.pixels[3 * i + c] = (uint8_t)(i + 100 * c);
            mask[i] = y == 5 || y == 6;
            sample.labels.ids[i] = x >= 2 && x <= 4 ? 1 : mask[i] ? 2 : 0;
            sample.ignore[i] = x == 11;
        }
    sample.instances[0] = (Instance){.id = 70, .category = 3, .area = 24};
    sample.instances[1].id = 80;
    return sample;
}

// Every pixel of `sample` is the pixel of the made sample that `columns` and `rows` name.
static void expect_moved(const Sample *sample, const int *columns, const int *rows) {
    Sample old = make_sample();
    for (int y = 0; y < sample->labels.height; y++)
        for (int x = 0; x < sample->labels.width; x++) {
            const int i = y * sample->labels.width + x, from = 12 * rows[y] + columns[x];
            cr_expect_eq(sample->labels.ids[i], old.labels.ids[from], "labels, pixel %d", i);
            cr_expect_eq(sample->ignore[i], old.ignore[from], "ignore, pixel %d", i);
            cr_expect_eq(sample->instances[1].mask[i], old.instances[1].mask[from],
                         "mask, pixel %d", i);
        }
    sample_free(&old);
}

static void expect_image_moved(const Sample *sample, const int *columns, const int *rows) {
    Sample old = make_sample();
    cr_assert_eq(sample->image.width, sample->labels.width);
    cr_assert_eq(sample->image.height, sample->labels.height);
    for (int y = 0; y < sample->image.height; y++)
        for (int x = 0; x < sample->image.width; x++)
            cr_expect_arr_eq(sample->image.pixels + 3 * (y * sample->image.width + x),
                             old.image.pixels + 3 * (12 * rows[y] + columns[x]), 3);
    sample_free(&old);
}

Test(transform, flip_mirrors_rows_of_any_width) {
    for (int width = 1; width < 400; width += 57) {
        Sample sample = {0};
        cr_assert_eq(image_new(&sample.image, width, 2, 3), 0);
        cr_assert_eq(label_map_new(&sample.labels, width, 2), 0);
        sample.ignore = calloc(2 * (size_t)width, 1);
        for (int i = 0; i < 6 * width; i++) sample.image.pixels[i] = (uint8_t)(i * 7);
        for (int i = 0; i < 2 * width; i++) {
            sample.labels.ids[i] = 1000 * i;
            sample.ignore[i] = (uint8_t)i;
        }
        sample_flip(&sample);
        for (int i = 0; i < 2 * width; i++) {
            const int from = i / width * width + width - 1 - i % width;
            cr_expect_eq(sample.labels.ids[i], 1000 * from, "%d of %d", i, width);
            cr_expect_eq(sample.ignore[i], (uint8_t)from);
            for (int c = 0; c < 3; c++)
                cr_expect_eq(sample.image.pixels[3 * i + c], (uint8_t)((3 * from + c) * 7));
        }
        sample_free(&sample);
    }
}

Test(transform, flip_mirrors_every_part_and_twice_is_nothing) {
    Sample sample = make_sample();
    int mirrored[12], same[12];
    for (int x = 0; x < 12; x++) {
        mirrored[x] = 11 - x;
        same[x] = x;
    }
    sample_flip(&sample);
    expect_moved(&sample, mirrored, same);
    expect_image_moved(&sample, mirrored, same);
    sample_flip(&sample);
    expect_moved(&sample, same, same);
    expect_image_moved(&sample, same, same);
    sample_free(&sample);
}

Test(transform, resize_takes_nearest_labels_and_a_bilinear_image) {
    Sample sample = make_sample(), old = make_sample();
    int columns[7], rows[9];
    resample_nearest_indices(12, 7, columns);
    resample_nearest_indices(8, 9, rows);
    cr_assert_eq(sample_resize(&sample, 7, 9), 0, "%s", error_message());
    cr_assert_eq(sample.labels.width, 7);
    cr_assert_eq(sample.labels.height, 9);
    expect_moved(&sample, columns, rows);
    Image image;
    cr_assert_eq(image_resize(&old.image, 7, 9, RESAMPLE_BILINEAR, &image), 0);
    cr_expect_eq(sample.image.width, 7);
    cr_expect_eq(sample.image.height, 9);
    cr_expect_arr_eq(sample.image.pixels, image.pixels, 7 * 9 * 3);
    image_free(&image);
    sample_free(&sample);
    sample_free(&old);
}

Test(transform, resize_to_an_impossible_size_is_an_error) {
    Sample sample = make_sample();
    cr_expect_eq(sample_resize(&sample, 0, 9), -1);
    expect_error("0x9");
    sample_free(&sample);
}

Test(transform, crop_cuts_every_part) {
    Sample sample = make_sample();
    const int columns[5] = {3, 4, 5, 6, 7}, rows[4] = {2, 3, 4, 5};
    cr_assert_eq(sample_crop(&sample, 3, 2, 5, 4), 0, "%s", error_message());
    expect_moved(&sample, columns, rows);
    expect_image_moved(&sample, columns, rows);
    sample_free(&sample);
}

Test(transform, a_crop_beyond_the_sample_is_an_error) {
    Sample sample = make_sample();
    const int cases[5][4] = {
        {8, 0, 5, 4}, {0, 5, 5, 4}, {-1, 0, 5, 4}, {0, 0, 13, 8}, {0, 0, 0, 8}};
    for (int i = 0; i < 5; i++) {
        cr_expect_eq(sample_crop(&sample, cases[i][0], cases[i][1], cases[i][2], cases[i][3]), -1);
        expect_error("12x8");
    }
    sample_free(&sample);
}

Test(transform, random_crops_reach_every_place_and_repeat_with_their_stream) {
    int seen[8] = {0};
    for (uint64_t item = 0; item < 200; item++) {
        uint8_t first[2] = {0};
        for (int run = 0; run < 2; run++) {
            Sample sample = make_sample();
            Rng rng = rng_stream(1, "crop", item, 0);
            cr_assert_eq(sample_crop_random(&sample, 11, 5, &rng), 0, "%s", error_message());
            cr_assert_eq(sample.labels.width, 11);
            cr_assert_eq(sample.labels.height, 5);
            first[run] = sample.image.pixels[0];
            sample_free(&sample);
        }
        cr_expect_eq(first[0], first[1]);
        cr_assert(first[0] % 12 < 2 && first[0] / 12 < 4);
        seen[first[0] / 12 * 2 + first[0] % 12]++;
    }
    for (int i = 0; i < 8; i++) cr_expect(seen[i] > 8, "place %d: %d of 200", i, seen[i]);
}

Test(transform, random_crops_avoid_black_images_and_places_without_instances) {
    for (uint64_t item = 0; item < 100; item++) {
        Sample sample = make_sample();
        memset(sample.labels.ids, 0, 96 * sizeof *sample.labels.ids);
        for (int y = 0; y < 8; y++) sample.labels.ids[12 * y + 2] = 1;
        for (int y = 0; y < 6; y++) memset(sample.image.pixels + 36 * y, 0, 36);
        Rng rng = rng_stream(1, "crop", item, 0);
        cr_assert_eq(sample_crop_random(&sample, 2, 2, &rng), 0);
        int instances = 0, light = 0;
        for (int i = 0; i < 4; i++) instances += sample.labels.ids[i] != 0;
        for (int i = 0; i < 12; i++) light += sample.image.pixels[i] != 0;
        cr_expect_gt(instances, 0);
        cr_expect_gt(light, 0);
        sample_free(&sample);
    }
}

Test(transform, a_sample_without_instances_is_cropped_after_all) {
    Sample sample = make_sample();
    memset(sample.labels.ids, 0, 96 * sizeof *sample.labels.ids);
    Rng rng = rng_stream(1, "crop", 0, 0);
    cr_expect_eq(sample_crop_random(&sample, 4, 4, &rng), 0);
    cr_expect_eq(sample.labels.width, 4);
    sample_free(&sample);
}

Test(transform, a_small_sample_is_enlarged_to_cover_the_crop) {
    const int sizes[3][2] = {{24, 10}, {10, 40}, {13, 8}};
    for (int i = 0; i < 3; i++) {
        Sample sample = make_sample();
        Rng rng = rng_stream(1, "crop", 0, 0);
        cr_assert_eq(sample_crop_random(&sample, sizes[i][0], sizes[i][1], &rng), 0, "%s",
                     error_message());
        cr_expect_eq(sample.labels.width, sizes[i][0]);
        cr_expect_eq(sample.image.height, sizes[i][1]);
        sample_free(&sample);
    }
}

Test(transform, vanished_instances_are_dropped_and_the_others_renumbered) {
    Sample sample = make_sample();
    cr_assert_eq(sample_crop(&sample, 5, 4, 7, 4), 0);
    cr_assert_eq(sample_drop_vanished(&sample), 1);
    cr_assert_eq(sample.instance_count, 1);
    cr_expect_eq(sample.instances[0].id, 80);
    for (int i = 0; i < 28; i++)
        cr_expect_eq(sample.labels.ids[i], sample.instances[0].mask[i], "pixel %d", i);
    cr_assert_eq(sample_crop(&sample, 0, 0, 7, 1), 0);
    cr_expect_eq(sample_drop_vanished(&sample), 1);
    cr_expect_eq(sample.instance_count, 0);
    sample_free(&sample);
}

Test(transform, an_instance_hidden_in_the_labels_stays_by_its_mask) {
    Sample sample = make_sample();
    cr_assert_eq(sample_crop(&sample, 2, 4, 3, 4), 0);
    cr_expect_eq(sample_drop_vanished(&sample), 0);
    uint8_t mask[12];
    sample_mask(&sample, 0, mask);
    for (int i = 0; i < 12; i++) cr_expect_eq(mask[i], 1);
    sample_mask(&sample, 1, mask);
    for (int i = 0; i < 12; i++) cr_expect_eq(mask[i], i >= 3 && i < 9, "pixel %d", i);
    sample_free(&sample);
}
