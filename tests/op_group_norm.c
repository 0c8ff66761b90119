// SPDX-License-Identifier: MIT
// Cases of group_norm.
#include "tests/op_cases.h"

#include <stddef.h>

// p: N, H, W (0: none, x is [N,H,C]), C, groups, silu, weight and bias frozen
static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    if (p[2])
        case_input(run, -2, 3, DIMS(p[0], p[1], p[2], p[3]));
    else
        case_input(run, -2, 3, DIMS(p[0], p[1], p[3]));
    case_input(run, -1.5, 1.5, DIMS(p[3]));
    case_input(run, -1, 1, DIMS(p[3]));
    for (int i = 1; i < run->count; i++) run->inputs[i]->needs_grad = !p[6];
}

static Tensor *forward(CaseRun *run) {
    Tensor *const *in = run->inputs;
    return op_group_norm(in[0], in[1], in[2], (int)run->p[4], 1e-5, run->p[5] != 0);
}

static Tensor *composed(CaseRun *run) {
    Tensor *const *in = run->inputs;
    return op_silu(op_group_norm(in[0], in[1], in[2], (int)run->p[4], 1e-5, false));
}

static double terms(const int64_t *p) {
    return (double)(p[0] * p[1] * (p[2] ? p[2] : 1) * p[3]);
}

static double flops(const int64_t *p) {
    return 8 * terms(p);
}

#define COMMON .inputs = inputs, .forward = forward, .terms = terms, .flops = flops
static const OpVariant variants[] = {
    {.name = "2 images, 3 groups of 5", .p = {2, 3, 5, 15, 3}, COMMON},
    {.name = "silu", .p = {2, 3, 2, 6, 2, 1}, COMMON, .composed = composed},
    {.name = "frozen weights", .p = {1, 3, 7, 8, 2, 0, 1}, COMMON},
    {.name = "silu, frozen weights", .p = {3, 4, 2, 9, 3, 1, 1}, COMMON, .composed = composed},
    {.name = "tokens, one group", .p = {2, 7, 0, 5, 1, 1}, COMMON, .composed = composed},
    {.name = "a group per channel", .p = {1, 5, 3, 4, 4}, COMMON},
    {.name = "no images, silu", .p = {0, 3, 5, 6, 2, 1}, COMMON},
    {.name = "32 groups of 2", .p = {1, 9, 11, 64, 32, 1}, COMMON},
    {.name = "320 channels at 13x11",
     .p = {1, 13, 11, 320, 32, 1},
     COMMON,
     .no_grad_check = "large"},
    {.name = "320 at 60x80", .p = {1, 60, 80, 320, 32}, COMMON, .bench = true},
    {.name = "320 at 60x80, silu", .p = {1, 60, 80, 320, 32, 1}, COMMON, .bench = true},
    {.name = "320 at 60x80, silu, frozen", .p = {1, 60, 80, 320, 32, 1, 1}, COMMON, .bench = true},
    {.name = "128 at 240x320, silu, frozen",
     .p = {1, 240, 320, 128, 32, 1, 1},
     COMMON,
     .bench = true},
};

// The vector is 4 channels of 2 x 2 pixels, channel after channel: ours is pixel after pixel.
static void interleave(const double *planes, double *pixels) {
    for (int c = 0; c < 4; c++)
        for (int i = 0; i < 4; i++) pixels[i * 4 + c] = planes[c * 4 + i];
}

static int known_vector(void) {
    const double weight[] = {1, 2, -1, 0.5}, bias[] = {0, 0.5, 1, -1};
    const double y[] = {1.985579158,  1.094094638,  0.364698213,  -0.202610118,
                        -0.715660709, -1.201924993, -1.364013087, -1.201924993,
                        2.229633942,  2.034453951,  1.761201964,  1.409877981,
                        -0.990241000, -0.736507012, -0.443737026, -0.111931042};
    const double dx[] = {0.011923616,  -0.001038061, -0.005748957, -0.002209072,
                         -0.087671262, -0.035212196, 0.025497652,  0.094458280,
                         0.026169722,  0.002993494,  -0.023207466, -0.052433157,
                         0.032424416,  0.020570861,  0.005692574,  -0.012210443};
    double x[16], dy[16], pixels[16];
    for (int k = 0; k < 16; k++) {
        x[k] = 0.25 * k * k - 3.0 * k + 1;
        dy[k] = 0.1 * k - 0.7;
    }
    interleave(x, pixels);
    Tensor *leaf = case_leaf(F64, pixels, DIMS(1, 2, 2, 4));
    tape_record(true);
    Tensor *result = op_group_norm(leaf, case_leaf(F64, weight, DIMS(4)),
                                   case_leaf(F64, bias, DIMS(4)), 2, 1e-5, false);
    interleave(y, pixels);
    if (case_expect("group_norm", result, pixels, 16, 1e-9) != 0) return -1;
    interleave(dy, pixels);
    if (tape_backward_from(result, case_leaf(F64, pixels, DIMS(1, 2, 2, 4))) != 0) return -1;
    interleave(dx, pixels);
    return case_expect("gradient of group_norm", leaf->grad, pixels, 16, 1e-9);
}

static const OpKnown knowns[] = {{"agrees with known values and gradients", known_vector}};

static Tensor *with(int64_t channels, int groups, double eps) {
    const double x[8] = {0};
    return op_group_norm(case_leaf(F32, x, DIMS(1, 2, 4)), case_leaf(F32, x, DIMS(channels)),
                         case_leaf(F32, x, DIMS(4)), groups, eps, false);
}

static Tensor *indivisible(void) {
    return with(4, 3, 1e-5);
}

static Tensor *short_weight(void) {
    return with(3, 2, 1e-5);
}

static Tensor *no_eps(void) {
    return with(4, 2, 0);
}

static Tensor *integer_weight(void) {
    const double x[8] = {0};
    return op_group_norm(case_leaf(F64, x, DIMS(1, 2, 4)), case_leaf(I32, x, DIMS(4)),
                         case_leaf(F64, x, DIMS(4)), 2, 1e-5, false);
}

static const OpReject rejects[] = {
    {"rejects groups that do not divide the channels", indivisible, "3 groups"},
    {"rejects a weight of another length", short_weight, "must have shape [4]"},
    {"rejects eps 0", no_eps, "eps is 0"},
    {"rejects an integer weight", integer_weight, "[4] i32 must be of a float type"},
};

const OpCase case_group_norm = {"group_norm",        variants, CASE_COUNT(variants), rejects,
                                CASE_COUNT(rejects), knowns,   CASE_COUNT(knowns)};
