// SPDX-License-Identifier: MIT
// Cases of the pointwise losses.
#include "tests/op_cases.h"

#include <math.h>
#include <stddef.h>

enum { NO_WEIGHT, FULL_WEIGHT, ROW_WEIGHT };

// p: kind, rows, columns, weight
static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    double low = p[0] == LOSS_BCE ? 0 : -2, high = p[0] == LOSS_BCE ? 1 : 2;
    case_input(run, -3, 3, DIMS(p[1], p[2]));
    case_input(run, low, high, DIMS(p[1], p[2]));
    if (p[3] == NO_WEIGHT)
        case_none(run);
    else
        case_input(run, 0, 2, DIMS(p[1], p[3] == ROW_WEIGHT ? 1 : p[2]));
    run->inputs[1]->needs_grad = false;
    if (p[3] != NO_WEIGHT) run->inputs[2]->needs_grad = false;
}

static Tensor *loss_of(LossKind kind, Tensor *const *in) {
    return kind == LOSS_MSE     ? op_mse_loss(in[0], in[1], in[2])
           : kind == LOSS_L1    ? op_l1_loss(in[0], in[1], in[2])
           : kind == LOSS_HUBER ? op_huber_loss(in[0], in[1], in[2])
                                : op_bce_loss(in[0], in[1], in[2]);
}

static Tensor *forward(CaseRun *run) {
    return loss_of((LossKind)run->p[0], run->inputs);
}

static Tensor *mse_composed(CaseRun *run) {
    Tensor *const *in = run->inputs;
    return op_mean(op_mul(op_square(op_sub(in[0], in[1])), in[2]), REDUCE_ALL);
}

static double terms(const int64_t *p) {
    return (double)(p[1] * p[2]);
}

#define COMMON .inputs = inputs, .forward = forward, .terms = terms
static const OpVariant variants[] = {
    {.name = "mse", .p = {LOSS_MSE, 3, 37, NO_WEIGHT}, COMMON},
    {.name = "mse, weights", .p = {LOSS_MSE, 3, 7, FULL_WEIGHT}, COMMON, .composed = mse_composed},
    {.name = "mse, row weights",
     .p = {LOSS_MSE, 5, 3, ROW_WEIGHT},
     COMMON,
     .composed = mse_composed},
    {.name = "l1, weights", .p = {LOSS_L1, 3, 7, FULL_WEIGHT}, COMMON},
    {.name = "huber", .p = {LOSS_HUBER, 5, 11, NO_WEIGHT}, COMMON},
    {.name = "huber, row weights", .p = {LOSS_HUBER, 5, 3, ROW_WEIGHT}, COMMON},
    {.name = "bce", .p = {LOSS_BCE, 1, 13, NO_WEIGHT}, COMMON},
    {.name = "bce, row weights", .p = {LOSS_BCE, 7, 2, ROW_WEIGHT}, COMMON},
    {.name = "mse 4800x320", .p = {LOSS_MSE, 4800, 320, NO_WEIGHT}, COMMON, .bench = true},
};

static Tensor *fixed(Dtype dtype, const double *values, int64_t columns) {
    Tensor *tensor = case_leaf(dtype, values, DIMS(1, columns));
    if (tensor) tensor->needs_grad = false;
    return tensor;
}

static int known_losses(void) {
    const double p[] = {0.5, -3}, t[] = {0, 1};
    const double mse = 8.125, l1 = 2.25, huber = 0.5 * (0.125 + 3.5);
    Tensor *in[] = {case_leaf(F64, p, DIMS(1, 2)), fixed(F64, t, 2), NONE};
    if (case_expect("mse", loss_of(LOSS_MSE, in), &mse, 1, 1e-15) != 0) return -1;
    if (case_expect("l1", loss_of(LOSS_L1, in), &l1, 1, 1e-15) != 0) return -1;
    return case_expect("huber", loss_of(LOSS_HUBER, in), &huber, 1, 1e-15);
}

static int known_bce(void) {
    const double p[] = {0, 1000, -1000, 2}, t[] = {0.3, 1, 1, 0};
    const double loss = (log(2) + 0 + 1000 + log(1 + exp(2))) / 4;
    const double dp[] = {0.2 / 4, 0, -0.25, 1 / (1 + exp(-2)) / 4};
    Tensor *in[] = {case_leaf(F64, p, DIMS(1, 4)), fixed(F64, t, 4), NONE};
    tape_record(true);
    Tensor *result = loss_of(LOSS_BCE, in);
    if (case_expect("bce", result, &loss, 1, 1e-12) != 0) return -1;
    if (tape_backward(result) != 0) return -1;
    return case_expect("gradient of bce", in[0]->grad, dp, 4, 1e-15);
}

static const OpKnown knowns[] = {
    {"mse, l1 and huber agree with sums by hand", known_losses},
    {"bce does not overflow", known_bce},
};

static Tensor *other_target(void) {
    const double x[4] = {0};
    return op_mse_loss(case_leaf(F32, x, DIMS(1, 3)), fixed(F32, x, 4), NONE);
}

static Tensor *other_weight(void) {
    const double x[4] = {0};
    return op_mse_loss(case_leaf(F32, x, DIMS(1, 4)), fixed(F32, x, 4), fixed(F32, x, 2));
}

static Tensor *learned_target(void) {
    const double x[4] = {0};
    return op_mse_loss(fixed(F32, x, 4), case_leaf(F32, x, DIMS(1, 4)), NONE);
}

static Tensor *integer_target(void) {
    const double x[4] = {0};
    return op_mse_loss(case_leaf(F32, x, DIMS(1, 4)), fixed(I32, x, 4), NONE);
}

static const OpReject rejects[] = {
    {"rejects a target of another shape", other_target, "[1,4] f32 differ"},
    {"rejects a weight that does not fit", other_weight, "weight [1,2]"},
    {"rejects a target that needs a gradient", learned_target, "no gradient"},
    {"rejects an integer target", integer_target, "[1,4] i32 must be of a float type"},
};

const OpCase case_pointwise_loss = {"pointwise_loss",    variants, CASE_COUNT(variants), rejects,
                                    CASE_COUNT(rejects), knowns,   CASE_COUNT(knowns)};
