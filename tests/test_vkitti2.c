// SPDX-License-Identifier: MIT
// Virtual KITTI 2, on trees in the original layout that the tests make: no original file was at
// hand.
#include "data/dataset.h"
#include "tests/make_files.h"

enum { W = 6, H = 4 };

static const int32_t usual[W * H] = {0, 0, 5, 5,   0,   0, 0, 0, 5, 131, 131, 0,
                                     0, 0, 0, 131, 131, 0, 0, 0, 0, 0,   0,   1};

static void add_frame(const char *rgb, const char *labels, const char *drive, int camera,
                      int number) {
    char name[256];
    snprintf(name, sizeof name, "%s/frames/rgb/Camera_%d/rgb_%05d.jpg", drive, camera, number);
    make_jpeg(make_place(rgb, name).text, W, H, 90);
    if (!labels) return;
    snprintf(name, sizeof name, "%s/Camera_%d/instancegt_%05d.png", drive, camera, number);
    char *where = strstr(name, "/Camera"), tail[64];
    snprintf(tail, sizeof tail, "%s", where);
    snprintf(where, sizeof name - (size_t)(where - name), "/frames/instanceSegmentation%s", tail);
    make_palette_png(make_place(labels, name).text, W, H, usual);
}

static Dataset *opened(const char *path, const char *subset) {
    Dataset *set = dataset_open("vkitti2", &(DatasetOptions){.path = path, .subset = subset});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

static void expect_names(const Dataset *set, int count, const char *const *names) {
    cr_assert_eq(dataset_count(set), count);
    for (int i = 0; i < count; i++) {
        Sample sample;
        cr_assert_eq(dataset_read(set, i, &sample), 0, "%s", error_message());
        cr_expect_str_eq(sample.name, names[i]);
        sample_free(&sample);
    }
}

Test(vkitti2, an_index_of_the_palette_is_a_vehicle_and_the_rest_unknown) {
    const Path root = scratch_make();
    add_frame(root.text, root.text, "Scene01/fog", 0, 12);
    Dataset *set = opened(root.text, NULL);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect(sample.no_background);
    cr_expect_null(sample.ignore);
    cr_assert_eq(sample.instance_count, 3);
    const int64_t ids[3] = {1, 5, 131};
    const int areas[3] = {1, 3, 4};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(sample.instances[i].id, ids[i]);
        cr_expect_eq(sample.instances[i].area, areas[i]);
    }
    for (int i = 0; i < W * H; i++)
        cr_expect_eq(sample.labels.ids[i], usual[i] == 131 ? 3 : usual[i] == 5 ? 2 : usual[i]);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(root.text);
}

Test(vkitti2, the_five_weathers_of_both_cameras_are_taken_in_order) {
    const Path root = scratch_make();
    add_frame(root.text, root.text, "Scene20/rain", 1, 0);
    add_frame(root.text, root.text, "Scene02/sunset", 0, 3);
    add_frame(root.text, root.text, "Scene02/sunset", 0, 2);
    add_frame(root.text, root.text, "Scene02/clone", 0, 0);
    add_frame(root.text, root.text, "Scene02/15-deg-left", 0, 0);
    add_frame(root.text, NULL, "Scene02/fog", 0, 7);
    write_bytes(make_place(root.text, "Scene02/sunset/frames/rgb/Camera_0/._rgb_00009.jpg").text,
                "x", 1);
    Dataset *set = opened(root.text, NULL);
    expect_names(set, 3,
                 (const char *const[]){"Scene02/sunset/Camera_0/00002",
                                       "Scene02/sunset/Camera_0/00003",
                                       "Scene20/rain/Camera_1/00000"});
    cr_expect_not_null(strstr(dataset_describe(set), "1 images without labels"), "%s",
                       dataset_describe(set));
    dataset_close(set);
    set = opened(root.text, "all");
    cr_expect_eq(dataset_count(set), 5);
    dataset_close(set);
    set = opened(root.text, "clone");
    expect_names(set, 1, (const char *const[]){"Scene02/clone/Camera_0/00000"});
    dataset_close(set);
    folder_remove(root.text);
}

Test(vkitti2, the_folders_of_the_archives_may_stand_side_by_side_and_in_lower_case) {
    const Path root = scratch_make();
    const Path rgb = in_folder(root.text, "vkitti_2.0.3_rgb");
    const Path labels = in_folder(root.text, "vkitti_2.0.3_instanceSegmentation");
    add_frame(rgb.text, labels.text, "Scene06/morning", 0, 1);
    const Path camel = in_folder(labels.text, "Scene06/morning/frames/instanceSegmentation");
    const Path lower = in_folder(labels.text, "Scene06/morning/frames/instancesegmentation");
    Dataset *set = opened(root.text, NULL);
    cr_expect_eq(dataset_count(set), 1);
    dataset_close(set);
    cr_assert_eq(rename(camel.text, lower.text), 0);
    set = opened(root.text, NULL);
    expect_names(set, 1, (const char *const[]){"Scene06/morning/Camera_0/00001"});
    dataset_close(set);
    folder_remove(root.text);
}

Test(vkitti2, faults_are_errors_that_name_the_file) {
    const Path root = scratch_make();
    add_frame(root.text, root.text, "Scene01/fog", 0, 0);
    const Path labels = in_folder(
        root.text, "Scene01/fog/frames/instanceSegmentation/Camera_0/instancegt_00000.png");
    Dataset *set = opened(root.text, NULL);
    Sample sample;
    make_palette_png(labels.text, H, W, usual);
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    expect_error("instancegt_00000.png are 4x6");
    Image colours;
    cr_assert_eq(image_new(&colours, W, H, 3), 0);
    cr_assert_eq(image_write_png(labels.text, &colours), 0);
    image_free(&colours);
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    expect_error("colour type 2");
    write_bytes(labels.text, "\x89PNG\r\n\x1a\njunk", 12);
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    expect_error("instancegt_00000.png: truncated or damaged PNG");
    dataset_close(set);
    folder_remove(root.text);
}

Test(vkitti2, what_is_no_such_folder_is_refused_by_name) {
    const Path root = scratch_make();
    const DatasetOptions cases[] = {{.path = root.text},
                                    {.path = in_folder(root.text, "none").text},
                                    {.path = root.text, .split = "train"},
                                    {.path = root.text, .subset = "snow"}};
    const char *const parts[] = {"no frame found", "none", "no choice of split", "\"snow\""};
    for (int i = 0; i < 4; i++) {
        cr_expect_null(dataset_open("vkitti2", &cases[i]));
        expect_error(parts[i]);
    }
    folder_remove(root.text);
}
