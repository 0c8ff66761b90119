// SPDX-License-Identifier: MIT
// Cases of matmul and linear.
#include "tests/op_cases.h"

#include <stddef.h>

static double largest(double a, double b, double c) {
    double ab = a > b ? a : b;
    return ab > c ? ab : c;
}

// ---- linear -------------------------------------------------------------------------------------

enum { LEAD, ROWS, INNER, OUTER, FLAGS };
enum { BIAS = 1, RESIDUAL = 2, FROZEN = 4 };

static void linear_inputs(CaseRun *run) {
    const int64_t *p = run->p;
    case_input(run, -1, 1, DIMS(p[LEAD], p[ROWS], p[INNER]));
    case_input(run, -1, 1, DIMS(p[OUTER], p[INNER]));
    if (p[FLAGS] & FROZEN) run->inputs[1]->needs_grad = false;
    if (p[FLAGS] & BIAS)
        case_input(run, -1, 1, DIMS(p[OUTER]));
    else
        case_none(run);
    if (p[FLAGS] & RESIDUAL)
        case_input(run, -1, 1, DIMS(p[LEAD], p[ROWS], p[OUTER]));
    else
        case_none(run);
}

static Tensor *linear_forward(CaseRun *run) {
    Tensor **in = run->inputs;
    return op_linear(in[0], in[1], in[2], in[3]);
}

static Tensor *linear_on_itself(CaseRun *run) {
    Tensor **in = run->inputs;
    return op_linear(in[0], in[1], in[2], in[0]);
}

static Tensor *linear_composed(CaseRun *run) {
    const int64_t *p = run->p;
    Tensor *x = op_reshape(run->inputs[0], DIMS(1, p[LEAD] * p[ROWS], p[INNER]));
    Tensor *weight = op_reshape(run->inputs[1], DIMS(1, p[OUTER], p[INNER]));
    Tensor *y = op_matmul(x, weight, false, true);
    return op_reshape(y, DIMS(p[LEAD], p[ROWS], p[OUTER]));
}

static double linear_terms(const int64_t *p) {
    return largest((double)(p[LEAD] * p[ROWS]), (double)p[INNER], (double)p[OUTER]);
}

static double linear_flops(const int64_t *p) {
    return 2 * (double)(p[LEAD] * p[ROWS]) * (double)(p[INNER] * p[OUTER]);
}

#define LINEAR(text, ...)                                                                     \
    {                                                                                         \
        .name = text, .p = {__VA_ARGS__}, .inputs = linear_inputs, .forward = linear_forward, \
        .terms = linear_terms                                                                 \
    }
#define LINEAR_BENCH(rows, inner, outer)                                           \
    {                                                                              \
        .name = #rows "x" #inner "->" #outer, .p = {1, rows, inner, outer},        \
        .inputs = linear_inputs, .forward = linear_forward, .terms = linear_terms, \
        .flops = linear_flops, .bench = true                                       \
    }

// clang-format off
static const OpVariant linear_variants[] = {
    LINEAR("bias",                       2, 5, 7, 11, BIAS),
    LINEAR("size 1",                     1, 1, 1, 1, 0),
    LINEAR("bias and residual",          3, 5, 6, 4, BIAS | RESIDUAL),
    LINEAR("residual, no bias",          1, 7, 13, 3, RESIDUAL),
    LINEAR("frozen weight",              1, 4, 5, 6, BIAS | FROZEN),
    LINEAR("one row",                    1, 1, 33, 65, BIAS),
    LINEAR("one feature",                2, 17, 9, 1, BIAS),
    LINEAR("no rows",                    2, 0, 7, 11, BIAS | RESIDUAL),
    LINEAR("64 rows, 96 to 128",         2, 32, 96, 128, BIAS | RESIDUAL),
    LINEAR("few rows, large weight",      1, 5, 521, 509, BIAS | RESIDUAL),
    {.name = "is a product with the transposed weight", .p = {2, 3, 5, 4},
     .inputs = linear_inputs, .forward = linear_forward, .composed = linear_composed,
     .terms = linear_terms},
    {.name = "residual is the input", .p = {2, 3, 5, 5, BIAS},
     .inputs = linear_inputs, .forward = linear_on_itself, .terms = linear_terms},
    LINEAR_BENCH(4800, 320, 2560),
    LINEAR_BENCH(4800, 1280, 320),
    LINEAR_BENCH(1200, 640, 5120),
    LINEAR_BENCH(300, 1280, 10240),
    LINEAR_BENCH(512, 64, 256),
};
// clang-format on

static int known_linear(void) {
    const double x[] = {1, 2, 3, 4}, weight[] = {1, 0, 2, -1, 0.5, 1}, bias[] = {10, 20, 30};
    const double residual[] = {0, 1, 0, 0, 0, -1}, y[] = {11, 21, 32.5, 13, 22, 34.5};
    return case_expect("linear",
                       op_linear(case_leaf(F64, x, DIMS(2, 2)), case_leaf(F64, weight, DIMS(3, 2)),
                                 case_leaf(F64, bias, DIMS(3)),
                                 case_leaf(F64, residual, DIMS(2, 3))),
                       y, 6, 1e-12);
}

static const OpKnown linear_knowns[] = {{"a small layer worked by hand", known_linear}};

static const double zeros[64];

static Tensor *features_differ(void) {
    return op_linear(case_leaf(F32, zeros, DIMS(2, 3)), case_leaf(F32, zeros, DIMS(4, 2)), NONE,
                     NONE);
}
static Tensor *weight_with_three_sides(void) {
    return op_linear(case_leaf(F32, zeros, DIMS(2, 3)), case_leaf(F32, zeros, DIMS(1, 4, 3)), NONE,
                     NONE);
}
static Tensor *bias_of_inputs(void) {
    return op_linear(case_leaf(F32, zeros, DIMS(2, 3)), case_leaf(F32, zeros, DIMS(4, 3)),
                     case_leaf(F32, zeros, DIMS(3)), NONE);
}
static Tensor *residual_of_inputs(void) {
    Tensor *x = case_leaf(F32, zeros, DIMS(2, 3));
    return op_linear(x, case_leaf(F32, zeros, DIMS(4, 3)), NONE, x);
}

static const OpReject linear_rejects[] = {
    {"rejects features that differ", features_differ, "linear: the last side of x [2,3] f32"},
    {"rejects a weight with three sides", weight_with_three_sides, "linear: weight [1,4,3]"},
    {"rejects a bias of another length", bias_of_inputs, "linear: bias [3] f32"},
    {"rejects a residual of another shape", residual_of_inputs, "expected [2,4] f32"},
};

const OpCase case_linear = {"linear",
                            linear_variants,
                            CASE_COUNT(linear_variants),
                            linear_rejects,
                            CASE_COUNT(linear_rejects),
                            linear_knowns,
                            CASE_COUNT(linear_knowns)};

// ---- matmul -------------------------------------------------------------------------------------

enum { BATCH, M_, K_, P_, FLIP_LEFT, FLIP_RIGHT };

static void matmul_inputs(CaseRun *run) {
    const int64_t *p = run->p;
    bool left = p[FLIP_LEFT], right = p[FLIP_RIGHT];
    case_input(run, -1, 1, DIMS(p[BATCH], p[left ? K_ : M_], p[left ? M_ : K_]));
    case_input(run, -1, 1, DIMS(p[BATCH], p[right ? P_ : K_], p[right ? K_ : P_]));
}

static Tensor *matmul_forward(CaseRun *run) {
    return op_matmul(run->inputs[0], run->inputs[1], run->p[FLIP_LEFT], run->p[FLIP_RIGHT]);
}

static void square_input(CaseRun *run) {
    case_input(run, -1, 1, DIMS(run->p[BATCH], run->p[M_], run->p[M_]));
}

static Tensor *squared(CaseRun *run) {
    return op_matmul(run->inputs[0], run->inputs[0], run->p[FLIP_LEFT], run->p[FLIP_RIGHT]);
}

static double matmul_terms(const int64_t *p) {
    return largest((double)p[M_], (double)p[K_], (double)p[P_]);
}

static double matmul_flops(const int64_t *p) {
    return 2 * (double)(p[BATCH] * p[M_]) * (double)(p[K_] * p[P_]);
}

#define MATMUL(text, ...)                                                                     \
    {                                                                                         \
        .name = text, .p = {__VA_ARGS__}, .inputs = matmul_inputs, .forward = matmul_forward, \
        .terms = matmul_terms                                                                 \
    }

// clang-format off
static const OpVariant matmul_variants[] = {
    MATMUL("plain",                1, 3, 5, 7, 0, 0),
    MATMUL("left transposed",      2, 3, 5, 7, 1, 0),
    MATMUL("right transposed",     3, 3, 5, 7, 0, 1),
    MATMUL("both transposed",      2, 5, 3, 2, 1, 1),
    MATMUL("size 1",               1, 1, 1, 1, 0, 0),
    MATMUL("a column times a row", 2, 9, 1, 11, 0, 0),
    MATMUL("a row times a column", 2, 1, 37, 1, 0, 1),
    MATMUL("no rows",              2, 0, 5, 4, 0, 0),
    MATMUL("sums of nothing",      2, 3, 0, 4, 0, 1),
    MATMUL("33 x 65 x 48",         3, 33, 65, 48, 0, 1),
    {.name = "a matrix with itself, transposed", .p = {2, 5, 5, 5, 1, 0},
     .inputs = square_input, .forward = squared, .terms = matmul_terms},
    {.name = "512 x 512 x 512", .p = {1, 512, 512, 512}, .inputs = matmul_inputs,
     .forward = matmul_forward, .terms = matmul_terms, .flops = matmul_flops, .bench = true},
    {.name = "10 of 1200 x 64 x 1200", .p = {10, 1200, 64, 1200, 0, 1}, .inputs = matmul_inputs,
     .forward = matmul_forward, .terms = matmul_terms, .flops = matmul_flops, .bench = true},
};
// clang-format on

static int known_matmul(void) {
    const double left[] = {1, 2, 3, 4, 5, 6}, right[] = {1, 0, -1, 2, 2, 1};
    const double plain[] = {5, 7, 11, 16};
    Tensor *a = case_leaf(F64, left, DIMS(1, 2, 3)), *b = case_leaf(F64, right, DIMS(1, 3, 2));
    int result = case_expect("plain", op_matmul(a, b, false, false), plain, 4, 0);
    if (result != 0) return result;
    Tensor *row = case_leaf(F64, left, DIMS(1, 1, 2)), *c = case_leaf(F64, right, DIMS(1, 3, 2));
    const double expected[] = {1, 3, 4};
    return case_expect("right transposed", op_matmul(row, c, false, true), expected, 3, 0);
}

static const OpKnown matmul_knowns[] = {{"small products worked by hand", known_matmul}};

static Tensor *batches_differ(void) {
    return op_matmul(case_leaf(F32, zeros, DIMS(1, 2, 3)), case_leaf(F32, zeros, DIMS(2, 3, 2)),
                     false, false);
}
static Tensor *inner_differs(void) {
    return op_matmul(case_leaf(F32, zeros, DIMS(1, 2, 3)), case_leaf(F32, zeros, DIMS(1, 3, 2)),
                     true, false);
}
static Tensor *two_sides(void) {
    return op_matmul(case_leaf(F32, zeros, DIMS(2, 3)), case_leaf(F32, zeros, DIMS(1, 3, 2)), false,
                     false);
}

static const OpReject matmul_rejects[] = {
    {"rejects batches that differ", batches_differ, "matmul: left [1,2,3] f32 and right [2,3,2]"},
    {"rejects inner sides that differ", inner_differs, "matmul: left [1,2,3] f32 transposed and"},
    {"rejects factors without a batch", two_sides, "matmul: left [2,3] f32 has 2 sides"},
};

const OpCase case_matmul = {"matmul",
                            matmul_variants,
                            CASE_COUNT(matmul_variants),
                            matmul_rejects,
                            CASE_COUNT(matmul_rejects),
                            matmul_knowns,
                            CASE_COUNT(matmul_knowns)};
