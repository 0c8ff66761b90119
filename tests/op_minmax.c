// SPDX-License-Identifier: MIT
// Cases of minmax.
#include "tests/op_cases.h"

#include <stddef.h>

// p: N, H, W, form, per image, low and high of the values in tenths
static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    case_input(run, 0.1 * (double)p[5], 0.1 * (double)p[6], DIMS(p[0], p[1], p[2], 3));
}

static Tensor *forward(CaseRun *run) {
    return op_minmax_normalise(run->inputs[0], (MinmaxForm)run->p[3], run->p[4] != 0);
}

static double terms(const int64_t *p) {
    return 3 * (double)(p[0] * p[1] * p[2]);
}

#define COMMON .inputs = inputs, .forward = forward, .terms = terms
static const OpVariant variants[] = {
    {.name = "training, whole batch", .p = {2, 3, 5, MINMAX_TRAINING, 0, -10, 12}, COMMON},
    {.name = "training, per image", .p = {2, 3, 5, MINMAX_TRAINING, 1, -10, 12}, COMMON},
    {.name = "training, all above 0", .p = {2, 2, 3, MINMAX_TRAINING, 1, 5, 12}, COMMON},
    {.name = "training, all below 0", .p = {2, 2, 3, MINMAX_TRAINING, 0, -12, -3}, COMMON},
    {.name = "inference, whole batch", .p = {2, 3, 5, MINMAX_INFERENCE, 0, -10, 12}, COMMON},
    {.name = "inference, per image", .p = {3, 3, 5, MINMAX_INFERENCE, 1, -10, 12}, COMMON},
    {.name = "inference, all above 0", .p = {2, 2, 3, MINMAX_INFERENCE, 1, 5, 12}, COMMON},
    {.name = "inference, all below 0", .p = {2, 2, 3, MINMAX_INFERENCE, 0, -12, -3}, COMMON},
    {.name = "480x640", .p = {1, 480, 640, MINMAX_TRAINING, 1, -10, 12}, COMMON, .bench = true},
};

static int check_vector(const double *x, const double *y, const double *dx) {
    const double c[] = {0.1, -0.2, 0.3, 0.4, -0.5, 0.6};
    Tensor *leaf = case_leaf(F64, x, DIMS(1, 6));
    tape_record(true);
    Tensor *result = op_minmax_normalise(leaf, MINMAX_TRAINING, false);
    if (case_expect("minmax", result, y, 6, 1e-8) != 0) return -1;
    if (tape_backward_from(result, case_leaf(F64, c, DIMS(1, 6))) != 0) return -1;
    return case_expect("gradient of minmax", leaf->grad, dx, 6, 1e-8);
}

static int known_signs(void) {
    const double x[] = {-1, -1, -0.5, 0.25, 2, 2};
    const double y[] = {0, 0, 42.499858334, 106.249645835, 254.999150003, 254.999150003};
    const double dx[] = {-7.791685555, -33.291600556, 25.499915000,
                         33.999886667, -55.958101945, 37.541586389};
    return check_vector(x, y, dx);
}

static int known_positive(void) {
    const double x[] = {5, 5, 5.5, 6, 7, 7};
    const double y[] = {212.499822917, 212.499822917, 223.124814063,
                        233.749805208, 254.999787500, 254.999787500};
    const double dx[] = {2.700524301, -3.674470386,  6.374994688,
                         8.499992917, -17.486958876, 5.888021645};
    return check_vector(x, y, dx);
}

static int known_inference(void) {
    const double x[] = {-1, 0, 1, 3}, y[] = {0, 63.75, 127.5, 255};
    const double constant[] = {2, 2}, high[] = {127.5, 127.5}, low[] = {-2, -2}, zero[] = {0, 0};
    if (case_expect("inference",
                    op_minmax_normalise(case_leaf(F64, x, DIMS(1, 4)), MINMAX_INFERENCE, true), y,
                    4, 1e-12) != 0)
        return -1;
    if (case_expect("constant above 0",
                    op_minmax_normalise(case_leaf(F64, constant, DIMS(1, 2)), MINMAX_INFERENCE, 1),
                    high, 2, 1e-12) != 0)
        return -1;
    return case_expect("constant below 0",
                       op_minmax_normalise(case_leaf(F64, low, DIMS(1, 2)), MINMAX_INFERENCE, 1),
                       zero, 2, 0);
}

static const OpKnown knowns[] = {
    {"both signs, ties at both ends", known_signs},
    {"all above 0, ties at both ends", known_positive},
    {"inference form, constants included", known_inference},
};

static Tensor *empty(void) {
    const double x[1] = {0};
    return op_minmax_normalise(case_leaf(F32, x, DIMS(1, 0)), MINMAX_TRAINING, true);
}

static const OpReject rejects[] = {{"rejects an empty tensor", empty, "no minimum"}};

const OpCase case_minmax = {
    "minmax", variants,          CASE_COUNT(variants), rejects, CASE_COUNT(rejects),
    knowns,   CASE_COUNT(knowns)};
