// SPDX-License-Identifier: MIT
// Cases of the unary ops.
#include "tests/op_cases.h"

#include <stddef.h>

static void inputs(CaseRun *run) {
    case_input(run, -3, 3, DIMS(run->p[1], run->p[2]));
}

static Tensor *forward(CaseRun *run) {
    Tensor *x = run->inputs[0];
    switch ((UnaryKind)run->p[0]) {
    case UNARY_SILU:
        return op_silu(x);
    case UNARY_GELU:
        return op_gelu(x);
    case UNARY_QUICK_GELU:
        return op_quick_gelu(x);
    case UNARY_EXP:
        return op_exp(x);
    case UNARY_SQUARE:
        return op_square(x);
    case UNARY_CLAMP:
        return op_clamp(x, -10, 10);
    case UNARY_AFFINE:
        return op_affine(x, -1.5, 0.25);
    }
    return NULL;
}

static double flops(const int64_t *p) {
    return (double)(p[1] * p[2]);
}

static const OpVariant variants[] = {
    {.name = "silu", .p = {UNARY_SILU, 3, 37}, .inputs = inputs, .forward = forward},
    {.name = "gelu", .p = {UNARY_GELU, 5, 7}, .inputs = inputs, .forward = forward},
    {.name = "quick_gelu", .p = {UNARY_QUICK_GELU, 1, 1}, .inputs = inputs, .forward = forward},
    {.name = "exp", .p = {UNARY_EXP, 2, 33}, .inputs = inputs, .forward = forward},
    {.name = "square", .p = {UNARY_SQUARE, 2, 5}, .inputs = inputs, .forward = forward},
    {.name = "clamp, inside", .p = {UNARY_CLAMP, 2, 5}, .inputs = inputs, .forward = forward},
    {.name = "affine", .p = {UNARY_AFFINE, 13, 3}, .inputs = inputs, .forward = forward},
    {.name = "silu 4800x320",
     .p = {UNARY_SILU, 4800, 320},
     .inputs = inputs,
     .forward = forward,
     .flops = flops,
     .bench = true},
};

static int known_values(void) {
    const double x[] = {-3, -1, -0.5, 0.5, 1, 3};
    const double gelu[] = {-0.004049694, -0.158655254, -0.154268769,
                           0.345731231,  0.841344746,  2.995950306};
    const double quick[] = {-0.018071310, -0.154204234, -0.149611563,
                            0.350388437,  0.845795766,  2.981928690};
    const double silu[] = {-0.142277620, -0.268941421, -0.188770334,
                           0.311229666,  0.731058579,  2.857722380};
    Tensor *leaf = case_leaf(F64, x, DIMS(6));
    int result = case_expect("gelu", op_gelu(leaf), gelu, 6, 1e-9);
    if (result == 0) result = case_expect("quick_gelu", op_quick_gelu(leaf), quick, 6, 1e-9);
    return result == 0 ? case_expect("silu", op_silu(leaf), silu, 6, 1e-9) : result;
}

static int known_clamp_gradient(void) {
    const double x[] = {-2, -1, 0, 1, 2}, dy[] = {1, 1, 1, 1, 1}, dx[] = {0, 1, 1, 1, 0};
    const double y[] = {-1, -1, 0, 1, 1};
    Tensor *leaf = case_leaf(F64, x, DIMS(5)), *ones = case_leaf(F64, dy, DIMS(5));
    tape_record(true);
    Tensor *result = op_clamp(leaf, -1, 1);
    if (case_expect("clamp", result, y, 5, 0) != 0) return -1;
    if (tape_backward_from(result, ones) != 0) return -1;
    return case_expect("clamp gradient", leaf->grad, dx, 5, 0);
}

static const OpKnown knowns[] = {
    {"activations agree with known values", known_values},
    {"clamp passes the gradient at its bounds and not outside", known_clamp_gradient},
};

static Tensor *clamp_reversed(void) {
    const double x[] = {0};
    return op_clamp(case_leaf(F32, x, DIMS(1)), 1, -1);
}

static const OpReject rejects[] = {
    {"clamp rejects reversed bounds", clamp_reversed, "clamp: low 1"}};

const OpCase case_unary = {
    "unary", variants,          CASE_COUNT(variants), rejects, CASE_COUNT(rejects),
    knowns,  CASE_COUNT(knowns)};
