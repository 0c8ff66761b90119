// SPDX-License-Identifier: MIT
// The pipeline of worker threads.
#include "base/error.h"
#include "base/threads.h"

#include <criterion/criterion.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

typedef struct {
    atomic_int alive;        // items made, neither taken nor discarded
    atomic_int made;         // items made at all
    _Atomic int64_t highest; // largest index made
    int64_t failing;         // every multiple of it fails; 0 = none
} Workshop;

static void nap(long microseconds) {
    nanosleep(&(struct timespec){.tv_nsec = microseconds * 1000}, NULL);
}

static void *make(void *context, int64_t index) {
    Workshop *shop = context;
    nap(100 * (index * 7919 % 5)); // uneven, so that items finish out of order
    if (shop->failing && index % shop->failing == 0)
        return error_null("item %lld is damaged", (long long)index);
    int64_t *item = malloc(sizeof *item);
    if (!item) return error_null("out of memory");
    *item = index * index;
    atomic_fetch_add(&shop->alive, 1);
    atomic_fetch_add(&shop->made, 1);
    int64_t highest = atomic_load(&shop->highest);
    while (index > highest && !atomic_compare_exchange_weak(&shop->highest, &highest, index)) {}
    return item;
}

static void discard(void *context, void *item) {
    atomic_fetch_sub(&((Workshop *)context)->alive, 1);
    free(item);
}

static void check_order(int workers, int ahead) {
    Workshop shop = {0};
    Pipeline *pipeline = pipeline_start(workers, ahead, 5, 105, make, discard, &shop);
    cr_assert_not_null(pipeline, "%s", error_message());
    for (int64_t i = 5; i < 105; i++) {
        int64_t *item = pipeline_next(pipeline);
        cr_assert_not_null(item, "%s", error_message());
        cr_assert_eq(*item, i * i);
        discard(&shop, item);
    }
    cr_assert_null(pipeline_next(pipeline));
    cr_assert(!error_is_set());
    pipeline_stop(pipeline);
    cr_assert_eq(shop.alive, 0);
    cr_assert_eq(shop.made, 100);
}

Test(threads, items_come_in_order_from_any_number_of_workers) {
    check_order(0, 1);
    check_order(1, 1);
    check_order(3, 1);
    check_order(4, 8);
    check_order(8, 3);
    check_order(2, 1000);
}

Test(threads, no_more_than_the_bound_is_made_in_advance) {
    Workshop shop = {0};
    Pipeline *pipeline = pipeline_start(4, 3, 0, 1000, make, discard, &shop);
    for (int64_t i = 0; i < 10; i++) {
        discard(&shop, pipeline_next(pipeline));
        nap(2000);
        cr_assert_leq(atomic_load(&shop.highest), i + 3);
    }
    pipeline_stop(pipeline);
}

Test(threads, stopping_in_the_middle_discards_what_was_made) {
    for (int rounds = 0; rounds < 20; rounds++) {
        Workshop shop = {0};
        Pipeline *pipeline = pipeline_start(3, 7, 0, 1000, make, discard, &shop);
        for (int i = 0; i < rounds; i++) discard(&shop, pipeline_next(pipeline));
        pipeline_stop(pipeline);
        cr_assert_eq(atomic_load(&shop.alive), 0);
    }
    pipeline_stop(NULL);
}

static void check_errors(int workers) {
    Workshop shop = {.failing = 4};
    Pipeline *pipeline = pipeline_start(workers, 4, 1, 10, make, discard, &shop);
    for (int64_t i = 1; i < 10; i++) {
        int64_t *item = pipeline_next(pipeline);
        if (i % 4 == 0) {
            char expected[64];
            snprintf(expected, sizeof expected, "item %lld is damaged", (long long)i);
            cr_assert_null(item);
            cr_assert_str_eq(error_take(), expected);
        } else {
            cr_assert_not_null(item, "%s", error_message());
            cr_assert_eq(*item, i * i);
            discard(&shop, item);
        }
    }
    pipeline_stop(pipeline);
}

Test(threads, a_failed_item_hands_its_message_over_in_its_place) {
    check_errors(0);
    check_errors(3);
}

Test(threads, an_empty_range_ends_at_once) {
    Workshop shop = {0};
    Pipeline *pipeline = pipeline_start(2, 2, 7, 7, make, discard, &shop);
    cr_assert_null(pipeline_next(pipeline));
    cr_assert(!error_is_set());
    pipeline_stop(pipeline);
}

Test(threads, numbers_out_of_range_are_refused) {
    cr_assert_null(pipeline_start(-1, 1, 0, 1, make, discard, NULL));
    cr_assert_str_eq(error_take(), "found -1 worker threads, expected 0 to 256");
    cr_assert_null(pipeline_start(1, 0, 0, 1, make, discard, NULL));
    cr_assert_str_eq(error_take(), "found 0 items of prefetch, expected 1 to 65536");
    cr_assert_null(pipeline_start(1, 1, -2, 1, make, discard, NULL));
    cr_assert_str_eq(error_take(), "found the first item -2, expected >= 0");
}
