// SPDX-License-Identifier: MIT
// What kernels of the CPU promise beside numbers: failures are errors that leave nothing half done,
// and say what failed.
#include "autograd/backend.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "cpu/conv_table.h"
#include "cpu/cpu.h"
#include "cpu/team_error.h"

#include <criterion/criterion.h>
#include <string.h>

static Tensor *filled(double value, int ndim, const int64_t *shape) {
    Tensor *tensor = tensor_new(F32, ndim, shape);
    tensor_fill(tensor, value);
    tensor->needs_grad = true;
    return tensor;
}

static void use_fast(void) {
    backend_use(cpu_backend());
    tape_record(true);
}

TestSuite(cpu_kernels, .init = use_fast);

Test(cpu_kernels, a_norm_without_memory_for_its_sums_is_an_error) {
    Tensor *x = filled(1, DIMS(1, 4, 8)), *scale = filled(1, DIMS(8)),
           *dy = filled(1, DIMS(1, 4, 8));
    Tensor *y = op_group_norm(x, scale, scale, 2, 1e-5, true);
    memory_fail_at(1);
    int result = tape_backward_from(y, dy);
    memory_fail_at(0);
    cr_assert_eq(result, -1);
    cr_assert_str_eq(error_take(),
                     "backward of group_norm: group_norm: out of memory: 128 bytes asked for");
    tensor_free(x), tensor_free(scale), tensor_free(dy);
}

// A gradient of a convolution by the library, added to what stands in dx and dweight.
static int add_gradients(Tensor *x, Tensor *weight, const Tensor *dy) {
    const Conv2dOptions options = {.stride = 2};
    Tensor *y = op_conv2d(x, weight, NONE, NONE, options);
    int result = y ? tape_backward_from(y, dy) : -1;
    tape_reset();
    return result;
}

Test(cpu_kernels, a_convolution_that_fails_half_way_gives_its_input_no_second_share) {
    if (!onednn_exists()) return;
    Tensor *x = filled(1, DIMS(1, 3, 3, 1)), *weight = filled(1, DIMS(1, 1, 1, 1));
    Tensor *dy = filled(1, DIMS(1, 2, 2, 1));
    conv_way_force(WAY_LIBRARY);
    cr_assert_eq(add_gradients(x, weight, dy), 0);
    memory_fail_at(2); // the primitive that adds to dweight, after the one that adds to dx
    int result = add_gradients(x, weight, dy);
    memory_fail_at(0);
    cr_assert_eq(result, -1, "the weight's gradient had no primitive");
    cr_assert_not_null(strstr(error_take(), "conv2d: out of memory"));
    cr_assert_eq(((float *)x->grad->data)[0], 2, "its share, once");
    cr_assert_eq(add_gradients(x, weight, dy), 0, "the next call finds memory");
    cr_assert_eq(((float *)x->grad->data)[0], 3);
    cr_assert_eq(((float *)weight->grad->data)[0], 8);
    tensor_free(x), tensor_free(weight), tensor_free(dy);
}

Test(cpu_kernels, a_team_reports_one_error_and_keeps_none) {
    TeamError error = {""};
#pragma omp parallel for schedule(static) num_threads(4)
    for (int i = 0; i < 8; i++)
        if (i != 2) {
            error_int("part %d", 7);
            team_error_note(&error);
        }
    cr_assert_eq(team_error_raise(&error, "matmul"), -1);
    cr_assert_str_eq(error_take(), "matmul: part 7");
    int left = 0;
#pragma omp parallel num_threads(4) reduction(+ : left)
    left += error_is_set();
    cr_assert_eq(left, 0, "a thread would blame the next op for it");
    cr_assert_eq(team_error_raise(&(TeamError){""}, "matmul"), 0);
}

Test(cpu_kernels, cases_of_convolutions_are_compared_by_field) {
    ConvCase a, b;
    memset(&a, 0x00, sizeof a);
    memset(&b, 0xFF, sizeof b);
    const ConvShape shape = {.N = 1, .H = 2, .W = 3, .stride = 1};
    a.pass = b.pass = CONV_WEIGHT_GRADIENT;
    a.shape = b.shape = shape;
    a.upsampled = b.upsampled = true;
    cr_assert_neq(memcmp(&a, &b, sizeof a), 0, "padding differs");
    cr_assert(conv_case_same(&a, &b));
    b.shape.right = 1;
    cr_assert_not(conv_case_same(&a, &b));
}
