// SPDX-License-Identifier: MIT
// Cases of unary, binary and geglu.
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

// ---- binary -------------------------------------------------------------------------------------

// p: kind, number of sides of left, its sides, number of sides of right, its sides.
static void binary_inputs(CaseRun *run) {
    const int64_t *left = run->p + 1, *right = left + 1 + left[0];
    case_input(run, -2, 2, (int)left[0], left + 1);
    case_input(run, -2, 2, (int)right[0], right + 1);
}

static Tensor *binary_of(BinaryKind kind, Tensor *left, Tensor *right) {
    return kind == BINARY_ADD   ? op_add(left, right)
           : kind == BINARY_SUB ? op_sub(left, right)
                                : op_mul(left, right);
}

static Tensor *binary_forward(CaseRun *run) {
    return binary_of((BinaryKind)run->p[0], run->inputs[0], run->inputs[1]);
}

// The longest sum is over a repeated side.
static double binary_terms(const int64_t *p) {
    double terms = 1;
    const int64_t *left = p + 1, *right = left + 1 + left[0];
    for (int64_t i = 0; i < left[0]; i++) terms *= (double)left[1 + i];
    for (int64_t i = 0; i < right[0]; i++) terms *= (double)right[1 + i];
    return terms;
}

static Tensor *binary_twice(CaseRun *run) {
    return binary_of((BinaryKind)run->p[0], run->inputs[0], run->inputs[0]);
}

static void binary_one_input(CaseRun *run) {
    case_input(run, -2, 2, DIMS(run->p[1], run->p[2]));
}

#define BINARY .inputs = binary_inputs, .forward = binary_forward, .terms = binary_terms
static const OpVariant binary_variants[] = {
    {.name = "add, same shape", .p = {BINARY_ADD, 2, 3, 37, 2, 3, 37}, BINARY},
    {.name = "sub, same shape", .p = {BINARY_SUB, 2, 5, 7, 2, 5, 7}, BINARY},
    {.name = "mul, same shape", .p = {BINARY_MUL, 3, 2, 3, 33, 3, 2, 3, 33}, BINARY},
    {.name = "add, per image and channel", .p = {BINARY_ADD, 4, 2, 3, 5, 7, 4, 2, 1, 1, 7}, BINARY},
    {.name = "mul, per image and channel", .p = {BINARY_MUL, 4, 2, 3, 5, 7, 4, 2, 1, 1, 7}, BINARY},
    {.name = "sub, fewer sides on the left", .p = {BINARY_SUB, 1, 5, 3, 2, 3, 5}, BINARY},
    {.name = "add, a vector on the right", .p = {BINARY_ADD, 3, 2, 3, 17, 1, 17}, BINARY},
    {.name = "mul, both sides repeated", .p = {BINARY_MUL, 3, 4, 1, 3, 2, 5, 1}, BINARY},
    {.name = "mul, one value", .p = {BINARY_MUL, 2, 4, 9, 1, 1}, BINARY},
    {.name = "mul, the same tensor twice",
     .p = {BINARY_MUL, 3, 5},
     .inputs = binary_one_input,
     .forward = binary_twice},
    {.name = "sub, the same tensor twice",
     .p = {BINARY_SUB, 3, 5},
     .inputs = binary_one_input,
     .forward = binary_twice},
    {.name = "add 60x80x320",
     .p = {BINARY_ADD, 4, 1, 60, 80, 320, 4, 1, 60, 80, 320},
     BINARY,
     .bench = true},
    {.name = "add 60x80x320 per channel",
     .p = {BINARY_ADD, 4, 1, 60, 80, 320, 4, 1, 1, 1, 320},
     BINARY,
     .bench = true},
};

static int known_broadcast(void) {
    const double a[] = {1, 2, 3, 4, 5, 6}, b[] = {10, 20}, ones[] = {1, 1, 1, 1, 1, 1};
    const double product[] = {10, 40, 30, 80, 50, 120}, db[] = {9, 12};
    Tensor *left = case_leaf(F64, a, DIMS(3, 2)), *right = case_leaf(F64, b, DIMS(2));
    tape_record(true);
    Tensor *y = op_mul(left, right);
    if (case_expect("mul", y, product, 6, 0) != 0) return -1;
    if (tape_backward_from(y, case_leaf(F64, ones, DIMS(3, 2))) != 0) return -1;
    return case_expect("gradient of the repeated side", right->grad, db, 2, 0);
}

static const OpKnown binary_knowns[] = {
    {"a gradient is summed over the repeated side", known_broadcast}};

static Tensor *binary_misfit(void) {
    const double x[6] = {0};
    return op_add(case_leaf(F32, x, DIMS(2, 3)), case_leaf(F32, x, DIMS(2)));
}

static Tensor *binary_types(void) {
    const double x[6] = {0};
    return op_mul(case_leaf(F32, x, DIMS(2, 3)), case_leaf(F64, x, DIMS(2, 3)));
}

static Tensor *binary_integers(void) {
    const double x[6] = {0};
    return op_mul(case_leaf(I32, x, DIMS(2, 3)), case_leaf(I32, x, DIMS(2, 3)));
}

static Tensor *binary_integer_right(void) {
    const double x[6] = {0};
    return op_add(case_leaf(F32, x, DIMS(2, 3)), case_leaf(I32, x, DIMS(2, 3)));
}

static Tensor *binary_none(void) {
    const double x[6] = {0};
    return op_add(case_leaf(F32, x, DIMS(2, 3)), NONE);
}

static const OpReject binary_rejects[] = {
    {"rejects sides that differ", binary_misfit, "[2,3]"},
    {"rejects different types", binary_types, "types"},
    {"rejects integers", binary_integers, "float"},
    {"rejects integers on the right", binary_integer_right, "[2,3] i32 must be of a float type"},
    {"rejects a side that is left out", binary_none, "binary: input 1 is left out"},
};

const OpCase case_binary = {"binary",
                            binary_variants,
                            CASE_COUNT(binary_variants),
                            binary_rejects,
                            CASE_COUNT(binary_rejects),
                            binary_knowns,
                            CASE_COUNT(binary_knowns)};

// ---- geglu --------------------------------------------------------------------------------------

static Tensor *geglu_forward(CaseRun *run) {
    return op_geglu(run->inputs[0]);
}

static Tensor *geglu_composed(CaseRun *run) {
    int64_t half = run->p[2] / 2;
    Tensor *gate = op_slice(run->inputs[0], -1, half, half);
    return op_mul(op_slice(run->inputs[0], -1, 0, half), op_gelu(gate));
}

static const OpVariant geglu_variants[] = {
    {.name = "odd half",
     .p = {0, 3, 14},
     .inputs = inputs,
     .forward = geglu_forward,
     .composed = geglu_composed},
    {.name = "one value",
     .p = {0, 1, 2},
     .inputs = inputs,
     .forward = geglu_forward,
     .composed = geglu_composed},
    {.name = "half of 37", .p = {0, 5, 74}, .inputs = inputs, .forward = geglu_forward},
    {.name = "4800x2560",
     .p = {0, 4800, 2560},
     .inputs = inputs,
     .forward = geglu_forward,
     .bench = true},
};

static int known_geglu(void) {
    const double x[] = {1, -2, 0.5, 3, 0.5, 1, -1, 2};
    const double y[] = {0.345731231, -1.682689492, -0.079327627, 5.863499208};
    return case_expect("geglu", op_geglu(case_leaf(F64, x, DIMS(1, 8))), y, 4, 1e-9);
}

static const OpKnown geglu_knowns[] = {{"agrees with known values", known_geglu}};

static Tensor *geglu_odd(void) {
    const double x[3] = {0};
    return op_geglu(case_leaf(F32, x, DIMS(1, 3)));
}

static const OpReject geglu_rejects[] = {{"rejects an odd last side", geglu_odd, "even"}};

const OpCase case_geglu = {"geglu",
                           geglu_variants,
                           CASE_COUNT(geglu_variants),
                           geglu_rejects,
                           CASE_COUNT(geglu_rejects),
                           geglu_knowns,
                           CASE_COUNT(geglu_knowns)};
