// SPDX-License-Identifier: MIT
// COCO: the real subsets, and annotation files with every kind of fault.
#include "data/dataset.h"
#include "tests/sample_data.h"

#include <pthread.h>

static Dataset *open_sample(const Path *root, const char *split, const char *subset) {
    const Path path = in_folder(root->text, "COCO");
    Dataset *set = dataset_open(
        "coco", &(DatasetOptions){.path = path.text, .split = split, .subset = subset});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

typedef struct {
    int objects, crowds, empty, left_out;
} Totals;

// Reads all samples and checks what must hold for each.
static Totals read_all(const Dataset *set) {
    Totals totals = {0};
    for (int64_t k = 0; k < dataset_count(set); k++) {
        Sample sample;
        cr_assert_eq(dataset_read(set, k, &sample), 0, "%s", error_message());
        const int pixels = sample.labels.width * sample.labels.height;
        int crowds = 0;
        for (int n = 0; n < sample.instance_count; n++) crowds += sample.instances[n].crowd;
        for (int i = 0; i < pixels; i++) {
            const int id = sample.labels.ids[i];
            cr_assert(id >= 0 && id <= sample.instance_count);
            if (id) cr_assert(sample.instances[id - 1].mask[i] && !sample.instances[id - 1].crowd);
            if (sample.ignore && sample.ignore[i]) cr_assert_eq(id, 0);
        }
        cr_assert_eq(sample.ignore != NULL, crowds > 0);
        totals.objects += sample.instance_count - crowds;
        totals.crowds += crowds;
        totals.empty += sample.instance_count == 0;
        totals.left_out += sample.left_out;
        sample_free(&sample);
    }
    return totals;
}

Test(coco, the_real_validation_subset_has_its_objects_and_crowds) {
    SAMPLE_ROOT(root);
    Dataset *set = open_sample(&root, NULL, NULL);
    cr_assert_eq(dataset_count(set), 30);
    const Totals totals = read_all(set);
    cr_expect_eq(totals.objects, 238);
    cr_expect_eq(totals.crowds, 5);
    cr_expect_eq(totals.empty, 2);
    cr_expect_eq(totals.left_out, 0);
    dataset_close(set);
}

Test(coco, the_real_training_subset_has_its_objects_and_crowds) {
    SAMPLE_ROOT(root);
    Dataset *set = open_sample(&root, "train2017", NULL);
    cr_assert_eq(dataset_count(set), 15);
    const Totals totals = read_all(set);
    cr_expect_eq(totals.objects, 165);
    cr_expect_eq(totals.crowds, 5);
    cr_expect_eq(totals.empty, 1);
    dataset_close(set);
}

Test(coco, the_novel_subset_keeps_all_images_and_171_objects) {
    SAMPLE_ROOT(root);
    Dataset *set = open_sample(&root, "", "novel");
    cr_expect_eq(dataset_count(set), 30);
    cr_expect_eq(read_all(set).objects, 171);
    cr_expect_not_null(strstr(dataset_describe(set), "171 objects"), "%s", dataset_describe(set));
    dataset_close(set);
}

static void *read_some(void *set) {
    for (int64_t k = 0; k < 8; k++) {
        Sample sample;
        if (dataset_read(set, k, &sample)) return set;
        sample_free(&sample);
    }
    return NULL;
}

Test(coco, threads_may_read_one_set) {
    SAMPLE_ROOT(root);
    Dataset *set = open_sample(&root, NULL, NULL);
    pthread_t threads[3];
    for (int i = 0; i < 3; i++) cr_assert_eq(pthread_create(&threads[i], NULL, read_some, set), 0);
    for (int i = 0; i < 3; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
    dataset_close(set);
}

// A set of one image of 8x6 with these annotations (JSON text); further lists as given.
static Path make_set(const char *annotations, const char *images) {
    const Path root = scratch_make();
    cr_assert_eq(folder_make(in_folder(root.text, "annotations").text), 0);
    cr_assert_eq(folder_make(in_folder(root.text, "tiny").text), 0);
    char text[4096];
    const int length =
        snprintf(text, sizeof text,
                 "{\"info\": {\"a\": [1, {\"b\": null}]}, \"annotations\": [%s], \"categories\": "
                 "[{\"id\": 1, \"name\": \"person\"}, {\"id\": 3, \"name\": \"car\"}], "
                 "\"images\": [%s]}",
                 annotations, images);
    cr_assert_lt((size_t)length, sizeof text);
    write_bytes(in_folder(root.text, "annotations/instances_tiny.json").text, text, (size_t)length);
    Image image;
    cr_assert_eq(image_new(&image, 8, 6, 3), 0);
    cr_assert_eq(image_write_png(in_folder(root.text, "tiny/a.png").text, &image), 0);
    image_free(&image);
    return root;
}

static const char *const one_image =
    "{\"id\": 5, \"file_name\": \"a.png\", \"width\": 8, \"height\": 6}";

static Dataset *open_set(const Path *root, const char *subset) {
    return dataset_open("coco",
                        &(DatasetOptions){.path = root->text, .split = "tiny", .subset = subset});
}

#define RECTANGLE(x0, y0, x1, y1) \
    "[[" #x0 "," #y0 "," #x1 "," #y0 "," #x1 "," #y1 "," #x0 "," #y1 "]]"
#define ANNOTATION(id, category, area, crowd, shape)                                        \
    "{\"id\": " #id ", \"image_id\": 5.0, \"category_id\": " #category ", \"area\": " #area \
    ", \"iscrowd\": " #crowd ", \"bbox\": [0, 0, 1, 1], \"segmentation\": " shape "}"

Test(coco, the_smaller_object_lies_on_top_and_masks_stay_whole) {
    const Path root = make_set(
        ANNOTATION(30, 1, 4.5, 0, RECTANGLE(1, 1, 3, 3)) "," ANNOTATION(
            20, 3, 40, 0, RECTANGLE(0, 0, 6, 6)) "," ANNOTATION(10, 1, 9, 1,
                                                                "{\"size\": [6, 8], \"counts\": "
                                                                "[30, 18]}"),
        one_image);
    Dataset *set = open_set(&root, NULL);
    cr_assert_not_null(set, "%s", error_message());
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_str_eq(sample.name, "tiny/a.png");
    cr_assert_eq(sample.instance_count, 3);
    cr_expect_eq(sample_objects(&sample), 2);
    cr_expect_eq(sample.instances[0].id, 10);
    cr_expect(sample.instances[0].crowd);
    cr_expect_eq(sample.instances[1].id, 20);
    cr_expect_eq(sample.instances[1].category, 3);
    cr_expect_eq(sample.instances[2].area, 4.5);
    uint8_t mask[48];
    sample_mask(&sample, 1, mask);
    for (int i = 0; i < 48; i++) {
        const int x = i % 8, y = i / 8, small = x >= 1 && x < 3 && y >= 1 && y < 3;
        cr_expect_eq(mask[i], x < 6, "pixel %d", i);
        cr_expect_eq(sample.instances[0].mask[i], x >= 5, "pixel %d", i);
        cr_expect_eq(sample.labels.ids[i], small ? 3 : x < 6 ? 2 : 0, "pixel %d", i);
        cr_expect_eq(sample.ignore[i], x >= 6, "pixel %d", i);
    }
    sample_free(&sample);
    dataset_close(set);
    folder_remove(root.text);
}

Test(coco, strings_empty_masks_and_unwanted_categories) {
    const Path root =
        make_set(ANNOTATION(1, 1, 1, 0, "{\"size\": [6, 8], \"counts\": \"633Q1\"}") "," ANNOTATION(
                     2, 1, 1, 0, RECTANGLE(-9, -9, -5, -5)) "," ANNOTATION(3, 3, 1, 0,
                                                                           RECTANGLE(0, 0, 2, 2)),
                 one_image);
    Dataset *set = open_set(&root, "novel");
    cr_assert_not_null(set, "%s", error_message());
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_assert_eq(sample.instance_count, 1);
    cr_expect_eq(sample.left_out, 1);
    int pixels = 0;
    for (int i = 0; i < 48; i++) pixels += sample.instances[0].mask[i];
    cr_expect_eq(pixels, 3 + 36);
    sample_free(&sample);
    dataset_close(set);
    set = open_set(&root, "seen");
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_assert_eq(sample.instance_count, 1);
    cr_expect_eq(sample.instances[0].id, 3);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(root.text);
}

Test(coco, annotations_without_a_shape_are_left_out_and_counted) {
    const Path root = make_set(
        ANNOTATION(1, 1, 1, 0, "[]") "," ANNOTATION(2, 1, 1, 0, RECTANGLE(0, 0, 2, 2)), one_image);
    Dataset *set = open_set(&root, NULL);
    cr_assert_not_null(set, "%s", error_message());
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_assert_eq(sample.instance_count, 1);
    cr_expect_eq(sample.instances[0].id, 2);
    const char *description = dataset_describe(set);
    cr_expect_not_null(strstr(description, "1 annotations without a shape"), "%s", description);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(root.text);
}

Test(coco, images_are_sorted_by_id_and_may_have_no_annotation) {
    const Path root = make_set(
        "", "{\"id\": 900000000001, \"file_name\": \"z.png\", \"width\": 8, \"height\": 6}, "
            "{\"id\": 5, \"file_name\": \"a.png\", \"width\": 8, \"height\": 6}");
    Dataset *set = open_set(&root, NULL);
    cr_assert_not_null(set, "%s", error_message());
    cr_expect_eq(dataset_count(set), 2);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_eq(sample.instance_count, 0);
    cr_expect_null(sample.ignore);
    sample_free(&sample);
    cr_expect_eq(dataset_read(set, 1, &sample), -1);
    expect_error("tiny/z.png");
    dataset_close(set);
    folder_remove(root.text);
}

static void expect_refused(const char *annotations, const char *images, const char *where,
                           const char *part) {
    const Path root = make_set(annotations, images);
    cr_expect_null(open_set(&root, NULL), "%s", part);
    const char *message = error_take();
    cr_expect_not_null(strstr(message, "annotations/instances_tiny.json"), "%s", message);
    cr_expect_not_null(strstr(message, where), "\"%s\" expected in \"%s\"", where, message);
    cr_expect_not_null(strstr(message, part), "\"%s\" expected in \"%s\"", part, message);
    folder_remove(root.text);
}

Test(coco, malformed_annotations_are_errors_that_name_file_and_id) {
    const struct {
        const char *text, *part;
    } cases[] = {
        {ANNOTATION(77, "1", 1, 0, RECTANGLE(0, 0, 2, 2)), "\"category_id\" is not a number"},
        {ANNOTATION(77, 1.5, 1, 0, RECTANGLE(0, 0, 2, 2)), "1.5"},
        {ANNOTATION(77, 2, 1, 0, RECTANGLE(0, 0, 2, 2)), "2 is not among the categories"},
        {ANNOTATION(77, 1, -1, 0, RECTANGLE(0, 0, 2, 2)), "\"area\""},
        {ANNOTATION(77, 1, null, 0, RECTANGLE(0, 0, 2, 2)), "\"area\""},
        {ANNOTATION(77, 1, 1, 2, RECTANGLE(0, 0, 2, 2)), "\"iscrowd\" is 2"},
        {ANNOTATION(77, 1, 1, 0, "null"), "neither polygons"},
        {ANNOTATION(77, 1, 1, 0, "[3]"), "not a list"},
        {ANNOTATION(77, 1, 1, 0, "[[1, 2, 3, 4]]"), "4 numbers"},
        {ANNOTATION(77, 1, 1, 0, "[[1, 2, 3, 4, 5, 6, 7]]"), "7 numbers"},
        {ANNOTATION(77, 1, 1, 0, "[[1, 2, 3, 4, 5, \"6\"]]"), "not a number"},
        {ANNOTATION(77, 1, 1, 0, "{\"size\": [8, 6], \"counts\": [48]}"), "[6, 8]"},
        {ANNOTATION(77, 1, 1, 0, "{\"counts\": [48]}"), "\"size\""},
        {ANNOTATION(77, 1, 1, 0, "{\"size\": [6, 8], \"counts\": 48}"), "\"counts\""},
        {ANNOTATION(77, 1, 1, 0, "{\"size\": [6, 8], \"counts\": [47]}"), "47, expected 48"},
        {ANNOTATION(77, 1, 1, 0, "{\"size\": [6, 8], \"counts\": [-1, 49]}"), "negative"},
        {ANNOTATION(77, 1, 1, 0, "{\"size\": [6, 8], \"counts\": [47.5]}"), "not an integer"},
        {ANNOTATION(77, 1, 1, 0, "{\"size\": [6, 8], \"counts\": \"P\"}"), "number"},
        {"{\"id\": 77, \"image_id\": 6}", "6 is not among the images"},
        {"{\"id\": 77}", "\"image_id\" is missing"},
        {ANNOTATION(77, 1, 1, 0, RECTANGLE(0, 0, 2, 2)) "," ANNOTATION(77, 1, 1, 0,
                                                                       RECTANGLE(0, 0, 2, 2)),
         "image 5 have the id"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        expect_refused(cases[i].text, one_image, "77", cases[i].part);
    expect_refused("{}", one_image, "annotations[0]", "\"id\" is missing");
    expect_refused("3", one_image, "annotations[0]", "\"id\" is missing");
    expect_refused("{", one_image, "line 1", "a bracket that closes another kind");
    expect_refused("{\"id\": 77,}", one_image, "line 1", "string or '}' expected");
    expect_refused("{\"id\": 77} {\"id\": 78}", one_image, "annotations[0]", "missing");
    expect_refused("\"open", one_image, "line 1", "a string without an end");
}

Test(coco, malformed_images_are_errors_that_name_file_and_id) {
    const char *const bad[][2] = {
        {"{\"id\": 5, \"file_name\": \"a.png\", \"width\": 0, \"height\": 6}", "\"width\" is 0"},
        {"{\"id\": 5, \"file_name\": \"a.png\", \"width\": 8}", "\"height\" is missing"},
        {"{\"id\": 5, \"width\": 8, \"height\": 6}", "file_name"},
        {"{\"id\": 5, \"file_name\": \"/a.png\", \"width\": 8, \"height\": 6}", "inside"},
        {"{\"id\": 5, \"file_name\": \"b/../../a\", \"width\": 8, \"height\": 6}", "inside"},
        {"{\"id\": 5, \"file_name\": \"..\", \"width\": 8, \"height\": 6}", "inside"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        expect_refused("", bad[i][0], "image 5", bad[i][1]);
    char twice[256];
    snprintf(twice, sizeof twice, "%s, %s", one_image, one_image);
    expect_refused("", twice, "two images", "id 5");
    expect_refused("", "", "", "no images");
}

Test(coco, an_image_of_another_size_is_an_error) {
    const Path root =
        make_set("", "{\"id\": 5, \"file_name\": \"a.png\", \"width\": 6, \"height\": 8}");
    Dataset *set = open_set(&root, NULL);
    cr_assert_not_null(set);
    Sample sample;
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    expect_error("tiny/a.png is 8x6");
    dataset_close(set);
    folder_remove(root.text);
}

Test(coco, a_hostile_polygon_is_an_error_that_names_the_annotation) {
    const Path root = make_set(ANNOTATION(77, 1, 1, 0, "[[0, 0, 1e300, 0, 1, 1]]"), one_image);
    Dataset *set = open_set(&root, NULL);
    cr_assert_not_null(set);
    Sample sample;
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    expect_error("annotation 77");
    dataset_close(set);
    folder_remove(root.text);
}

Test(coco, missing_files_and_unknown_options_are_refused) {
    const Path root = make_set("", one_image);
    cr_expect_null(dataset_open("coco", &(DatasetOptions){.path = root.text}));
    expect_error("annotations/instances_val2017.json");
    cr_expect_null(open_set(&root, "old"));
    expect_error("novel");
    write_bytes(in_folder(root.text, "annotations/instances_tiny.json").text, "[]", 2);
    cr_expect_null(open_set(&root, NULL));
    expect_error("line 1, column 1: expected '{', an object");
    folder_remove(root.text);
}

// Whatever happens to a byte of the annotations: an error or a set, no crash.
Test(coco, damaged_annotation_files_are_survived) {
    const Path root =
        make_set(ANNOTATION(1, 1, 1, 0, "{\"size\": [6, 8], \"counts\": \"633Q1\"}") "," ANNOTATION(
                     2, 3, 2.5, 0, RECTANGLE(0, 0, 2, 2)),
                 one_image);
    const Path path = in_folder(root.text, "annotations/instances_tiny.json");
    size_t size;
    char *good = file_read(path.text, 1 << 20, &size);
    cr_assert_not_null(good);
    const char others[] = "\"\\[]{},:0-e \0\xff";
    int opened = 0, refused = 0;
    for (size_t i = 0; i < 2 * size; i++) {
        char *bad = malloc(size);
        cr_assert_not_null(bad);
        memcpy(bad, good, size);
        if (i < size) bad[i] = others[i * 7 % (sizeof others - 1)];
        write_bytes(path.text, bad, i < size ? size : i - size);
        free(bad);
        Dataset *set = open_set(&root, NULL);
        Sample sample = {0};
        if (set && dataset_count(set) > 0) {
            if (dataset_read(set, 0, &sample) != 0) error_take();
            sample_free(&sample);
        }
        *(set ? &opened : &refused) += 1;
        cr_expect_eq(error_is_set(), set == NULL);
        error_take();
        dataset_close(set);
    }
    cr_expect_gt(opened, 10);
    cr_expect_gt(refused, (int)size);
    free(good);
    folder_remove(root.text);
}
