// SPDX-License-Identifier: MIT
// The plans that the CUDA libraries make: kept once they are known, tried again after a failure.
#include "base/error.h"
#include "cuda/plan_cache.h"

#include <criterion/criterion.h>

static int made, answer; // calls of plan_new; what it returns
static int *what;        // and gives

static int plan_new(const void *key, void **plan) {
    (void)key;
    made++;
    *plan = what;
    return answer == 0 ? 0 : error_int("no memory");
}

static int find(int key, void **plan) {
    static PlanCache cache = PLAN_CACHE_EMPTY;
    return plan_cache_find(&cache, &key, sizeof key, plan_new, plan);
}

Test(plan_cache, a_plan_is_made_once) {
    int one, two;
    void *plan;
    what = &one;
    cr_assert_eq(find(1, &plan), 0);
    cr_assert_eq(plan, &one);
    what = &two;
    cr_assert_eq(find(1, &plan), 0);
    cr_assert_eq(plan, &one);
    cr_assert_eq(find(2, &plan), 0);
    cr_assert_eq(plan, &two);
    cr_assert_eq(made, 2);
}

Test(plan_cache, that_there_is_none_is_kept) {
    int one;
    void *plan = &one;
    cr_assert_eq(find(1, &plan), 0);
    cr_assert_null(plan);
    what = &one;
    cr_assert_eq(find(1, &plan), 0);
    cr_assert_null(plan);
    cr_assert_eq(made, 1);
}

Test(plan_cache, a_failure_is_told_and_tried_again) {
    int one;
    void *plan = &one;
    answer = -1;
    cr_assert_eq(find(1, &plan), -1);
    cr_assert_null(plan);
    cr_assert_str_eq(error_take(), "no memory");
    answer = 0;
    what = &one;
    cr_assert_eq(find(1, &plan), 0);
    cr_assert_eq(plan, &one);
}
