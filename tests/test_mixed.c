// SPDX-License-Identifier: MIT
// Mixing of data sets: exact shares, one set and size per batch, any starting point; and the line
// of text that names a set.
#include "data/dataset_text.h"
#include "tests/make_files.h"

enum { A = 12, B = 16, EPOCH = 9 };

static Dataset *scenes(const char *split, int64_t count) {
    Dataset *set =
        dataset_open("scenes", &(DatasetOptions){.split = split, .size = 32, .count = count});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

// 12 and 16 images in batches of 2, two to one: an epoch is 6 + 3 batches.
typedef struct {
    LoaderSet sets[2];
} Pairing;

static Pairing pairing(void) {
    return (Pairing){
        {{scenes("train", A), 2, 32, 32, FIT_RESIZE}, {scenes("wires", B), 1, 16, 24, FIT_CROP}}};
}

static void close_both(Pairing *pair) {
    for (int i = 0; i < 2; i++) dataset_close((Dataset *)pair->sets[i].set);
}

static Loader *open_from(const Pairing *pair, int workers, int64_t first, int64_t end) {
    Loader *loader = loader_open_mixed(pair->sets, 2,
                                       &(LoaderOptions){.batch = 2,
                                                        .flip = true,
                                                        .seed = 9,
                                                        .first = first,
                                                        .end = end,
                                                        .workers = workers,
                                                        .ahead = 4});
    cr_assert_not_null(loader, "%s", error_message());
    return loader;
}

Test(mixed, nine_to_one_takes_what_the_released_loader_takes) {
    const struct {
        int64_t batches[2], shares[2];
    } known[] = {{{33000, 10000}, {33000, 3666}},
                 {{33000, 3000}, {27000, 3000}},
                 {{100, 100}, {100, 11}},
                 {{5, 10}, {5, 0}}};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        int64_t shares[2];
        mixed_shares(known[i].batches, (const int64_t[]){9, 1}, 2, shares);
        for (int k = 0; k < 2; k++) cr_expect_eq(shares[k], known[i].shares[k]);
    }
    int64_t three[3];
    mixed_shares((const int64_t[]){100, 50, 10}, (const int64_t[]){4, 1, 1}, 3, three);
    cr_expect_arr_eq(three, ((int64_t[]){40, 10, 10}), sizeof three);
}

// Enlarged to cover the crop it would be 100000 pixels tall.
Test(mixed, a_sample_that_cannot_be_cropped_is_replaced) {
    enum { TALL = 5000, SIDE = 32 };
    const Path root = scratch_make();
    int32_t labels[TALL] = {0};
    for (int i = 0; i < SIDE * SIDE; i++) labels[i] = 1;
    make_jpeg(make_place(root.text, "images/strip.jpg").text, 1, TALL, 200);
    make_labels(make_place(root.text, "labels/strip.png").text, 1, TALL, labels);
    make_jpeg(make_place(root.text, "images/whole.jpg").text, SIDE, SIDE, 200);
    make_labels(make_place(root.text, "labels/whole.png").text, SIDE, SIDE, labels);
    Dataset *set = dataset_open("folder", &(DatasetOptions){.path = root.text});
    cr_assert_not_null(set, "%s", error_message());
    const LoaderSet only = {set, 1, 10, 20, FIT_CROP};
    Loader *loader =
        loader_open_mixed(&only, 1, &(LoaderOptions){.batch = 2, .end = 2, .ahead = 1});
    cr_assert_not_null(loader, "%s", error_message());
    for (int i = 0; i < 2; i++) {
        Batch *batch = loader_next(loader);
        cr_assert_not_null(batch, "%s", error_message());
        for (int k = 0; k < 2; k++) cr_expect_str_eq(batch->names[k], "whole");
        batch_free(batch);
    }
    loader_close(loader);
    dataset_close(set);
    folder_remove(root.text);
}

Test(mixed, every_epoch_has_the_exact_shares_and_no_sample_twice) {
    Pairing pair = pairing();
    Loader *loader = open_from(&pair, 2, 0, 3 * EPOCH);
    int from_first = 0, orders_differ = 0, partners_differ = 0, partners[A] = {0};
    bool kinds[3][EPOCH];
    for (int epoch = 0; epoch < 3; epoch++) {
        char names[2 * EPOCH][256];
        int count = 0, wires = 0;
        for (int b = 0; b < EPOCH; b++) {
            Batch *batch = loader_next(loader);
            cr_assert_not_null(batch, "%s", error_message());
            const bool first = strstr(batch->names[0], "train") != NULL;
            kinds[epoch][b] = first;
            from_first += first;
            wires += !first;
            cr_expect_eq(batch->height, first ? 32 : 16);
            cr_expect_eq(batch->width, first ? 32 : 24);
            for (int k = 0; k < 2; k++) {
                cr_expect_eq(strstr(batch->names[k], "train") != NULL, first);
                memcpy(names[count++], batch->names[k], sizeof names[0]);
            }
            if (first) {
                const int one = atoi(strrchr(batch->names[0], '-') + 1);
                const int other = atoi(strrchr(batch->names[1], '-') + 1);
                cr_assert(one >= 0 && one < A);
                partners_differ += epoch > 0 && partners[one] != other;
                partners[one] = other;
            }
            batch_free(batch);
        }
        cr_expect_eq(wires, 3);
        for (int i = 0; i < count; i++)
            for (int k = 0; k < i; k++) cr_expect_str_neq(names[i], names[k]);
        orders_differ += epoch > 0 && memcmp(kinds[epoch], kinds[0], sizeof kinds[0]) != 0;
    }
    cr_expect_eq(from_first, 18);
    cr_expect_gt(orders_differ, 0);
    cr_expect_gt(partners_differ, 6);
    loader_close(loader);
    close_both(&pair);
}

Test(mixed, workers_and_starting_points_change_nothing) {
    Pairing pair = pairing();
    Loader *a = open_from(&pair, 0, 0, 20), *b = open_from(&pair, 3, 0, 20),
           *c = open_from(&pair, 1, 11, 20);
    for (int i = 0; i < 20; i++) {
        Batch *all[3] = {loader_next(a), loader_next(b), i >= 11 ? loader_next(c) : NULL};
        for (int k = 1; k < 3 && all[k]; k++) {
            const size_t pixels = (size_t)(2 * all[0]->height * all[0]->width);
            cr_assert_eq(all[k]->index, i);
            cr_assert_eq(all[k]->width, all[0]->width);
            cr_assert_eq(memcmp(all[k]->image, all[0]->image, 3 * pixels * sizeof(float)), 0);
            cr_assert_eq(memcmp(all[k]->labels, all[0]->labels, pixels * sizeof(int32_t)), 0);
        }
        for (int k = 0; k < 3; k++) batch_free(all[k]);
    }
    cr_assert_null(loader_next(a));
    cr_assert_not(error_is_set());
    loader_close(a), loader_close(b), loader_close(c);
    close_both(&pair);
}

Test(mixed, a_crop_has_dense_labels_and_the_pixels_of_its_image) {
    Pairing pair = pairing();
    LoaderSet *crop = &pair.sets[1];
    Loader *loader =
        loader_open_mixed(crop, 1, &(LoaderOptions){.batch = 1, .seed = 2, .end = B, .ahead = 1});
    Sample samples[B];
    for (int i = 0; i < B; i++) cr_assert_eq(dataset_read(crop->set, i, &samples[i]), 0);
    int moved = 0;
    for (int i = 0; i < B; i++) {
        Batch *batch = loader_next(loader);
        cr_assert_not_null(batch, "%s", error_message());
        const Sample *source = samples;
        while (strcmp(source->name, batch->names[0]) != 0) source++;
        bool found = false;
        for (int top = 0; top <= 16 && !found; top++)
            for (int left = 0; left <= 8 && !found; left++) {
                found = true;
                for (int y = 0; y < 16 && found; y++)
                    for (int x = 0; x < 24 && found; x++) {
                        const int at = ((top + y) * 32 + left + x) * 3;
                        const float value = (float)source->image.pixels[at] / 255 * 2 - 1;
                        found = value == batch->image[(y * 24 + x) * 3];
                    }
                moved += found && (top > 0 || left > 0);
            }
        cr_expect(found, "%s", batch->names[0]);
        char seen[256] = {0};
        for (int p = 0; p < 16 * 24; p++) seen[batch->labels[p]] = 1;
        cr_assert_gt(batch->instances[0], 0);
        for (int id = 1; id <= batch->instances[0]; id++) cr_expect(seen[id]);
        batch_free(batch);
    }
    cr_expect_gt(moved, B / 2);
    for (int i = 0; i < B; i++) sample_free(&samples[i]);
    loader_close(loader);
    close_both(&pair);
}

Test(mixed, a_set_that_would_never_be_drawn_is_refused) {
    Pairing pair = pairing();
    pair.sets[0].weight = 100;
    cr_expect_null(loader_open_mixed(pair.sets, 2, &(LoaderOptions){.batch = 2, .ahead = 1}));
    expect_error("scenes: with the weight 1 it would have no batch");
    cr_expect_null(loader_open_mixed(pair.sets, 0, &(LoaderOptions){.batch = 2, .ahead = 1}));
    expect_error("0 data sets");
    close_both(&pair);
}

// A folder of `count` images, the first `damaged` of which are cut short.
static void make_folder(const Path *root, int count, int damaged) {
    for (int i = 0; i < count; i++) {
        char name[64];
        snprintf(name, sizeof name, "labels/%03d.png", i);
        make_labels(make_place(root->text, name).text, 4, 4,
                    (int32_t[16]){1, 1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2});
        snprintf(name, sizeof name, "images/%03d.jpg", i);
        const Path image = make_place(root->text, name);
        make_jpeg(image.text, 4, 4, 80);
        if (i < damaged) write_bytes(image.text, "\xff\xd8\xff", 3);
    }
}

Test(mixed, damaged_samples_are_replaced_by_others_of_their_set) {
    const Path root = scratch_make();
    make_folder(&root, 9, 2);
    Dataset *own = dataset_open("folder", &(DatasetOptions){.path = root.text});
    cr_assert_not_null(own, "%s", error_message());
    Pairing pair = pairing();
    const LoaderSet sets[] = {pair.sets[0], {own, 1, 8, 8, FIT_RESIZE}};
    Loader *loader = loader_open_mixed(
        sets, 2, &(LoaderOptions){.batch = 1, .seed = 1, .end = 3 * 18, .workers = 2, .ahead = 4});
    int own_batches = 0;
    for (int i = 0; i < 3 * 18; i++) {
        Batch *batch = loader_next(loader);
        cr_assert_not_null(batch, "%s", error_message());
        own_batches += batch->width == 8;
        if (batch->width == 8) cr_expect_geq(atoi(batch->names[0]), 2);
        batch_free(batch);
    }
    cr_expect_eq(own_batches, 3 * 6);
    loader_close(loader);
    dataset_close(own);
    close_both(&pair);
    folder_remove(root.text);
}

Test(dataset_text, a_line_names_a_set_and_how_it_is_drawn) {
    DatasetText parsed;
    cr_assert_eq(dataset_text_parse("vkitti2:weight=2:height=368:width=1024:fit=crop:path=/a "
                                    "b/c:subset=fog:index=none",
                                    true, &parsed),
                 0, "%s", error_message());
    cr_expect_str_eq(parsed.type, "vkitti2");
    cr_expect_str_eq(parsed.name, "vkitti2");
    cr_expect_str_eq(parsed.options.path, "/a b/c");
    cr_expect_str_eq(parsed.options.subset, "fog");
    cr_expect_str_eq(parsed.index, "none");
    cr_expect_eq(parsed.weight, 2);
    cr_expect_eq(parsed.height, 368);
    cr_expect_eq(parsed.width, 1024);
    cr_expect_eq(parsed.fit, FIT_CROP);
    dataset_text_free(&parsed);
}

Test(dataset_text, what_it_cannot_be_is_refused_by_key) {
    const struct {
        const char *text, *part;
        bool training;
    } cases[] = {
        {"", "found nothing", true},
        {"coco:val2017", "expected key=value", true},
        {"coco:spilt=val", "did you mean split?", true},
        {"coco:weight=0", "weight: ", true},
        {"coco:weight=1.5", "weight: ", true},
        {"coco:height=7", "height: ", true},
        {"coco:fit=stretch", "expected resize or crop", true},
        {"coco:path=", "path: found nothing", true},
        {"coco:weight=2", "known are name, path, split, subset, seed, size, count", false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        DatasetText parsed;
        cr_expect_eq(dataset_text_parse(cases[i].text, cases[i].training, &parsed), -1);
        expect_error(cases[i].part);
    }
}
