// SPDX-License-Identifier: MIT
// A user's own folder of images and label PNGs: what is read, what is left out, what is refused;
// and the list of data sets.
#include "data/dataset.h"
#include "tests/sample_data.h"

typedef struct {
    Path root, images, labels;
} Tree;

static Tree make_tree(void) {
    Tree tree = {.root = scratch_make()};
    tree.images = in_folder(tree.root.text, "images");
    tree.labels = in_folder(tree.root.text, "labels");
    cr_assert_eq(folder_make(tree.images.text), 0);
    cr_assert_eq(folder_make(tree.labels.text), 0);
    return tree;
}

static void add_image(const Tree *tree, const char *name, int width, int height) {
    Image image;
    cr_assert_eq(image_new(&image, width, height, 3), 0);
    memset(image.pixels, 77, (size_t)(width * height * 3));
    cr_assert_eq(image_write_png(in_folder(tree->images.text, name).text, &image), 0);
    image_free(&image);
}

static void add_labels(const Tree *tree, const char *name, int width, int height,
                       const int32_t *ids) {
    LabelMap map;
    cr_assert_eq(label_map_new(&map, width, height), 0);
    memcpy(map.ids, ids, (size_t)(width * height) * sizeof *ids);
    cr_assert_eq(label_png_write(in_folder(tree->labels.text, name).text, &map), 0);
    label_map_free(&map);
}

static const int32_t six_ids[6] = {0, 300, 300, 255, 9, 300};

static Dataset *opened(const Tree *tree, const char *subset) {
    Dataset *set =
        dataset_open("folder", &(DatasetOptions){.path = tree->root.text, .subset = subset});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

Test(folder, ids_become_dense_and_the_originals_are_kept) {
    const Tree tree = make_tree();
    add_image(&tree, "a.png", 3, 2);
    add_labels(&tree, "a.png", 3, 2, six_ids);
    Dataset *set = opened(&tree, NULL);
    cr_assert_eq(dataset_count(set), 1);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_str_eq(sample.name, "a");
    cr_expect_eq(sample.image.pixels[17], 77);
    cr_assert_eq(sample.instance_count, 3);
    const int64_t ids[3] = {9, 255, 300};
    const double areas[3] = {1, 1, 3};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(sample.instances[i].id, ids[i]);
        cr_expect_eq(sample.instances[i].area, areas[i]);
        cr_expect_eq(sample.instances[i].category, -1);
    }
    cr_expect_arr_eq(sample.labels.ids, ((int32_t[]){0, 3, 3, 2, 1, 3}), 6 * sizeof(int32_t));
    cr_expect_null(sample.ignore);
    uint8_t mask[6];
    sample_mask(&sample, 2, mask);
    cr_expect_arr_eq(mask, ((uint8_t[]){0, 1, 1, 0, 0, 1}), 6);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(tree.root.text);
}

Test(folder, ignore255_makes_255_neither_object_nor_background) {
    const Tree tree = make_tree();
    add_image(&tree, "a.png", 3, 2);
    add_labels(&tree, "a.png", 3, 2, six_ids);
    Dataset *set = opened(&tree, "ignore255");
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_assert_eq(sample.instance_count, 2);
    cr_assert_not_null(sample.ignore);
    cr_expect_arr_eq(sample.ignore, ((uint8_t[]){0, 0, 0, 1, 0, 0}), 6);
    cr_expect_arr_eq(sample.labels.ids, ((int32_t[]){0, 2, 2, 0, 1, 2}), 6 * sizeof(int32_t));
    sample_free(&sample);
    dataset_close(set);
    folder_remove(tree.root.text);
}

Test(folder, samples_are_sorted_and_what_has_no_partner_is_counted) {
    const Tree tree = make_tree();
    const char *const names[] = {"b.png", "a.png", "B.png", "lonely.png", "a-b.png"};
    for (int i = 0; i < 5; i++) {
        add_image(&tree, names[i], 3, 2);
        if (i != 3) add_labels(&tree, names[i], 3, 2, six_ids);
    }
    add_labels(&tree, "no_image.png", 3, 2, six_ids);
    write_bytes(in_folder(tree.images.text, "._a.png").text, "stray", 5);
    write_bytes(in_folder(tree.images.text, "notes.txt").text, "stray", 5);
    Dataset *set = opened(&tree, NULL);
    const char *const order[] = {"B", "a", "a-b", "b"};
    cr_assert_eq(dataset_count(set), 4);
    for (int i = 0; i < 4; i++) {
        Sample sample;
        cr_assert_eq(dataset_read(set, i, &sample), 0);
        cr_expect_str_eq(sample.name, order[i]);
        sample_free(&sample);
    }
    cr_expect_not_null(strstr(dataset_describe(set), "1 images without labels"));
    cr_expect_not_null(strstr(dataset_describe(set), "1 labels without an image"));
    dataset_close(set);
    folder_remove(tree.root.text);
}

Test(folder, an_empty_label_is_a_sample_without_instances) {
    const Tree tree = make_tree();
    add_image(&tree, "a.png", 3, 2);
    add_labels(&tree, "a.png", 3, 2, (const int32_t[6]){0});
    Dataset *set = opened(&tree, NULL);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0);
    cr_expect_eq(sample.instance_count, 0);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(tree.root.text);
}

Test(folder, labels_of_another_size_are_an_error_that_names_both_files) {
    const Tree tree = make_tree();
    add_image(&tree, "a.png", 2, 3);
    add_labels(&tree, "a.png", 3, 2, six_ids);
    Dataset *set = opened(&tree, NULL);
    Sample sample;
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    cr_expect_null(sample.image.pixels);
    const char *message = error_take();
    cr_expect_not_null(strstr(message, "images/a.png is 2x3"), "%s", message);
    cr_expect_not_null(strstr(message, "labels/a.png are 3x2"), "%s", message);
    dataset_close(set);
    folder_remove(tree.root.text);
}

Test(folder, a_damaged_file_is_an_error_and_the_next_sample_still_reads) {
    const Tree tree = make_tree();
    add_image(&tree, "a.png", 3, 2);
    add_image(&tree, "b.png", 3, 2);
    add_labels(&tree, "b.png", 3, 2, six_ids);
    write_bytes(in_folder(tree.labels.text, "a.png").text, "\x89PNG\r\n\x1a\n", 8);
    Dataset *set = opened(&tree, NULL);
    Sample sample;
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    expect_error("labels/a.png");
    cr_expect_eq(dataset_read(set, 1, &sample), 0);
    sample_free(&sample);
    cr_expect_eq(dataset_read(set, 2, &sample), -1);
    expect_error("2 of 2");
    cr_expect_eq(dataset_read(set, -1, &sample), -1);
    expect_error("-1 of 2");
    dataset_close(set);
    folder_remove(tree.root.text);
}

static void expect_refused(const char *path, const char *split, const char *subset,
                           const char *part) {
    cr_expect_null(
        dataset_open("folder", &(DatasetOptions){.path = path, .split = split, .subset = subset}));
    expect_error(part);
}

// Ten images called i0 to i9.
static Tree make_ten(void) {
    const Tree tree = make_tree();
    for (int i = 0; i < 10; i++) {
        char name[] = "i0.png";
        name[1] = (char)(name[1] + i);
        add_image(&tree, name, 3, 2);
        add_labels(&tree, name, 3, 2, six_ids);
    }
    return tree;
}

// Marks the images of a split in a bit each.
static unsigned members(const Tree *tree, const char *split) {
    Dataset *set =
        dataset_open("folder", &(DatasetOptions){.path = tree->root.text, .split = split});
    cr_assert_not_null(set, "%s", error_message());
    unsigned found = 0;
    for (int64_t i = 0; i < dataset_count(set); i++) {
        Sample sample;
        cr_assert_eq(dataset_read(set, i, &sample), 0, "%s", error_message());
        found |= 1u << (sample.name[1] - '0');
        sample_free(&sample);
    }
    dataset_close(set);
    return found;
}

Test(folder, a_list_is_a_split) {
    const Tree tree = make_ten();
    const char list[] = "i7\n\n i2.png \r\ni3";
    write_bytes(in_folder(tree.root.text, "mine.txt").text, list, sizeof list - 1);
    cr_expect_eq(members(&tree, "mine"), 1u << 7 | 1u << 2 | 1u << 3);
    cr_expect_eq(members(&tree, ""), 0x3ffu);
    folder_remove(tree.root.text);
}

Test(folder, a_share_divides_the_images_and_another_seed_otherwise) {
    const Tree tree = make_ten();
    const unsigned validation = members(&tree, "val@0.3"), training = members(&tree, "train@0.3");
    cr_expect_eq(__builtin_popcount(validation), 3);
    cr_expect_eq(validation | training, 0x3ffu);
    cr_expect_eq(validation & training, 0u);
    cr_expect_eq(members(&tree, "val@0.3@0"), validation);
    int others = 0;
    const char *const seeds[] = {"val@0.3@1", "val@0.3@2", "val@0.3@3"};
    for (int i = 0; i < 3; i++) others += members(&tree, seeds[i]) != validation;
    cr_expect_gt(others, 0);
    cr_expect_eq(__builtin_popcount(members(&tree, "val@0.01")), 1);
    add_image(&tree, "j.png", 3, 2);
    add_labels(&tree, "j.png", 3, 2, six_ids);
    const unsigned grown = members(&tree, "val@0.3") & 0x3ffu;
    cr_expect_leq(__builtin_popcount(grown ^ validation), 1);
    folder_remove(tree.root.text);
}

Test(folder, splits_that_cannot_be_are_refused) {
    const Tree tree = make_ten();
    const char list[] = "i1\nnone\n";
    write_bytes(in_folder(tree.root.text, "wrong.txt").text, list, sizeof list - 1);
    write_bytes(in_folder(tree.root.text, "empty.txt").text, "\n", 1);
    expect_refused(tree.root.text, "wrong", NULL, "wrong.txt: \"none\" has no image with labels");
    expect_refused(tree.root.text, "empty", NULL, "has no image");
    expect_refused(tree.root.text, "absent", NULL, "absent.txt");
    expect_refused(tree.root.text, "../x", NULL, "without a /");
    expect_refused(tree.root.text, "val@1.5", NULL, "train@SHARE");
    expect_refused(tree.root.text, "val@", NULL, "train@SHARE");
    expect_refused(tree.root.text, "val@0.5@-1", NULL, "train@SHARE");
    expect_refused(tree.root.text, "train@1", NULL, "has no image");
    folder_remove(tree.root.text);
}

Test(folder, what_is_not_such_a_folder_is_refused_by_name) {
    const Tree tree = make_tree();
    expect_refused(tree.root.text, NULL, NULL, tree.root.text);
    expect_refused(in_folder(tree.root.text, "none").text, NULL, NULL, "none/images");
    expect_refused(tree.root.text, NULL, "novel", "ignore255");
    add_image(&tree, "a.png", 3, 2);
    add_image(&tree, "a.k.png", 3, 2);
    write_bytes(in_folder(tree.images.text, "a.jpg").text, "", 0);
    add_labels(&tree, "a.png", 3, 2, six_ids);
    add_labels(&tree, "a.k.png", 3, 2, six_ids);
    expect_refused(tree.root.text, NULL, NULL, "share one label file");
    folder_remove(tree.root.text);
}

Test(dataset, an_unknown_type_is_an_error_that_lists_the_known_ones) {
    cr_expect_null(dataset_open("imagenet", &(DatasetOptions){.path = "/"}));
    const char *message = error_take();
    const char *const parts[] = {"imagenet", "hypersim", "coco", "folder", "scenes"};
    for (int i = 0; i < 5; i++) cr_expect_not_null(strstr(message, parts[i]), "%s", message);
}
