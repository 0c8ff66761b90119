// SPDX-License-Identifier: MIT
// Whichever allocation fails while a set is opened, read and transformed: an error, no crash, and
// (seen by the sanitizers) no leak.
#include "base/memory.h"
#include "data/transform.h"
#include "tests/make_files.h"

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
    write_bytes(in_folder(root.text, "mine.txt").text, "a\n", 2);
    const DatasetOptions listed = {.path = root.text, .split = "mine"};
    cr_expect_gt(fail_in_turn("folder", &listed, 1), 30);
    const DatasetOptions share = {.path = root.text, .split = "val@0.5@1"};
    cr_expect_gt(fail_in_turn("folder", &share, 1), 30);
    folder_remove(root.text);
}

static const int32_t labels[40 * 30] = {0, 1, 1, 2, 2};

Test(data_allocation, every_failure_in_sets_of_pairs_is_an_error) {
    const Path root = scratch_make();
    const char *const files[][3] = {
        {"vkitti2", "Scene01/fog/frames/rgb/Camera_0/rgb_00000.jpg",
         "Scene01/fog/frames/instanceSegmentation/Camera_0/instancegt_00000.png"},
        {"clevrtex", "0/CLEVRTEX_full_000001.jpg", "0/CLEVRTEX_full_000001_flat.png"},
        {"egohos", "test_indomain/image/a.jpg", "test_indomain/label/a.png"},
        {"hrsod", "HRSOD_test/a.jpg", "HRSOD_test_mask/a.png"},
        {"dram", "test/m/a/b.jpg", "labels/m/a/b.png"},
        {"voc", "JPEGImages/a.jpg", "SegmentationObject/a.png"}};
    write_bytes(make_place(root.text, "test/dram_with_unseen.txt").text, "m/a/b\n", 6);
    write_bytes(make_place(root.text, "ImageSets/Segmentation/val.txt").text, "a\n", 2);
    make_palette_png(make_place(root.text, "SegmentationClass/a.png").text, 40, 30, labels);
    for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
        make_jpeg(make_place(root.text, files[i][1]).text, 40, 30, 90);
        make_palette_png(make_place(root.text, files[i][2]).text, 40, 30, labels);
        const DatasetOptions options = {.path = root.text};
        cr_expect_gt(fail_in_turn(files[i][0], &options, 1), 20, "%s", files[i][0]);
    }
    folder_remove(root.text);
}

Test(data_allocation, every_failure_in_sets_of_several_files_is_an_error) {
    const Path root = scratch_make();
    const char json[] =
        "{\"images\": [{\"id\": 1, \"file_name\": \"a.png\", \"width\": 40, \"height\": 30}], "
        "\"categories\": [{\"id\": 1}], \"annotations\": [{\"id\": 1, \"image_id\": 1, "
        "\"category_id\": 1, \"segmentation\": [[0, 0, 9, 0, 9, 9]]}]}";
    const char *const files[] = {"log/val/coco_format-mask_encoding=rle-instances_2017.json",
                                 "wire/val/coco_format-mask_encoding=rle-instances_2017.json",
                                 "annotations/xray_test_easy.json", "test/labels.json"};
    const char *const images[] = {"log/val/image/a.png", "wire/val/image/a.png", "test/a.png",
                                  "test/data/a.png"};
    for (int i = 0; i < 4; i++) {
        write_bytes(make_place(root.text, files[i]).text, json, sizeof json - 1);
        make_labels(make_place(root.text, images[i]).text, 40, 30, labels);
    }
    const char *const types[] = {"ishape", "pidray", "zerowaste"};
    const DatasetOptions options = {.path = root.text};
    for (int i = 0; i < 3; i++) cr_expect_gt(fail_in_turn(types[i], &options, 1), 30);
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
