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

enum { OVER_IN = 64, OVER_OUT = 48 };

static Tensor *held[6]; // what the results were made from
static int held_count;

// A convolution of values that a formula gives; `over`: in the memory of x (`residual` false) or of
// the residual. Its result's address is compared with theirs.
static Tensor *convolve(const int64_t *sides, bool residual, bool over, bool *taken) {
    const Conv2dOptions options = {1, 1, 1, 1, 1, false};
    Tensor *map = tensor_new(SHAPE(F32, sides[0], sides[1], sides[2], OVER_IN));
    Tensor *weight = tensor_new(SHAPE(F32, OVER_OUT, 3, 3, OVER_IN));
    Tensor *bias = filled(0.5, DIMS(OVER_OUT)), *tensors[] = {map, weight};
    for (int k = 0; k < 2; k++)
        for (int64_t i = 0; i < tensor_numel(tensors[k]); i++)
            ((float *)tensors[k]->data)[i] = (float)(i * 7919 % 1009) / 1009 - 0.4f;
    Tensor *x = op_affine(map, 2, 0);
    Tensor *rest = residual ? op_affine(op_slice(map, 3, 8, OVER_OUT), 3, 0) : NONE;
    const void *place = residual ? rest->data : x->data;
    Tensor *y = over ? op_conv2d_over(x, weight, bias, rest, options)
                     : op_conv2d(x, weight, bias, rest, options);
    cr_assert_not_null(y, "%s", error_message());
    *taken = y->data == place;
    held[held_count++] = map, held[held_count++] = weight, held[held_count++] = bias;
    return y;
}

static void forget(void) {
    tape_reset();
    while (held_count > 0) tensor_free(held[--held_count]);
}

// Lines of tiles: less than a band, a band and a part of one, of one image and of several.
Test(cpu_kernels, a_convolution_over_what_it_reads_gives_the_same_bits) {
    const int64_t sides[][3] = {{1, 5, 9}, {1, 38, 23}, {3, 21, 30}, {3, 2, 9}, {1, 64, 64}};
    tape_record(false);
    for (size_t i = 0; i < sizeof sides / sizeof *sides; i++)
        for (int residual = 0; residual < 2; residual++)
            for (int threads = 1; threads <= 3; threads++) {
                bool apart, taken;
                cpu_set_threads(threads);
                conv_way_force(WAY_WINOGRAD);
                const Tensor *a = convolve(sides[i], residual, false, &apart);
                const Tensor *b = convolve(sides[i], residual, true, &taken);
                conv_way_force(WAY_COUNT);
                cr_expect(taken && !apart, "shape %zu", i);
                cr_expect_arr_eq(a->data, b->data, tensor_bytes(a), "shape %zu, %d threads", i,
                                 threads);
                forget();
            }
}

Test(cpu_kernels, a_convolution_lies_over_nothing_that_a_rule_reads_or_another_way_computes) {
    const int64_t sides[] = {1, 16, 16};
    bool taken;
    conv_way_force(WAY_WINOGRAD);
    tape_record(true);
    convolve(sides, false, true, &taken);
    cr_expect_not(taken, "while recording");
    forget();
    tape_record(false);
    conv_way_force(WAY_PATCHES);
    convolve(sides, false, true, &taken);
    cr_expect_not(taken, "patches");
    forget();
    conv_way_force(WAY_COUNT);
    backend_use(cpu_reference_backend());
    convolve(sides, true, true, &taken);
    cr_expect_not(taken, "the definition");
    forget();
}
