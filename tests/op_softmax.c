// SPDX-License-Identifier: MIT
// Cases of softmax.
#include "tests/op_cases.h"

#include <stddef.h>

static void inputs(CaseRun *run) {
    case_input(run, -4, 4, DIMS(2, run->p[0], run->p[1]));
}

static Tensor *forward(CaseRun *run) {
    return op_softmax(run->inputs[0]);
}

static double terms(const int64_t *p) {
    return (double)p[1];
}

#define COMMON .inputs = inputs, .forward = forward, .terms = terms
static const OpVariant variants[] = {
    {.name = "rows of 37", .p = {3, 37}, COMMON},
    {.name = "rows of 5", .p = {1, 5}, COMMON},
    {.name = "600x1200", .p = {600, 1200}, COMMON, .bench = true},
};

static int known_values(void) {
    const double x[] = {0, 0, 0.69314718055994531, 1000, 1000, -1000, 3, 3, 3};
    const double third = 1.0 / 3, y[] = {0.25, 0.25, 0.5, 0.5, 0.5, 0, third, third, third};
    return case_expect("softmax", op_softmax(case_leaf(F64, x, DIMS(3, 3))), y, 9, 1e-15);
}

static const OpKnown knowns[] = {{"agrees with known values, large logits too", known_values}};

static Tensor *empty_row(void) {
    const double x[1] = {0};
    return op_softmax(case_leaf(F32, x, DIMS(3, 0)));
}

static const OpReject rejects[] = {{"rejects empty rows", empty_row, "no last side"}};

const OpCase case_softmax = {"softmax",           variants, CASE_COUNT(variants), rejects,
                             CASE_COUNT(rejects), knowns,   CASE_COUNT(knowns)};
