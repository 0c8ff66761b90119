// SPDX-License-Identifier: MIT
// Cases of concat and slice; reshape, which has no kernel, is checked beside slice.
#include "tests/op_cases.h"

#include "base/error.h"

#include <stddef.h>

// ---- concat -------------------------------------------------------------------------------------

// p: axis, sides of left [a,b,c], side of right along the axis
static void concat_inputs(CaseRun *run) {
    const int64_t *p = run->p;
    int64_t right[3] = {p[1], p[2], p[3]};
    right[p[0] < 0 ? p[0] + 3 : p[0]] = p[4];
    case_input(run, -2, 2, DIMS(p[1], p[2], p[3]));
    case_input(run, -2, 2, 3, right);
}

static Tensor *concat_forward(CaseRun *run) {
    return op_concat(run->inputs[0], run->inputs[1], (int)run->p[0]);
}

// Both inputs are read again, so that backward adds to gradients that exist.
static Tensor *concat_read_again(CaseRun *run) {
    Tensor *y = concat_forward(run);
    return op_concat(op_mul(y, y), op_concat(run->inputs[0], run->inputs[1], (int)run->p[0]), 0);
}

#define CONCAT .inputs = concat_inputs, .forward = concat_forward
static const OpVariant concat_variants[] = {
    {.name = "first axis", .p = {0, 2, 3, 5, 1}, CONCAT},
    {.name = "middle axis", .p = {1, 2, 3, 5, 7}, CONCAT},
    {.name = "last axis", .p = {-1, 3, 2, 5, 4}, CONCAT},
    {.name = "added to",
     .p = {-1, 3, 2, 5, 4},
     .inputs = concat_inputs,
     .forward = concat_read_again},
    {.name = "an empty side", .p = {2, 3, 2, 5, 0}, CONCAT},
    {.name = "4800x(640+320)", .p = {2, 1, 4800, 640, 320}, CONCAT, .bench = true},
};

static int known_concat(void) {
    const double a[] = {1, 2, 3, 4}, b[] = {5, 6}, y[] = {1, 2, 5, 3, 4, 6};
    return case_expect("concat",
                       op_concat(case_leaf(F64, a, DIMS(2, 2)), case_leaf(F64, b, DIMS(2, 1)), 1),
                       y, 6, 0);
}

static const OpKnown concat_knowns[] = {{"joins rows", known_concat}};

static Tensor *concat_misfit(void) {
    const double x[6] = {0};
    return op_concat(case_leaf(F32, x, DIMS(2, 3)), case_leaf(F32, x, DIMS(3, 2)), 0);
}

static Tensor *concat_no_axis(void) {
    const double x[6] = {0};
    return op_concat(case_leaf(F32, x, DIMS(2, 3)), case_leaf(F32, x, DIMS(2, 3)), 2);
}

static Tensor *concat_integer_right(void) {
    const double x[6] = {0};
    return op_concat(case_leaf(F32, x, DIMS(2, 3)), case_leaf(I32, x, DIMS(2, 3)), 0);
}

static const OpReject concat_rejects[] = {
    {"rejects other sides that differ", concat_misfit, "[3,2]"},
    {"rejects an axis that is not there", concat_no_axis, "axis 2"},
    {"rejects integers on the right", concat_integer_right, "[2,3] i32 must be of a float type"},
};

const OpCase case_concat = {"concat",
                            concat_variants,
                            CASE_COUNT(concat_variants),
                            concat_rejects,
                            CASE_COUNT(concat_rejects),
                            concat_knowns,
                            CASE_COUNT(concat_knowns)};

// ---- slice and reshape --------------------------------------------------------------------------

// p: axis, start, length, sides of x [a,b,c]
static void slice_inputs(CaseRun *run) {
    case_input(run, -2, 2, DIMS(run->p[3], run->p[4], run->p[5]));
}

static Tensor *slice_forward(CaseRun *run) {
    return op_slice(run->inputs[0], (int)run->p[0], run->p[1], run->p[2]);
}

static Tensor *slice_twice(CaseRun *run) {
    return op_mul(slice_forward(run), op_slice(run->inputs[0], (int)run->p[0], 0, run->p[2]));
}

static Tensor *slice_reshaped(CaseRun *run) {
    Tensor *square = op_square(op_reshape(run->inputs[0], DIMS(run->p[3] * run->p[4], -1)));
    return op_slice(op_reshape(square, DIMS(run->p[3], run->p[4], run->p[5])), (int)run->p[0],
                    run->p[1], run->p[2]);
}

#define SLICE .inputs = slice_inputs, .forward = slice_forward
static const OpVariant slice_variants[] = {
    {.name = "first axis", .p = {0, 1, 2, 4, 3, 5}, SLICE},
    {.name = "middle axis", .p = {1, 2, 1, 4, 3, 5}, SLICE},
    {.name = "last axis", .p = {-1, 0, 3, 4, 3, 5}, SLICE},
    {.name = "everything", .p = {2, 0, 5, 1, 3, 5}, SLICE},
    {.name = "overlapping slices",
     .p = {1, 1, 2, 2, 3, 5},
     .inputs = slice_inputs,
     .forward = slice_twice},
    {.name = "after reshape",
     .p = {1, 1, 2, 2, 3, 5},
     .inputs = slice_inputs,
     .forward = slice_reshaped},
    {.name = "4800x320 of 4800x640", .p = {2, 320, 320, 1, 4800, 640}, SLICE, .bench = true},
};

static int known_slice(void) {
    const double x[] = {1, 2, 3, 4, 5, 6}, y[] = {2, 3, 5, 6};
    return case_expect("slice", op_slice(case_leaf(F64, x, DIMS(2, 3)), 1, 1, 2), y, 4, 0);
}

static int known_reshape(void) {
    const double x[] = {1, 2, 3, 4, 5, 6};
    Tensor *leaf = case_leaf(F64, x, DIMS(2, 3)), *y = op_reshape(leaf, DIMS(-1, 2));
    if (case_expect("reshape", y, x, 6, 0) != 0) return -1;
    if (y->ndim != 2 || y->shape[0] != 3) return error_int("reshape gave %s", tensor_text(y));
    return y->data == leaf->data ? 0 : error_int("reshape has copied");
}

static int known_empty_reshape(void) {
    const double none[1] = {0};
    Tensor *empty = case_leaf(F64, none, DIMS(4, 0));
    Tensor *y = op_reshape(empty, DIMS(2, 2, 0)), *open = op_reshape(empty, DIMS(0, -1, 3));
    if (!y || !open) return -1;
    return y->ndim == 3 && y->shape[1] == 2 && open->shape[1] == 0
               ? 0
               : error_int("reshape gave %s and %s", tensor_text(y), tensor_text(open));
}

static const OpKnown slice_knowns[] = {
    {"takes columns", known_slice},
    {"reshape fills in -1 and shares memory", known_reshape},
    {"reshape takes sides before a side of 0", known_empty_reshape},
};

static Tensor *slice_outside(void) {
    const double x[6] = {0};
    return op_slice(case_leaf(F32, x, DIMS(2, 3)), 1, 2, 2);
}

static Tensor *slice_overflow(void) {
    const double x[6] = {0};
    return op_slice(case_leaf(F32, x, DIMS(2, 3)), 1, 2, INT64_MAX);
}

static Tensor *reshape_misfit(void) {
    const double x[6] = {0};
    return op_reshape(case_leaf(F32, x, DIMS(2, 3)), DIMS(4, -1));
}

static Tensor *reshape_overflow(void) {
    const double x[6] = {0};
    return op_reshape(case_leaf(F32, x, DIMS(2, 3)), DIMS(INT64_MAX, 4));
}

static Tensor *reshape_negative(void) {
    const double x[6] = {0};
    return op_reshape(case_leaf(F32, x, DIMS(2, 3)), DIMS(-1, -1));
}

static Tensor *reshape_none(void) {
    return op_reshape(NONE, DIMS(1));
}

static const OpReject slice_rejects[] = {
    {"rejects leaving the tensor", slice_outside, "leaves axis 1 of"},
    {"rejects a length that overflows", slice_overflow, "leaves axis 1 of"},
    {"reshape rejects another number of elements", reshape_misfit, "6 elements"},
    {"reshape rejects sides that overflow", reshape_overflow, "side 0"},
    {"reshape rejects two open sides", reshape_negative, "side 1 of -1"},
    {"reshape rejects an input that is left out", reshape_none, "is left out"},
};

const OpCase case_slice = {"slice",
                           slice_variants,
                           CASE_COUNT(slice_variants),
                           slice_rejects,
                           CASE_COUNT(slice_rejects),
                           slice_knowns,
                           CASE_COUNT(slice_knowns)};
