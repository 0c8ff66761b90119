// SPDX-License-Identifier: MIT
// Runs every case of every op under the test framework: see op_cases.h.
#include "tests/op_cases.h"

#include <criterion/criterion.h>

Test(ops, every_case_of_every_op_passes) {
    int ran = 0;
    int failed = op_cases_check(NULL, false, stdout, &ran);
    cr_assert_eq(failed, 0, "%d of %d checks failed", failed, ran);
    cr_assert_gt(ran, OP_COUNT);
}

Test(ops, an_unknown_op_is_named) {
    int ran = 0;
    cr_assert_eq(op_cases_check("no_such_op", false, stdout, &ran), -1);
}
