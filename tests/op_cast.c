// SPDX-License-Identifier: MIT
// Cases of cast.
#include "tests/op_cases.h"

#include "autograd/backend.h"

#include <stddef.h>

static void inputs(CaseRun *run) {
    case_input(run, -3, 3, DIMS(run->p[0], run->p[1]));
}

// To a type that holds more and back; a device without F64 has nothing to do for F32. Times 1, so
// that the result is no leaf where there is no such type.
static Tensor *forward(CaseRun *run) {
    Dtype wide = run->real == BF16 ? F32 : backend_current()->bf16 ? F32 : F64;
    return op_affine(op_cast(op_cast(run->inputs[0], wide), run->real), 1, 0);
}

#define COMMON .inputs = inputs, .forward = forward
static const OpVariant variants[] = {
    {.name = "there and back", .p = {5, 37}, COMMON},
    {.name = "a single number", .p = {1, 1}, COMMON},
};

static int known_rounding(void) {
    const double x[] = {1.0 / 3, 16777217, -0.1}, y[] = {(double)(1.0f / 3), 16777216, -0.1f};
    return case_expect("cast", op_cast(case_leaf(F64, x, DIMS(3)), F32), y, 3, 0);
}

static const OpKnown knowns[] = {{"rounds to nearest", known_rounding}};

static Tensor *to_integers(void) {
    const double x[] = {1};
    return op_cast(case_leaf(F32, x, DIMS(1)), I32);
}

static Tensor *to_bf16(void) {
    const double x[] = {1};
    return op_cast(case_leaf(F32, x, DIMS(1)), BF16);
}

static const OpReject rejects[] = {
    {"rejects integers", to_integers, "not a float type"},
    {"rejects bf16 where the device lacks it", to_bf16, "does not compute in bf16"},
};

const OpCase case_cast = {
    "cast", variants,          CASE_COUNT(variants), rejects, CASE_COUNT(rejects),
    knowns, CASE_COUNT(knowns)};
