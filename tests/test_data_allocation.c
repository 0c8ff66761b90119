// SPDX-License-Identifier: MIT
// Whichever allocation fails while a set is opened, read and transformed: an error, no crash, and
// (seen by the sanitizers) no leak.
#include "base/memory.h"
#include "data/transform.h"
#include "tests/sample_data.h"

static int transform(Sample *sample) {
    Rng rng = rng_stream(1, "crop", 1, 1);
    sample_flip(sample);
    if (sample_resize(sample, 60, 50)) return -1;
    if (sample_crop_random(sample, 70, 20, &rng)) return -1;
    return sample_drop_vanished(sample) < 0 ? -1 : 0;
}

// Opens the set, reads and transforms its first two samples, closes it.
static int use(const char *type, const DatasetOptions *options) {
    Dataset *set = dataset_open(type, options);
    if (!set) return -1;
    int status = 0;
    for (int64_t i = 0; status == 0 && i < dataset_count(set) && i < 2; i++) {
        Sample sample;
        status = dataset_read(set, i, &sample);
        if (status == 0) status = transform(&sample);
        sample_free(&sample);
    }
    dataset_close(set);
    return status;
}

// Lets every `step`-th allocation fail in turn; returns how many runs failed.
static int fail_in_turn(const char *type, const DatasetOptions *options, int step) {
    for (int64_t n = 1, failures = 0;; n += step, failures++) {
        memory_fail_at(n);
        const int status = use(type, options);
        memory_fail_at(0);
        const char *message = error_take();
        if (status == 0) {
            cr_expect_str_empty(message);
            return (int)failures;
        }
        cr_expect_not_null(strstr(message, "out of memory"), "allocation %lld: \"%s\"",
                           (long long)n, message);
    }
}

Test(data_allocation, every_failure_in_a_folder_is_an_error) {
    const Path root = scratch_make();
    cr_assert_eq(folder_make(in_folder(root.text, "images").text), 0);
    cr_assert_eq(folder_make(in_folder(root.text, "labels").text), 0);
    Image image;
    LabelMap map;
    cr_assert_eq(image_new(&image, 40, 30, 3), 0);
    cr_assert_eq(label_map_new(&map, 40, 30), 0);
    for (int i = 0; i < 40 * 30; i++) map.ids[i] = i % 7 == 0 ? 255 : i % 3;
    cr_assert_eq(image_write_png(in_folder(root.text, "images/a.png").text, &image), 0);
    cr_assert_eq(label_png_write(in_folder(root.text, "labels/a.png").text, &map), 0);
    image_free(&image);
    label_map_free(&map);
    const DatasetOptions options = {.path = root.text, .subset = "ignore255"};
    cr_expect_gt(fail_in_turn("folder", &options, 1), 30);
    folder_remove(root.text);
}

Test(data_allocation, every_failure_in_hypersim_is_an_error) {
    SAMPLE_ROOT(root);
    const Path path = in_folder(root.text, "Hypersim");
    const DatasetOptions options = {.path = path.text};
    cr_expect_gt(fail_in_turn("hypersim", &options, 1), 60);
}

Test(data_allocation, failures_in_coco_are_errors) {
    SAMPLE_ROOT(root);
    const Path path = in_folder(root.text, "COCO");
    const DatasetOptions options = {.path = path.text, .split = "train2017"};
    cr_expect_gt(fail_in_turn("coco", &options, 5), 20);
}
