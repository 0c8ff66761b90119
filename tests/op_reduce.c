// SPDX-License-Identifier: MIT
// Cases of sum and mean.
#include "tests/op_cases.h"

#include <stddef.h>

// p: a, b, c, axes, mean
static void inputs(CaseRun *run) {
    case_input(run, -2, 2, DIMS(run->p[0], run->p[1], run->p[2]));
}

static Tensor *forward(CaseRun *run) {
    unsigned axes = (unsigned)run->p[3];
    return run->p[4] ? op_mean(run->inputs[0], axes) : op_sum(run->inputs[0], axes);
}

static double terms(const int64_t *p) {
    return (double)(p[0] * p[1] * p[2]);
}

#define COMMON .inputs = inputs, .forward = forward, .terms = terms
static const OpVariant variants[] = {
    {.name = "mean of all", .p = {3, 5, 7, REDUCE_ALL, 1}, COMMON},
    {.name = "sum of first", .p = {3, 5, 7, 1, 0}, COMMON},
    {.name = "mean of middle", .p = {2, 5, 3, 2, 1}, COMMON},
    {.name = "sum of last", .p = {2, 3, 37, 4, 0}, COMMON},
    {.name = "mean of first and last", .p = {2, 3, 5, 5, 1}, COMMON},
    {.name = "sum of none", .p = {2, 3, 5, 0, 0}, COMMON},
    {.name = "mean of middle of 4800x320", .p = {1, 4800, 320, 2, 1}, COMMON, .bench = true},
};

static int known_sums(void) {
    const double x[] = {1, 2, 3, 4, 5, 6}, rows[] = {6, 15}, columns[] = {2.5, 3.5, 4.5}, all = 21;
    Tensor *leaf = case_leaf(F64, x, DIMS(2, 3));
    if (case_expect("rows", op_sum(leaf, 2), rows, 2, 0) != 0) return -1;
    if (case_expect("columns", op_mean(leaf, 1), columns, 3, 0) != 0) return -1;
    return case_expect("all", op_sum(leaf, 3), &all, 1, 0);
}

static const OpKnown knowns[] = {{"sums of rows, columns, everything", known_sums}};

static Tensor *no_side(void) {
    const double x[6] = {0};
    return op_sum(case_leaf(F32, x, DIMS(2, 3)), 4);
}

static Tensor *empty_mean(void) {
    const double x[1] = {0};
    return op_mean(case_leaf(F32, x, DIMS(2, 0)), 2);
}

static const OpReject rejects[] = {
    {"rejects a side that is not there", no_side, "0x4"},
    {"rejects a mean over nothing", empty_mean, "no elements"},
};

const OpCase case_reduce = {
    "reduce", variants,          CASE_COUNT(variants), rejects, CASE_COUNT(rejects),
    knowns,   CASE_COUNT(knowns)};
