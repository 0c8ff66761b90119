// SPDX-License-Identifier: MIT
// The arena of large blocks: where they lie, and what becomes of free ones.
#include "base/error.h"
#include "cpu/arena.h"

#include <criterion/criterion.h>
#include <stdint.h>
#include <string.h>

enum { PAGE = 4096 };
#define MB ((size_t)1 << 20)

Test(arena, blocks_lie_on_pages_and_side_by_side) {
    char *a = arena_take(MB + 64), *b = arena_take(2 * MB);
    cr_assert_eq((uintptr_t)a % PAGE, 0);
    cr_assert_eq(b, a + MB + PAGE);
    cr_assert_eq(arena_held(), 3 * MB + PAGE);
    memset(a, 1, MB + 64);
    memset(b, 2, 2 * MB);
    cr_assert_eq(a[MB + 63], 1);
}

Test(arena, a_free_place_is_taken_again_from_its_start) {
    char *a = arena_take(4 * MB), *b = arena_take(MB);
    arena_give(a, 4 * MB);
    cr_assert_eq(arena_take(MB), a);
    cr_assert_eq(arena_take(3 * MB), a + MB);
    cr_assert_eq(arena_take(MB), b + MB);
}

Test(arena, free_neighbours_join_whatever_their_order) {
    for (int order = 0; order < 6; order++) {
        static const int orders[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
        char *blocks[3] = {arena_take(MB), arena_take(2 * MB), arena_take(MB)};
        char *last = arena_take(MB);
        for (int i = 0; i < 3; i++) {
            int which = orders[order][i];
            arena_give(blocks[which], which == 1 ? 2 * MB : MB);
        }
        char *whole = arena_take(4 * MB);
        cr_assert_eq(whole, blocks[0], "order %d", order);
        arena_give(whole, 4 * MB);
        arena_give(last, MB);
    }
    cr_assert_eq(arena_held(), 5 * MB);
}

Test(arena, the_last_free_place_grows_into_untouched_memory) {
    char *a = arena_take(MB), *b = arena_take(MB);
    arena_give(b, MB);
    cr_assert_eq(arena_take(8 * MB), b);
    cr_assert_eq(arena_held(), 9 * MB);
    arena_give(a, MB);
}

Test(arena, trimming_leaves_used_blocks_and_forgets_the_end) {
    char *a = arena_take(MB), *b = arena_take(MB), *c = arena_take(MB), *d = arena_take(MB);
    memset(a, 1, MB), memset(b, 2, MB), memset(c, 3, MB), memset(d, 4, MB);
    arena_give(b, MB);
    arena_give(d, MB);
    arena_trim();
    cr_assert_eq(arena_held(), 3 * MB);
    cr_assert_eq(a[MB - 1], 1);
    cr_assert_eq(c[0], 3);
    char *again = arena_take(MB);
    cr_assert_eq(again, b);
    cr_assert_eq(again[5], 0, "the system gave a fresh page");
}

Test(arena, more_than_addresses_reach_is_refused) {
    cr_assert_null(arena_take(SIZE_MAX));
    cr_assert_null(arena_take(SIZE_MAX / 2));
    cr_assert_not_null(arena_take(MB));
}
