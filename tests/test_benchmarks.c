// SPDX-License-Identifier: MIT
// The benchmarks of the evaluation suite and ClevrTex: real files of VOC, and for the others, of
// which no original file was at hand, trees in the original layout that the tests make.
#include "data/dataset.h"
#include "tests/make_files.h"

enum { W = 4, H = 3, N = W * H };

static Dataset *opened(const char *type, const char *path, const char *split, const char *subset) {
    Dataset *set =
        dataset_open(type, &(DatasetOptions){.path = path, .split = split, .subset = subset});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

static void refused(const char *type, const char *path, const char *split, const char *subset,
                    const char *part) {
    Dataset *set =
        dataset_open(type, &(DatasetOptions){.path = path, .split = split, .subset = subset});
    cr_expect_null(set);
    dataset_close(set);
    expect_error(part);
}

static void expect_unreadable(const Dataset *set, int64_t index, const char *part) {
    Sample sample;
    cr_expect_eq(dataset_read(set, index, &sample), -1, "%s", part);
    cr_expect_null(sample.image.pixels);
    expect_error(part);
}

// Reads a sample with this name and these instances: ids, areas, categories.
static void expect_sample(const Dataset *set, int64_t index, const char *name, int count,
                          const int64_t *ids, const int *areas, const int *categories) {
    Sample sample;
    cr_assert_eq(dataset_read(set, index, &sample), 0, "%s", error_message());
    cr_expect_str_eq(sample.name, name);
    cr_expect_not(sample.no_background);
    cr_assert_eq(sample.instance_count, count, "%s: %d", name, sample.instance_count);
    for (int i = 0; i < count; i++) {
        const Instance *instance = &sample.instances[i];
        cr_expect_eq(instance->id, ids[i], "%s: id %lld", name, (long long)instance->id);
        cr_expect_eq(instance->area, areas[i], "%s: area %g", name, instance->area);
        cr_expect_eq(instance->category, categories[i], "%s: category %d", name,
                     instance->category);
        uint8_t *mask = malloc((size_t)sample.labels.width * (size_t)sample.labels.height);
        int pixels = 0;
        sample_mask(&sample, i, mask);
        for (int p = 0; p < sample.labels.width * sample.labels.height; p++) pixels += mask[p];
        cr_expect_gt(pixels, 0);
        free(mask);
    }
    sample_free(&sample);
}

static int64_t ignored(const Dataset *set, int64_t index) {
    Sample sample;
    cr_assert_eq(dataset_read(set, index, &sample), 0, "%s", error_message());
    int64_t count = 0;
    for (int p = 0; sample.ignore && p < sample.labels.width * sample.labels.height; p++) {
        count += sample.ignore[p];
        if (sample.ignore[p]) cr_assert_eq(sample.labels.ids[p], 0);
    }
    sample_free(&sample);
    return count;
}

// ---- VOC ----------------------------------------------------------------------------------------

Test(voc, the_real_image_has_a_dog_a_chair_and_a_border) {
    SAMPLE_ROOT(root);
    Dataset *set = opened("voc", in_folder(root.text, "VOC2012").text, "trainval", NULL);
    cr_assert_eq(dataset_count(set), 1);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_str_eq(sample.name, "2007_000063");
    cr_assert_eq(sample.instance_count, 2);
    cr_expect_eq(sample.instances[0].category, 12);
    cr_expect_eq(sample.instances[1].category, 9);
    sample_free(&sample);
    cr_expect_eq(ignored(set, 0), 8714);
    dataset_close(set);
}

static void copy_file(const char *from, const char *to) {
    size_t size;
    char *bytes = file_read(from, 1 << 24, &size);
    cr_assert_not_null(bytes, "%s", error_message());
    write_bytes(to, bytes, size);
    free(bytes);
}

Test(voc, real_masks_of_another_tool_may_have_gaps_in_their_ids) {
    SAMPLE_ROOT(root);
    const Path from = in_folder(root.text, "VOC-format-labelme"), to = scratch_make();
    const char *const files[] = {
        "JPEGImages/2011_000003.jpg",         "JPEGImages/2011_000006.jpg",
        "SegmentationObject/2011_000003.png", "SegmentationObject/2011_000006.png",
        "SegmentationClass/2011_000003.png",  "SegmentationClass/2011_000006.png"};
    for (int i = 0; i < 6; i++)
        copy_file(in_folder(from.text, files[i]).text, make_place(to.text, files[i]).text);
    const char list[] = "2011_000003\n2011_000006\n2011_000009\n";
    write_bytes(make_place(to.text, "ImageSets/Segmentation/val.txt").text, list, sizeof list - 1);
    Dataset *set = opened("voc", to.text, NULL, NULL);
    cr_assert_eq(dataset_count(set), 2);
    cr_expect_not_null(strstr(dataset_describe(set), "1 without labels"));
    Sample sample;
    cr_assert_eq(dataset_read(set, 1, &sample), 0, "%s", error_message());
    const int64_t ids[] = {1, 2, 3, 4, 5, 7};
    cr_assert_eq(sample.instance_count, 6);
    for (int i = 0; i < 6; i++) cr_expect_eq(sample.instances[i].id, ids[i]);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(to.text);
}

static const int32_t voc_objects[N] = {1, 1, 255, 2, 1, 1, 255, 2, 0, 0, 255, 9};
static const int32_t voc_classes[N] = {12, 12, 255, 9, 12, 9, 255, 9, 0, 0, 255, 0};

Test(voc, classes_follow_the_majority_and_faults_are_named) {
    const Path root = scratch_make();
    write_bytes(make_place(root.text, "VOC2012/ImageSets/Segmentation/val.txt").text, "a\nb\n", 4);
    const Path image = make_place(root.text, "VOC2012/JPEGImages/a.jpg");
    const Path objects = make_place(root.text, "VOC2012/SegmentationObject/a.png");
    const Path classes = make_place(root.text, "VOC2012/SegmentationClass/a.png");
    make_jpeg(image.text, W, H, 60);
    make_palette_png(objects.text, W, H, voc_objects);
    Dataset *set = opened("voc", root.text, NULL, NULL);
    const int64_t ids[] = {1, 2, 9};
    const int areas[] = {4, 2, 1};
    expect_sample(set, 0, "a", 3, ids, areas, (const int[]){-1, -1, -1});
    make_palette_png(classes.text, W, H, voc_classes);
    expect_sample(set, 0, "a", 3, ids, areas, (const int[]){12, 9, -1});
    cr_expect_eq(ignored(set, 0), 3);
    make_palette_png(classes.text, H, W, voc_classes);
    expect_unreadable(set, 0, "SegmentationClass/a.png is 3x4");
    make_palette_png(objects.text, H, W, voc_objects);
    expect_unreadable(set, 0, "SegmentationObject/a.png are 3x4");
    write_bytes(image.text, "", 0);
    expect_unreadable(set, 0, "JPEGImages/a.jpg");
    dataset_close(set);
    refused("voc", root.text, "train", NULL, "Segmentation/train.txt");
    refused("voc", root.text, "../val", NULL, "expected val");
    refused("voc", root.text, NULL, "x", "no choice of subset");
    write_bytes(in_folder(root.text, "VOC2012/ImageSets/Segmentation/val.txt").text, "../a\n", 5);
    refused("voc", root.text, NULL, NULL, "not the name of an image");
    folder_remove(root.text);
}

// ---- sets of image and label files --------------------------------------------------------------

Test(egohos, every_value_is_one_instance_however_many_pieces_it_has) {
    const Path root = scratch_make();
    const Path image = make_place(root.text, "test_indomain/image/ego4d_b.jpg");
    const Path labels = make_place(root.text, "test_indomain/label/ego4d_b.png");
    make_jpeg(image.text, W, H, 60);
    make_jpeg(make_place(root.text, "test_indomain/image/ego4d_a.jpg").text, W, H, 60);
    make_labels(labels.text, W, H, (int32_t[N]){1, 0, 1, 4, 8, 8, 8, 8, 0, 0, 0, 0});
    Dataset *set = opened("egohos", root.text, NULL, NULL);
    cr_assert_eq(dataset_count(set), 1);
    cr_expect_not_null(strstr(dataset_describe(set), "1 without labels"));
    expect_sample(set, 0, "ego4d_b", 3, (const int64_t[]){1, 4, 8}, (const int[]){2, 1, 4},
                  (const int[]){1, 4, 8});
    make_palette_png(labels.text, W, H, (int32_t[N]){0, 0, 0, 0, 0, 9});
    expect_unreadable(set, 0, "ego4d_b.png: value 9 at row 1, column 1, expected at most 8");
    make_labels(labels.text, W, W, (int32_t[W * W]){1});
    expect_unreadable(set, 0, "ego4d_b.png are 4x4");
    dataset_close(set);
    refused("egohos", root.text, "test", NULL, "expected one of test_indomain, test_outdomain");
    refused("egohos", root.text, "val", NULL, "val/image");
    folder_remove(root.text);
}

Test(hrsod, an_image_has_one_mask_of_the_values_from_128_on) {
    const Path root = scratch_make();
    make_jpeg(make_place(root.text, "HRSOD_release/HRSOD_test/one.jpg").text, W, H, 60);
    const Path mask = make_place(root.text, "HRSOD_release/HRSOD_test_mask/one.png");
    make_labels(mask.text, W, H, (int32_t[N]){0, 127, 128, 255, 200, 1});
    Dataset *set = opened("hrsod", root.text, NULL, NULL);
    expect_sample(set, 0, "one", 1, (const int64_t[]){1}, (const int[]){3}, (const int[]){-1});
    Image colour;
    cr_assert_eq(image_new(&colour, W, H, 3), 0);
    colour.pixels[0] = 200; // red of the first pixel
    colour.pixels[4] = 200; // green of the second
    cr_assert_eq(image_write_png(mask.text, &colour), 0);
    image_free(&colour);
    expect_sample(set, 0, "one", 1, (const int64_t[]){1}, (const int[]){1}, (const int[]){-1});
    make_labels(mask.text, H, W, (int32_t[N]){255});
    expect_unreadable(set, 0, "one.png are 3x4");
    dataset_close(set);
    refused("hrsod", root.text, "train", NULL, "HRSOD_train");
    folder_remove(root.text);
}

Test(hrsod, the_other_packaging_is_read_too) {
    const Path root = scratch_make();
    make_jpeg(make_place(root.text, "imgs/one.jpg").text, W, H, 60);
    make_labels(make_place(root.text, "gts/one.png").text, W, H, (int32_t[N]){0});
    Dataset *set = opened("hrsod", root.text, "test", NULL);
    expect_sample(set, 0, "one", 0, NULL, NULL, NULL);
    dataset_close(set);
    folder_remove(root.text);
}

Test(dram, a_class_in_an_image_is_one_instance_and_foreign_values_are_ignored) {
    const Path root = scratch_make();
    const char list[] = "realism/an artist/a b\nunseen/art/x/c\nrealism/none/d\n";
    write_bytes(make_place(root.text, "test/dram_with_unseen.txt").text, list, sizeof list - 1);
    make_jpeg(make_place(root.text, "test/realism/an artist/a b.jpg").text, W, H, 60);
    make_jpeg(make_place(root.text, "test/unseen/art/x/c.jpg").text, W, H, 60);
    const Path labels = make_place(root.text, "labels/realism/an artist/a b.png");
    make_labels(labels.text, W, H, (int32_t[N]){15, 15, 0, 15, 3, 3, 0, 0, 1, 255, 7, 16});
    make_labels(make_place(root.text, "labels/unseen/art/x/c.png").text, W, H,
                (int32_t[N]){8, 8, 8, 8});
    Dataset *set = opened("dram", root.text, NULL, NULL);
    cr_assert_eq(dataset_count(set), 2);
    expect_sample(set, 0, "realism/an artist/a b", 3, (const int64_t[]){3, 15, 16},
                  (const int[]){2, 3, 1}, (const int[]){3, 15, 16});
    cr_expect_eq(ignored(set, 0), 3);
    expect_sample(set, 1, "unseen/art/x/c", 1, (const int64_t[]){8}, (const int[]){4},
                  (const int[]){8});
    write_bytes(labels.text, "x", 1);
    expect_unreadable(set, 0, "a b.png: not a PNG");
    dataset_close(set);
    refused("dram", root.text, "baroque", NULL, "test/baroque.txt");
    write_bytes(make_place(root.text, "test/bad.txt").text, "../../etc\n", 10);
    refused("dram", root.text, "bad", NULL, "not a path inside the folder");
    write_bytes(make_place(root.text, "test/empty.txt").text, "a/b/c\n", 6);
    refused("dram", root.text, "empty", NULL, "no image with labels");
    folder_remove(root.text);
}

static void add_clevrtex(const Path *root, int number, bool labelled) {
    char name[128];
    const int folder = number / 1000;
    snprintf(name, sizeof name, "clevrtex_full/%d/CLEVRTEX_full_%06d.png", folder, number);
    Image image;
    cr_assert_eq(image_new(&image, W, H, 4), 0);
    cr_assert_eq(image_write_png(make_place(root->text, name).text, &image), 0);
    image_free(&image);
    snprintf(name, sizeof name, "clevrtex_full/%d/CLEVRTEX_full_%06d_flat.png", folder, number);
    if (labelled)
        make_palette_png(make_place(root->text, name).text, W, H,
                         (int32_t[N]){0, 0, 2, 2, 3, 3, 3, 0});
}

Test(clevrtex, the_split_follows_the_numbers_at_any_depth) {
    const Path root = scratch_make();
    for (int i = 0; i < 20; i++) add_clevrtex(&root, i < 10 ? 1500 + i : i, true);
    add_clevrtex(&root, 3000, false);
    const struct {
        const char *split, *first;
        int64_t count;
    } splits[] = {{"test", "CLEVRTEX_full_000010", 2},
                  {"val", "CLEVRTEX_full_000012", 2},
                  {NULL, "CLEVRTEX_full_000014", 16},
                  {"all", "CLEVRTEX_full_000010", 20}};
    for (int i = 0; i < 4; i++) {
        Dataset *set = opened("clevrtex", root.text, splits[i].split, NULL);
        cr_expect_eq(dataset_count(set), splits[i].count);
        cr_expect_not_null(strstr(dataset_describe(set), "1 without labels"));
        expect_sample(set, 0, splits[i].first, 2, (const int64_t[]){2, 3}, (const int[]){2, 3},
                      (const int[]){-1, -1});
        dataset_close(set);
    }
    const Path flat = in_folder(root.text, "clevrtex_full/0/CLEVRTEX_full_000010_flat.png");
    make_palette_png(flat.text, H, W, (int32_t[N]){1});
    Dataset *set = opened("clevrtex", root.text, "test", NULL);
    expect_unreadable(set, 0, "CLEVRTEX_full_000010_flat.png are 3x4");
    dataset_close(set);
    refused("clevrtex", root.text, "dev", NULL, "expected one of train, val, test, all");
    folder_remove(root.text);
    const Path empty = scratch_make();
    refused("clevrtex", empty.text, NULL, NULL, "CLEVRTEX_*_NNNNNN.png");
    folder_remove(empty.text);
}

// ---- sets in COCO's format ----------------------------------------------------------------------

#define IMAGES "{\"images\": [{\"id\": 1, \"file_name\": \"%s\", \"width\": 4, \"height\": 3}], "
#define ONE_CATEGORY "\"categories\": [{\"id\": 1, \"name\": \"cat1\"}], "

static void write_json(const Path *path, const char *format, const char *image) {
    char text[2048];
    const int length = snprintf(text, sizeof text, format, image);
    cr_assert(length > 0 && (size_t)length < sizeof text);
    write_bytes(path->text, text, (size_t)length);
}

static void add_ishape(const Path *root, const char *subset) {
    char name[256];
    snprintf(name, sizeof name, "ishape_dataset/%s/val/image/7.jpg", subset);
    make_jpeg(make_place(root->text, name).text, W, H, 60);
    snprintf(name, sizeof name,
             "ishape_dataset/%s/val/coco_format-mask_encoding=rle-instances_2017.json", subset);
    const Path json = make_place(root->text, name);
    write_json(&json,
               IMAGES ONE_CATEGORY
               "\"annotations\": [{\"id\": 1, \"image_id\": 1, \"category_id\": 1, \"iscrowd\": 0, "
               "\"bbox\": [0, 0, 4, 3], \"segmentation\": {\"size\": [3, 4], \"counts\": "
               "\"633\"}}, {\"id\": 2, \"image_id\": 1, \"category_id\": 1, \"area\": 5, "
               "\"segmentation\": {\"size\": [3, 4], \"counts\": \"321O30\"}}]}",
               "7.jpg");
}

Test(ishape, sub_sets_are_told_apart_though_names_and_ids_recur) {
    const Path root = scratch_make();
    add_ishape(&root, "wire");
    add_ishape(&root, "fence");
    Dataset *set = opened("ishape", root.text, NULL, NULL);
    cr_assert_eq(dataset_count(set), 2);
    // Without an area in the file it is the number of pixels.
    const int64_t ids[] = {1, 2};
    const int areas[] = {3, 5}, categories[] = {1, 1};
    expect_sample(set, 0, "fence/val/7.jpg", 2, ids, areas, categories);
    expect_sample(set, 1, "wire/val/7.jpg", 2, ids, areas, categories);
    cr_expect_not_null(strstr(dataset_describe(set), "2 of 6 sub-sets: fence wire"), "%s",
                       dataset_describe(set));
    dataset_close(set);
    set = opened("ishape", in_folder(root.text, "ishape_dataset").text, "val", "wire");
    cr_expect_eq(dataset_count(set), 1);
    make_jpeg(in_folder(root.text, "ishape_dataset/wire/val/image/7.jpg").text, H, W, 60);
    expect_unreadable(set, 0, "7.jpg is 3x4");
    dataset_close(set);
    refused("ishape", root.text, "test", NULL, "expected one of val, train");
    refused("ishape", root.text, NULL, "log", "log/val/coco_format");
    refused("ishape", root.text, NULL, "twig", "expected one of antenna");
    refused("ishape", "/nowhere", NULL, NULL, "none of the folders antenna");
    folder_remove(root.text);
}

#define POLYGON(id, category)                                                            \
    "{\"id\": " #id ", \"image_id\": 1, \"category_id\": " #category ", \"area\": 6.5, " \
    "\"iscrowd\": 0, \"segmentation\": [[0, 0, 2, 0, 2, 3, 0, 3]]}"

Test(pidray, images_lie_in_the_folder_of_the_split_or_in_test) {
    const Path root = scratch_make();
    const Path json = make_place(root.text, "pidray/annotations/xray_test_easy.json");
    write_json(
        &json,
        IMAGES
        "\"categories\": [{\"id\": 7, \"name\": \"Gun\"}], \"annotations\": [" POLYGON(3, 7) "]}",
        "xray_easy00001.png");
    const Path easy = make_place(root.text, "pidray/easy/xray_easy00001.png");
    const Path test = make_place(root.text, "pidray/test/xray_easy00001.png");
    make_labels(test.text, W, H, (int32_t[N]){0});
    Dataset *set = opened("pidray", root.text, NULL, NULL);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_str_eq(sample.name, "easy/xray_easy00001.png");
    cr_assert_eq(sample.instance_count, 1);
    cr_expect_eq(sample.instances[0].category, 7);
    cr_expect_eq(sample.instances[0].area, 6.5);
    sample_free(&sample);
    write_bytes(easy.text, "x", 1);
    expect_unreadable(set, 0, "easy/xray_easy00001.png: neither");
    cr_expect_not_null(strstr(dataset_describe(set), "9482 images in full"));
    dataset_close(set);
    refused("pidray", root.text, "hard", NULL, "xray_test_hard.json");
    refused("pidray", root.text, "test", NULL, "expected easy, hard, hidden or train");
    folder_remove(root.text);
}

Test(zerowaste, names_end_in_capitals_and_annotations_without_a_shape_are_left_out) {
    const Path root = scratch_make();
    const Path json = make_place(root.text, "splits_final_deblurred/test/labels.json");
    write_json(&json,
               IMAGES "\"categories\": [{\"id\": 4, \"name\": \"soft_plastic\"}], "
                      "\"annotations\": [" POLYGON(
                          5, 4) ", {\"id\": 6, \"image_id\": 1, "
                                "\"category_id\": 4, \"area\": 0, \"segmentation\": []}]}",
               "02_frame.PNG");
    make_labels(make_place(root.text, "splits_final_deblurred/test/data/02_frame.PNG").text, W, H,
                (int32_t[N]){0});
    Dataset *set = opened("zerowaste", root.text, NULL, NULL);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_str_eq(sample.name, "test/02_frame.PNG");
    cr_assert_eq(sample.instance_count, 1);
    cr_expect_eq(sample.instances[0].id, 5);
    sample_free(&sample);
    cr_expect_not_null(strstr(dataset_describe(set), "1 annotations without a shape"));
    dataset_close(set);
    write_bytes(json.text, "{\"images\": []", 13);
    refused("zerowaste", root.text, NULL, NULL, "labels.json: line 1");
    refused("zerowaste", root.text, "dev", NULL, "expected one of test, val, train");
    folder_remove(root.text);
}
