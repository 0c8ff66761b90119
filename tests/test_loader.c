// SPDX-License-Identifier: MIT
// The loader: every batch is a pure function of its number; workers and starting points change
// nothing; damaged and empty samples are replaced.
#include "base/error.h"
#include "data/loader.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

static Dataset *scenes(int64_t count) {
    DatasetOptions options = {.split = "train", .size = 32, .count = count, .seed = 4};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

static LoaderOptions options_of(int workers, int64_t first, int64_t end) {
    return (LoaderOptions){.batch = 3,
                           .height = 32,
                           .width = 32,
                           .flip = true,
                           .seed = 9,
                           .first = first,
                           .end = end,
                           .workers = workers,
                           .ahead = 4};
}

static void expect_equal(const Batch *a, const Batch *b) {
    size_t pixels = (size_t)a->count * (size_t)a->height * (size_t)a->width;
    cr_assert_eq(a->index, b->index);
    cr_assert_eq(memcmp(a->image, b->image, 3 * pixels * sizeof *a->image), 0);
    cr_assert_eq(memcmp(a->labels, b->labels, pixels * sizeof *a->labels), 0);
    for (int i = 0; i < a->count; i++) cr_assert_str_eq(a->names[i], b->names[i]);
}

Test(loader, an_order_is_a_permutation_and_differs_between_epochs) {
    enum { COUNT = 1000 };
    int moved = 0;
    char seen[COUNT] = {0};
    for (int64_t p = 0; p < COUNT; p++) {
        int64_t at = sample_order(1, 0, COUNT, p);
        cr_assert(at >= 0 && at < COUNT && !seen[at]);
        seen[at] = 1;
        moved += at != sample_order(1, 1, COUNT, p);
    }
    cr_assert_gt(moved, COUNT * 9 / 10);
    cr_assert_eq(sample_order(1, 0, 1, 0), 0);
}

Test(loader, workers_and_starting_points_change_nothing) {
    Dataset *set = scenes(10);
    LoaderOptions inline_options = options_of(0, 0, 8), threaded = options_of(3, 0, 8);
    LoaderOptions late = options_of(2, 5, 8);
    Loader *a = loader_open(set, &inline_options), *b = loader_open(set, &threaded);
    Loader *c = loader_open(set, &late);
    for (int i = 0; i < 8; i++) {
        Batch *x = loader_next(a), *y = loader_next(b);
        cr_assert(x && y, "%s", error_message());
        expect_equal(x, y);
        Batch *z = i >= 5 ? loader_next(c) : NULL;
        if (z) expect_equal(x, z);
        batch_free(x), batch_free(y), batch_free(z);
    }
    cr_assert_null(loader_next(a));
    cr_assert_not(error_is_set());
    loader_close(a), loader_close(b), loader_close(c);
    dataset_close(set);
}

// What one of several processes gets is what it would find there in the whole batches.
static void expect_part(const Batch *whole, const Batch *part) {
    const size_t pixels = 32 * 32, all = pixels * (size_t)part->count;
    const size_t at = pixels * (size_t)part->first;
    cr_assert_eq(whole->index, part->index);
    cr_assert_eq(memcmp(whole->image + 3 * at, part->image, 3 * all * sizeof *part->image), 0);
    cr_assert_eq(memcmp(whole->labels + at, part->labels, all * sizeof *part->labels), 0);
    for (int i = 0; i < part->count; i++)
        cr_assert_str_eq(whole->names[part->first + i], part->names[i]);
}

Test(loader, shares_are_parts_of_the_whole_batches) {
    Dataset *set = scenes(10);
    LoaderOptions options = options_of(1, 4, 8);
    Loader *whole = loader_open(set, &options), *parts[6];
    for (int rank = 0; rank < 6; rank++) {
        options.share = (LoaderShare){.turns = 2, .turn = rank / 3, .slices = 3, .slice = rank % 3};
        parts[rank] = loader_open(set, &options);
    }
    for (int i = 4; i < 8; i++) {
        Batch *batch = loader_next(whole);
        for (int slice = 0; slice < 3; slice++) {
            Batch *part = loader_next(parts[3 * (i % 2) + slice]);
            cr_assert(batch && part, "%s", error_message());
            cr_assert(part->count == 1 && part->first == slice);
            expect_part(batch, part);
            batch_free(part);
        }
        batch_free(batch);
    }
    for (int rank = 0; rank < 6; rank++) {
        cr_assert_null(loader_next(parts[rank]));
        loader_close(parts[rank]);
    }
    loader_close(whole);
    dataset_close(set);
}

Test(loader, an_epoch_shows_every_sample_once) {
    Dataset *set = scenes(12);
    LoaderOptions options = options_of(1, 0, 4);
    Loader *loader = loader_open(set, &options);
    char names[12][256];
    for (int i = 0; i < 4; i++) {
        Batch *batch = loader_next(loader);
        for (int k = 0; k < 3; k++) memcpy(names[3 * i + k], batch->names[k], sizeof names[0]);
        batch_free(batch);
    }
    for (int i = 0; i < 12; i++)
        for (int k = 0; k < i; k++) cr_assert_str_neq(names[i], names[k]);
    loader_close(loader);
    dataset_close(set);
}

Test(loader, pixels_are_between_minus_one_and_one_and_labels_dense) {
    Dataset *set = scenes(6);
    LoaderOptions options = options_of(0, 0, 2);
    Loader *loader = loader_open(set, &options);
    Batch *batch = loader_next(loader);
    size_t pixels = (size_t)batch->count * 32 * 32;
    for (size_t i = 0; i < 3 * pixels; i++)
        cr_assert(batch->image[i] >= -1 && batch->image[i] <= 1);
    for (size_t i = 0; i < pixels; i++)
        cr_assert(batch->labels[i] >= 0 && batch->labels[i] <= batch->instances[i / 1024]);
    batch_free(batch);
    loader_close(loader);
    dataset_close(set);
}
