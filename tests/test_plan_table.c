// SPDX-License-Identifier: MIT
// The table that chooses plans of the CUDA libraries: what it names, what it refuses.
#include "base/error.h"
#include "cuda/plan_table.h"

#include <criterion/criterion.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static char path[64];

static int read_text(const char *text) {
    snprintf(path, sizeof path, "/tmp/p2s-plan-table-XXXXXX");
    int descriptor = mkstemp(path);
    cr_assert_geq(descriptor, 0);
    cr_assert_eq(write(descriptor, text, strlen(text)), (ssize_t)strlen(text));
    close(descriptor);
    int result = plan_table_read(path);
    unlink(path);
    return result;
}

Test(plan_table, names_the_plan_of_a_problem_and_the_first_for_the_rest) {
    cr_assert_eq(plan_table_choice("convolve forward"), 0);
    cr_assert_eq(plan_table_hash(), 0);
    cr_assert_eq(read_text("# measured\n3 convolve forward bf16 8x60\n\n1 attention forward\n"), 0,
                 "%s", error_message());
    cr_assert_eq(plan_table_choice("convolve forward bf16 8x60"), 3);
    cr_assert_eq(plan_table_choice("attention forward"), 1);
    cr_assert_eq(plan_table_choice("convolve forward bf16 8x6"), 0);
}

Test(plan_table, other_rows_have_another_hash) {
    cr_assert_eq(read_text("1 a\n2 b\n"), 0);
    uint64_t first = plan_table_hash();
    cr_assert_eq(read_text("1 a\n3 b\n"), 0);
    cr_assert_neq(plan_table_hash(), first);
    cr_assert_eq(read_text("# said twice\n1 a\n2 b\n"), 0);
    cr_assert_eq(plan_table_hash(), first);
}

Test(plan_table, a_bad_line_is_named_and_leaves_the_table_empty) {
    static const char *const bad[] = {"1 good\nx bad\n", "1 good\n64 bad\n", "1 good\n-1 bad\n",
                                      "1 good\n2\n", "1 good\n2 \n"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        cr_assert_eq(read_text(bad[i]), -1, "%s", bad[i]);
        const char *message = error_take();
        cr_assert_not_null(strstr(message, ":2: "), "%s", message);
        cr_assert_eq(plan_table_choice("good"), 0);
    }
}

Test(plan_table, a_missing_file_is_an_error) {
    cr_assert_eq(plan_table_read("/nowhere/table"), -1);
    cr_assert_not_null(strstr(error_take(), "/nowhere/table"));
}
