// SPDX-License-Identifier: MIT
// Cases of resize_nearest and resize_bilinear.
#include "tests/op_cases.h"

#include <stddef.h>

// p: N, H, W, C, height, width
static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    case_input(run, -2, 2, DIMS(p[0], p[1], p[2], p[3]));
}

static double terms(const int64_t *p) {
    return (double)((p[4] / p[1] + 2) * (p[5] / p[2] + 2));
}

static Tensor *nearest(CaseRun *run) {
    return op_resize_nearest(run->inputs[0], run->p[4], run->p[5]);
}

#define NEAREST .inputs = inputs, .forward = nearest, .terms = terms
static const OpVariant nearest_variants[] = {
    {.name = "twice", .p = {2, 3, 5, 3, 6, 10}, NEAREST},
    {.name = "8 rows to 15", .p = {1, 8, 10, 2, 15, 20}, NEAREST},
    {.name = "smaller", .p = {1, 7, 5, 1, 3, 2}, NEAREST},
    {.name = "one pixel to 3x7", .p = {2, 1, 1, 5, 3, 7}, NEAREST},
    {.name = "320 at 30x40 to 60x80", .p = {1, 30, 40, 320, 60, 80}, NEAREST, .bench = true},
};

static int known_nearest(void) {
    const double x[] = {0, 1, 2}, y[] = {0, 0, 1, 1, 2}, one[] = {7, 8};
    const double four[] = {7, 7, 8, 8, 7, 7, 8, 8};
    if (case_expect("5 of 3", op_resize_nearest(case_leaf(F64, x, DIMS(1, 1, 3, 1)), 1, 5), y, 5,
                    0) != 0)
        return -1;
    return case_expect("2x4 of 1x2", op_resize_nearest(case_leaf(F64, one, DIMS(1, 1, 2, 1)), 2, 4),
                       four, 8, 0);
}

static const OpKnown nearest_knowns[] = {{"index n of 2n - 1 is n >> 1", known_nearest}};

static Tensor *nearest_empty(void) {
    const double x[] = {0};
    return op_resize_nearest(case_leaf(F32, x, DIMS(1, 1, 1, 1)), 0, 4);
}

static Tensor *nearest_tokens(void) {
    const double x[] = {0};
    return op_resize_nearest(case_leaf(F32, x, DIMS(1, 1, 1)), 2, 4);
}

static const OpReject nearest_rejects[] = {
    {"rejects an empty result", nearest_empty, "0 x 4"},
    {"rejects tokens", nearest_tokens, "expected 4"},
};

const OpCase case_resize_nearest = {"resize_nearest",
                                    nearest_variants,
                                    CASE_COUNT(nearest_variants),
                                    nearest_rejects,
                                    CASE_COUNT(nearest_rejects),
                                    nearest_knowns,
                                    CASE_COUNT(nearest_knowns)};

// ---- bilinear -----------------------------------------------------------------------------------

static Tensor *bilinear(CaseRun *run) {
    return op_resize_bilinear(run->inputs[0], run->p[4], run->p[5]);
}

#define BILINEAR .inputs = inputs, .forward = bilinear, .terms = terms
static const OpVariant bilinear_variants[] = {
    {.name = "twice", .p = {2, 3, 5, 3, 6, 10}, BILINEAR},
    {.name = "3x7 to 5x11", .p = {1, 3, 7, 2, 5, 11}, BILINEAR},
    {.name = "smaller", .p = {1, 7, 5, 1, 3, 2}, BILINEAR},
    {.name = "one pixel to 3x7", .p = {2, 1, 1, 5, 3, 7}, BILINEAR},
    {.name = "8 at 60x80 to 480x640", .p = {1, 60, 80, 8, 480, 640}, BILINEAR, .bench = true},
};

static int known_bilinear(void) {
    const double x[] = {0, 4}, y[] = {0, 1, 3, 4}, four[] = {1, 3, 5, 7}, two[] = {2, 6};
    if (case_expect("4 of 2", op_resize_bilinear(case_leaf(F64, x, DIMS(1, 1, 2, 1)), 1, 4), y, 4,
                    1e-15) != 0)
        return -1;
    return case_expect("2 of 4", op_resize_bilinear(case_leaf(F64, four, DIMS(1, 4, 1, 1)), 2, 1),
                       two, 2, 1e-15);
}

static const OpKnown bilinear_knowns[] = {
    {"centres are half pixels, edges are clamped", known_bilinear}};

static Tensor *bilinear_empty(void) {
    const double x[] = {0};
    return op_resize_bilinear(case_leaf(F32, x, DIMS(1, 1, 1, 1)), 3, 0);
}

static const OpReject bilinear_rejects[] = {{"rejects an empty result", bilinear_empty, "3 x 0"}};

const OpCase case_resize_bilinear = {"resize_bilinear",
                                     bilinear_variants,
                                     CASE_COUNT(bilinear_variants),
                                     bilinear_rejects,
                                     CASE_COUNT(bilinear_rejects),
                                     bilinear_knowns,
                                     CASE_COUNT(bilinear_knowns)};
