// SPDX-License-Identifier: MIT
// The procedural scenes: reproducible, exact, of disjoint families, and hard for trivial rules;
// and the export of a set as files, read back.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/dataset.h"
#include "data/export.h"
#include "data/rle.h"
#include "eval/prompter.h"
#include "eval/trivial.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *const splits[] = {"train",  "val",      "pretrain", "colormap",
                                     "shapes", "painting", "xray",     "lineart",
                                     "hand",   "clutter",  "wires"};
enum { SPLITS = sizeof splits / sizeof splits[0], CATEGORIES = 64 };

static Dataset *open_split(const char *split, int size, uint64_t seed) {
    const DatasetOptions options = {.split = split, .size = size, .seed = seed};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert(set, "%s", error_message());
    return set;
}

static Sample read_sample(const Dataset *set, int64_t index) {
    Sample sample;
    cr_assert_eq(dataset_read(set, index, &sample), 0, "%s", error_message());
    return sample;
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
    const uint8_t *bytes = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

// FNV-1a of pixels and labels.
static uint64_t hash_sample(const Dataset *set, int64_t index, uint64_t hash) {
    Sample sample = read_sample(set, index);
    const size_t pixels = (size_t)sample.image.width * (size_t)sample.image.height;
    hash = hash_bytes(hash, sample.image.pixels, 3 * pixels);
    hash = hash_bytes(hash, sample.labels.ids, 4 * pixels);
    sample_free(&sample);
    return hash;
}

Test(scenes, are_the_same_bits_in_any_order) {
    enum { READ = 6 };
    for (int s = 0; s < SPLITS; s++) {
        uint64_t forward[READ];
        Dataset *set = open_split(splits[s], 64, 3);
        for (int i = 0; i < READ; i++) forward[i] = hash_sample(set, i, 1);
        dataset_close(set);
        set = open_split(splits[s], 64, 3);
        for (int i = READ; i-- > 0;)
            cr_expect_eq(hash_sample(set, i, 1), forward[i], "%s", splits[s]);
        for (int i = 1; i < READ; i++) cr_expect_neq(forward[i], forward[i - 1], "%s", splits[s]);
        dataset_close(set);
    }
}

Test(scenes, differ_by_seed_and_split) {
    Dataset *one = open_split("val", 64, 1);
    Dataset *two = open_split("val", 64, 2);
    Dataset *train = open_split("train", 64, 1);
    const uint64_t hash = hash_sample(one, 0, 1);
    cr_expect_neq(hash, hash_sample(two, 0, 1));
    cr_expect_neq(hash, hash_sample(train, 0, 1));
    dataset_close(one);
    dataset_close(two);
    dataset_close(train);
}

// Scores are only comparable while this stands. A deliberate change of the recipe changes it.
Test(scenes, are_the_same_bits_on_every_machine) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (int s = 0; s < SPLITS; s++) {
        Dataset *set = open_split(splits[s], 64, 0);
        for (int i = 0; i < 20; i++) hash = hash_sample(set, i, hash);
        dataset_close(set);
    }
    cr_expect_eq(hash, UINT64_C(0xdbb7f563d63604ec), "found 0x%016llx", (unsigned long long)hash);
}

static void expect_exact_ids(const Sample *sample, double least) {
    const int pixels = sample->labels.width * sample->labels.height;
    int64_t *area = calloc((size_t)sample->instance_count + 1, sizeof *area);
    cr_assert(area);
    cr_assert_gt(sample->instance_count, 0);
    for (int i = 0; i < pixels; i++) {
        cr_assert_geq(sample->labels.ids[i], 0);
        cr_assert_leq(sample->labels.ids[i], sample->instance_count);
        area[sample->labels.ids[i]]++;
    }
    for (int k = 0; k < sample->instance_count; k++) {
        cr_expect_eq((double)area[k + 1], sample->instances[k].area, "%s", sample->name);
        cr_expect_geq((double)area[k + 1], least, "%s", sample->name);
        cr_expect_eq(sample->instances[k].id, k + 1);
    }
    free(area);
}

Test(scenes, ids_are_dense_and_areas_are_pixel_counts_at_every_size) {
    static const int sizes[] = {16, 37, 64, 96, 128};
    for (int s = 0; s < SPLITS; s++) {
        for (int k = 0; k < 5; k++) {
            Dataset *set = open_split(splits[s], sizes[k], 1);
            for (int i = 0; i < 5; i++) {
                Sample sample = read_sample(set, i);
                cr_assert_eq(sample.image.width, sizes[k]);
                cr_assert_eq(sample.labels.height, sizes[k]);
                expect_exact_ids(&sample, 24.0 * sizes[k] * sizes[k] / 4096);
                sample_free(&sample);
            }
            dataset_close(set);
        }
    }
}

// A size is a resolution, not another world: what is covered at 64 is covered at 128.
Test(scenes, keep_their_layout_at_any_size) {
    Dataset *small = open_split("val", 64, 1);
    Dataset *large = open_split("val", 128, 1);
    int agree = 0;
    for (int i = 0; i < 10; i++) {
        Sample a = read_sample(small, i);
        Sample b = read_sample(large, i);
        for (int y = 0; y < 64; y++)
            for (int x = 0; x < 64; x++)
                agree += !a.labels.ids[y * 64 + x] == !b.labels.ids[2 * y * 128 + 2 * x];
        sample_free(&a);
        sample_free(&b);
    }
    dataset_close(small);
    dataset_close(large);
    cr_expect_gt(agree, 10 * 4096 * 95 / 100, "%d", agree);
}

static void mark_categories(const char *split, const char *subset, bool found[CATEGORIES]) {
    const DatasetOptions options = {.split = split, .subset = subset};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert(set, "%s", error_message());
    memset(found, 0, CATEGORIES * sizeof *found);
    for (int i = 0; i < 60; i++) {
        Sample sample = read_sample(set, i);
        for (int k = 0; k < sample.instance_count; k++) {
            cr_assert_lt(sample.instances[k].category, CATEGORIES);
            cr_assert_geq(sample.instances[k].category, 0);
            found[sample.instances[k].category] = true;
        }
        sample_free(&sample);
    }
    dataset_close(set);
}

Test(scenes, seen_and_unseen_families_are_disjoint) {
    bool train[CATEGORIES], val[CATEGORIES], shapes[CATEGORIES], both[CATEGORIES];
    bool painting[CATEGORIES], strange[CATEGORIES];
    mark_categories("train", NULL, train);
    mark_categories("val", NULL, val);
    mark_categories("shapes", NULL, shapes);
    mark_categories("val", "both", both);
    mark_categories("painting", NULL, painting);
    mark_categories("painting", "unseen", strange);
    int seen = 0;
    int unseen = 0;
    for (int c = 0; c < CATEGORIES; c++) {
        cr_expect(!(train[c] && shapes[c]), "family %d", c);
        cr_expect_eq(train[c], val[c]);
        cr_expect_eq(train[c], painting[c]);
        cr_expect_eq(shapes[c], strange[c]);
        cr_expect_eq(both[c], train[c] || shapes[c]);
        seen += train[c];
        unseen += shapes[c];
    }
    cr_expect_eq(seen, 7);
    cr_expect_eq(unseen, 6);
}

Test(scenes, have_their_default_counts_and_a_description) {
    Dataset *train = open_split(NULL, 0, 0);
    cr_expect_eq(dataset_count(train), 6000);
    cr_expect(strstr(dataset_describe(train), "6000 generated images of 64x64"));
    cr_expect(strstr(dataset_describe(train), "chevron"));
    cr_expect(!strstr(dataset_describe(train), "crescent"));
    dataset_close(train);
    Dataset *wires = open_split("wires", 0, 0);
    cr_expect_eq(dataset_count(wires), 200);
    cr_expect(strstr(dataset_describe(wires), "holds: wire\n"));
    dataset_close(wires);
    const DatasetOptions few = {.split = "wires", .count = 7};
    Dataset *set = dataset_open("scenes", &few);
    cr_assert(set);
    cr_expect_eq(dataset_count(set), 7);
    Sample sample;
    cr_expect_eq(dataset_read(set, 7, &sample), -1);
    cr_expect(strstr(error_take(), "7 of 7"));
    dataset_close(set);
}

static void expect_refused(DatasetOptions options, const char *part) {
    cr_expect_null(dataset_open("scenes", &options));
    const char *message = error_take();
    cr_expect(strstr(message, part), "'%s' lacks '%s'", message, part);
}

Test(scenes, refuse_what_they_do_not_know) {
    expect_refused((DatasetOptions){.split = "valid"}, "no split 'valid'");
    expect_refused((DatasetOptions){.subset = "novel"}, "no subset 'novel'");
    expect_refused((DatasetOptions){.size = 15}, "size 15");
    expect_refused((DatasetOptions){.size = 1025}, "size 1025");
    expect_refused((DatasetOptions){.count = -1}, "count -1");
}

Test(scenes, colormap_has_one_color_per_id_and_black_ground) {
    Dataset *set = open_split("colormap", 64, 0);
    for (int i = 0; i < 20; i++) {
        Sample sample = read_sample(set, i);
        uint32_t color[CATEGORIES] = {0};
        for (int p = 0; p < 64 * 64; p++) {
            const uint8_t *rgb = sample.image.pixels + 3 * p;
            const uint32_t packed = (uint32_t)rgb[0] << 16 | (uint32_t)rgb[1] << 8 | rgb[2];
            const int id = sample.labels.ids[p];
            if (id > 0 && color[id] == 0) color[id] = packed;
            cr_assert_eq(packed, color[id], "%s id %d", sample.name, id);
        }
        for (int a = 0; a <= sample.instance_count; a++)
            for (int b = 0; b < a; b++) cr_expect_neq(color[a], color[b]);
        sample_free(&sample);
    }
    dataset_close(set);
}

static double iou(const uint8_t *a, const uint8_t *b, int pixels) {
    int both = 0;
    int any = 0;
    for (int i = 0; i < pixels; i++) {
        both += a[i] && b[i];
        any += a[i] || b[i];
    }
    return (double)both / any;
}

// Mean IoU of a trivial rule over 40 images of the validation set, prompted at the centre.
static double score(TrivialRow row, TrivialOptions options) {
    static uint8_t truth[4096], mask[4096];
    Dataset *set = open_split("val", 64, 1);
    double sum = 0;
    int count = 0;
    for (int i = 0; i < 40; i++) {
        Sample sample = read_sample(set, i);
        for (int k = 0; k < sample.instance_count; k++) {
            PixelPoint point;
            sample_mask(&sample, k, truth);
            cr_assert_eq(prompt_center(truth, 64, 64, &point), 1);
            const TrivialInput input = {&sample.image, &point, 1, truth};
            cr_assert_eq(trivial_predict(row, &input, &options, mask), 0);
            sum += iou(truth, mask, 4096);
            count++;
        }
        sample_free(&sample);
    }
    dataset_close(set);
    return sum / count;
}

Test(scenes, are_hard_for_a_blind_disc_and_for_a_flood_fill) {
    double disc = 0;
    double flood = 0;
    for (int k = 0; k < 7; k++) {
        TrivialOptions options = trivial_options();
        options.disc_radius = (5.0 + k) / 64;
        options.flood_tolerance = 16 + 12 * k;
        const double d = score(TRIVIAL_disc, options);
        const double f = score(TRIVIAL_flood, options);
        if (d > disc) disc = d;
        if (f > flood) flood = f;
    }
    cr_expect_lt(disc, 0.40, "%f", disc);
    cr_expect_lt(flood, 0.45, "%f", flood);
    cr_expect_gt(disc, 0.2, "%f", disc);
    cr_expect_gt(flood, 0.2, "%f", flood);
}

static json_t *export_three(char folder[64]) {
    strcpy(folder, "/tmp/p2s-scenes-XXXXXX");
    cr_assert(mkdtemp(folder));
    const DatasetOptions options = {.split = "val", .size = 64, .seed = 5, .count = 3};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert(set);
    cr_assert_eq(dataset_export(set, folder), 0, "%s", error_message());
    cr_expect_eq(dataset_export(set, folder), -1);
    cr_expect(strstr(error_take(), "exists and is not empty"));
    dataset_close(set);
    char path[128];
    snprintf(path, sizeof path, "%s/annotations/instances.json", folder);
    json_error_t error;
    json_t *root = json_load_file(path, 0, &error);
    cr_assert(root, "%s", error.text);
    return root;
}

static int64_t integer(const json_t *object, const char *key) {
    return json_integer_value(json_object_get(object, key));
}

// The annotation's runs are the pixels of the instance; its box and area are theirs.
static void expect_annotation(const json_t *annotation, const Sample *sample, int index) {
    static uint8_t truth[4096], mask[4096];
    sample_mask(sample, index, truth);
    const json_t *segmentation = json_object_get(annotation, "segmentation");
    Rle rle = {0};
    const char *counts = json_string_value(json_object_get(segmentation, "counts"));
    cr_assert(counts);
    cr_assert_eq(rle_from_string(counts, 64, 64, &rle), 0, "%s", error_message());
    memset(mask, 0, sizeof mask);
    rle_paint(&rle, mask);
    rle_free(&rle);
    cr_expect_eq(memcmp(mask, truth, sizeof mask), 0);
    cr_expect_eq((double)integer(annotation, "area"), sample->instances[index].area);
    cr_expect_eq(integer(annotation, "category_id"), sample->instances[index].category + 1);
    cr_expect_eq(integer(annotation, "iscrowd"), 0);
    int box[4] = {64, 64, 0, 0};
    for (int p = 0; p < 4096; p++) {
        if (!truth[p]) continue;
        if (p % 64 < box[0]) box[0] = p % 64;
        if (p / 64 < box[1]) box[1] = p / 64;
        if (p % 64 + 1 > box[2]) box[2] = p % 64 + 1;
        if (p / 64 + 1 > box[3]) box[3] = p / 64 + 1;
    }
    const json_t *found = json_object_get(annotation, "bbox");
    for (int i = 0; i < 4; i++)
        cr_expect_eq(json_integer_value(json_array_get(found, (size_t)i)),
                     i < 2 ? box[i] : box[i] - box[i - 2]);
}

Test(export, writes_images_labels_and_annotations_that_read_back_the_same) {
    char folder[64];
    json_t *root = export_three(folder);
    const json_t *annotations = json_object_get(root, "annotations");
    const DatasetOptions options = {.split = "val", .size = 64, .seed = 5, .count = 3};
    Dataset *set = dataset_open("scenes", &options);
    size_t next = 0;
    for (int i = 0; i < 3; i++) {
        Sample sample = read_sample(set, i);
        char path[128];
        Image image;
        LabelMap labels;
        snprintf(path, sizeof path, "%s/images/%06d.png", folder, i);
        cr_assert_eq(image_read(path, &image), 0, "%s", error_message());
        cr_expect_eq(memcmp(image.pixels, sample.image.pixels, 3 * 4096), 0);
        snprintf(path, sizeof path, "%s/labels/%06d.png", folder, i);
        cr_assert_eq(label_png_read(path, &labels), 0, "%s", error_message());
        cr_expect_eq(memcmp(labels.ids, sample.labels.ids, 4 * 4096), 0);
        image_free(&image);
        label_map_free(&labels);
        for (int k = 0; k < sample.instance_count; k++, next++) {
            const json_t *annotation = json_array_get(annotations, next);
            cr_assert(annotation);
            cr_expect_eq(integer(annotation, "image_id"), i);
            cr_expect_eq(integer(annotation, "id"), (int64_t)next + 1);
            expect_annotation(annotation, &sample, k);
        }
        sample_free(&sample);
    }
    cr_expect_eq(json_array_size(annotations), next);
    cr_expect_eq(json_array_size(json_object_get(root, "images")), 3);
    cr_expect_gt(json_array_size(json_object_get(root, "categories")), 0);
    dataset_close(set);
    json_decref(root);
    folder_remove(folder);
}

Test(export, reports_every_failed_allocation_and_leaves_all_or_nothing) {
    char folder[64], aside[80], written[112]; // of this process: several may run at a time
    snprintf(folder, sizeof folder, "/tmp/p2s-scenes-memory-%ld", (long)getpid());
    snprintf(aside, sizeof aside, "%s.p2s-tmp", folder);
    snprintf(written, sizeof written, "%s/annotations/instances.json", folder);
    folder_remove(folder);
    const DatasetOptions options = {.count = 1, .size = 16};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert(set);
    int failures = 0;
    for (;; failures++) {
        cr_assert_lt(failures, 1000);
        memory_fail_at(failures + 1);
        const int status = dataset_export(set, folder);
        memory_fail_at(0);
        if (status == 0) break;
        cr_expect(strstr(error_take(), "out of memory"));
        // After the folder stood in its place only the flush of its parent can fail.
        cr_expect(!folder_exists(folder) || file_exists(written));
        folder_remove(folder);
        cr_expect(!folder_exists(aside));
    }
    cr_expect_gt(failures, 10);
    dataset_close(set);
    folder_remove(folder);
}

Test(export, leaves_a_file_where_it_is) {
    char path[] = "/tmp/p2s-scenes-file-XXXXXX", held[8] = "";
    const int file = mkstemp(path);
    cr_assert_eq(write(file, "mine", 4), 4);
    const DatasetOptions options = {.count = 1, .size = 16};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert(set);
    cr_expect_eq(dataset_export(set, path), -1);
    cr_expect(strstr(error_take(), "exists and is no folder"));
    cr_expect(file_exists(path));
    cr_expect_eq(pread(file, held, sizeof held, 0), 4);
    close(file);
    dataset_close(set);
    folder_remove(path);
}

Test(export, names_the_folder_it_cannot_make) {
    const DatasetOptions options = {.count = 1};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert(set);
    cr_expect_eq(dataset_export(set, "/dev/null/scenes"), -1);
    cr_expect(strstr(error_take(), "/dev/null"));
    dataset_close(set);
}

Test(scenes, autoencode_shows_colour_maps_every_other_time) {
    Dataset *set = open_split("autoencode", 32, 3);
    for (int64_t i = 0; i < 8; i++) {
        Sample sample = read_sample(set, i);
        bool flat = true; // a colour map has one colour per instance
        const uint8_t *first[64] = {0};
        for (int p = 0; p < 32 * 32; p++) {
            const uint8_t *pixel = sample.image.pixels + 3 * p;
            const uint8_t **seen = &first[sample.labels.ids[p]];
            if (!*seen) *seen = pixel;
            flat = flat && memcmp(*seen, pixel, 3) == 0;
        }
        cr_assert_eq(flat, i % 2 == 1, "image %d", (int)i);
        sample_free(&sample);
    }
    dataset_close(set);
}
