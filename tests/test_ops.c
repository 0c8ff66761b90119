// SPDX-License-Identifier: MIT
// Runs every case of every op under the test framework: see op_cases.h.
#include "tests/op_cases.h"

#include <criterion/criterion.h>

Test(ops, every_case_of_every_op_passes) {
    CaseCounts counts;
    cr_assert_eq(op_cases_check(NULL, false, stdout, &counts), 0, "%d checks failed",
                 counts.failed);
    cr_assert_gt(counts.passed, OP_COUNT);
    cr_assert_lt(counts.skipped, counts.passed / 10);
}

Test(ops, an_unknown_op_is_named) {
    CaseCounts counts;
    cr_assert_eq(op_cases_check("no_such_op", false, stdout, &counts), -1);
}
