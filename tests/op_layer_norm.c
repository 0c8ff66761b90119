// SPDX-License-Identifier: MIT
// Cases of layer_norm.
#include "tests/op_cases.h"

#include <stddef.h>

// p: rows, width, weight and bias frozen
static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    case_input(run, -2, 3, DIMS(1, p[0], p[1]));
    case_input(run, -1.5, 1.5, DIMS(p[1]));
    case_input(run, -1, 1, DIMS(p[1]));
    for (int i = 1; i < run->count; i++) run->inputs[i]->needs_grad = !p[2];
}

static Tensor *forward(CaseRun *run) {
    return op_layer_norm(run->inputs[0], run->inputs[1], run->inputs[2], 1e-5);
}

static double terms(const int64_t *p) {
    return (double)(p[0] > p[1] ? p[0] : p[1]);
}

#define COMMON .inputs = inputs, .forward = forward, .terms = terms
static const OpVariant variants[] = {
    {.name = "3 rows of 37", .p = {3, 37}, COMMON},
    {.name = "one row", .p = {1, 5}, COMMON},
    {.name = "frozen weights", .p = {4, 33, 1}, COMMON},
    {.name = "71 rows of 17", .p = {71, 17}, COMMON},
    {.name = "no rows", .p = {0, 17}, COMMON},
    {.name = "4800x320", .p = {4800, 320}, COMMON, .bench = true},
};

static int known_vector(void) {
    const double x[] = {1, 2, 4, -3}, one[] = {1, 1, 1, 1}, zero[4] = {0};
    const double y[] = {0, 0.392231969, 1.176695906, -1.568927874};
    Tensor *result = op_layer_norm(case_leaf(F64, x, DIMS(1, 4)), case_leaf(F64, one, DIMS(4)),
                                   case_leaf(F64, zero, DIMS(4)), 1e-5);
    return case_expect("layer_norm", result, y, 4, 1e-9);
}

static const OpKnown knowns[] = {{"agrees with known values", known_vector}};

static Tensor *long_bias(void) {
    const double x[8] = {0};
    return op_layer_norm(case_leaf(F32, x, DIMS(2, 4)), case_leaf(F32, x, DIMS(4)),
                         case_leaf(F32, x, DIMS(5)), 1e-5);
}

static Tensor *negative_eps(void) {
    const double x[8] = {0};
    return op_layer_norm(case_leaf(F32, x, DIMS(2, 4)), case_leaf(F32, x, DIMS(4)),
                         case_leaf(F32, x, DIMS(4)), -1);
}

static Tensor *integer_weight(void) {
    const double x[8] = {0};
    return op_layer_norm(case_leaf(F64, x, DIMS(2, 4)), case_leaf(I32, x, DIMS(4)),
                         case_leaf(F64, x, DIMS(4)), 1e-5);
}

static const OpReject rejects[] = {
    {"rejects a bias of another length", long_bias, "must have shape [4]"},
    {"rejects a negative eps", negative_eps, "eps is -1"},
    {"rejects an integer weight", integer_weight, "[4] i32 must be of a float type"},
};

const OpCase case_layer_norm = {"layer_norm",        variants, CASE_COUNT(variants), rejects,
                                CASE_COUNT(rejects), knowns,   CASE_COUNT(knowns)};
