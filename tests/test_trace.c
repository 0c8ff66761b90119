// SPDX-License-Identifier: MIT
// TRACE. The variable is read once per process; each test is a process of its own.
#define _POSIX_C_SOURCE 200809L // setenv
#include "autograd/backend.h"
#include "autograd/tape.h"
#include "autograd/trace.h"
#include "base/error.h"
#include "cpu/cpu.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <math.h>
#include <stdlib.h>

static Tensor *two_values(double first, double second) {
    Tensor *tensor = tensor_named(tensor_new(SHAPE(F64, 2)), "input");
    tensor_write_double(tensor, (double[]){first, second});
    return tensor;
}

Test(trace, an_unknown_word_is_an_error_that_lists_the_known) {
    setenv("TRACE", "op,speed", 1);
    backend_use(cpu_backend());
    Tensor *x = two_values(1, 2);
    cr_assert_null(op_silu(x));
    cr_assert_str_eq(error_take(), "TRACE: no word \"speed\"; there are: op, nan");
    tensor_free(x);
    tape_reset();
}

Test(trace, nan_stops_at_the_first_op_that_overflows) {
    setenv("TRACE", "nan", 1);
    backend_use(cpu_backend());
    Tensor *x = two_values(1, 1000);
    cr_assert_not_null(op_silu(x));
    cr_assert_null(op_square(op_exp(x)));
    cr_assert_str_eq(error_take(), "forward of unary: 1 of 2 values are not finite, the "
                                   "first at 1; inputs input [2] f64 (0 not finite)");
    tensor_free(x);
    tape_reset();
}

static int reads;

static int counted_read(void *host, const void *from, size_t bytes) {
    reads++;
    return cpu_backend()->read(host, from, bytes);
}

Test(trace, nan_reads_results_of_a_device_with_memory_of_its_own) {
    setenv("TRACE", "nan", 1);
    Backend device = *cpu_backend();
    device.host_memory = false;
    device.read = counted_read;
    backend_use(&device);
    Tensor *x = tensor_new(SHAPE(F32, 3));
    tensor_write_float(x, (float[]){1, 200, 3});
    cr_assert_null(op_square(op_exp(x)));
    cr_assert_str_eq(error_take(), "forward of unary: 1 of 3 values are not finite, the first at "
                                   "1; inputs [3] f32 (0 not finite)");
    cr_assert_eq(reads, 2);
    tensor_free(x);
    tape_reset();
}

Test(trace, nan_says_which_input_the_result_has_overwritten) {
    setenv("TRACE", "nan", 1);
    backend_use(cpu_backend());
    Tensor *x = tensor_new(SHAPE(F64, 1, 2, 2)), *scale = two_values(1e308, 1e308);
    tensor_write_double(x, (double[]){1, 2, 3, 9});
    Tensor *y = tensor_named(op_affine(x, 1, 0), "y");
    cr_assert_null(op_group_norm_over(y, scale, scale, 1, 1e-5, false));
    cr_assert_str_eq(error_take(),
                     "forward of group_norm: 1 of 4 values are not finite, the first at 3; inputs "
                     "y [1,2,2] f64 (overwritten), input [2] f64 (0 not finite), input [2] f64 "
                     "(0 not finite)");
    tensor_free(x), tensor_free(scale);
    tape_reset();
}

Test(trace, nan_stops_at_a_gradient_that_is_not_finite) {
    setenv("TRACE", "nan", 1);
    backend_use(cpu_backend());
    Tensor *x = two_values(1, 2), *dy = two_values(1, 1e300);
    Tensor *small = two_values(1, 1e5), *large = two_values(1, 1e100);
    x->needs_grad = true;
    tape_record(true);
    Tensor *y = op_mul(x, small);
    cr_assert_not_null(y);
    cr_assert_eq(tape_backward_from(y, dy), 0);
    tensor_clear_grad(x);
    tape_reset();
    y = op_mul(x, large);
    cr_assert_not_null(y);
    cr_assert_eq(tape_backward_from(y, dy), -1);
    cr_assert_not_null(strstr(error_message(), "gradient of input 0 of binary: 1 of 2 values"));
    tape_reset();
    tensor_free(x), tensor_free(dy), tensor_free(small), tensor_free(large);
}

Test(trace, op_prints_a_row_per_op_and_pass, .init = cr_redirect_stderr) {
    setenv("TRACE", "op", 1);
    backend_use(cpu_backend());
    Tensor *x = two_values(1, 2);
    x->needs_grad = true;
    tape_record(true);
    cr_assert_eq(tape_backward(op_sum(op_silu(op_silu(x)), REDUCE_ALL)), 0);
    trace_report();
    trace_report(); // begins anew: nothing to print
    fflush(stderr);
    char text[1024] = "";
    FILE *out = cr_get_redirected_stderr();
    size_t length = fread(text, 1, sizeof text - 1, out);
    text[length] = '\0';
    long calls = 0;
    const char *row = strstr(text, "unary            backward");
    cr_assert_not_null(row, "%s", text);
    cr_assert_eq(sscanf(row, "%*s %*s %ld", &calls), 1);
    cr_assert_eq(calls, 2);
    cr_assert_not_null(strstr(text, "reduce           forward "), "%s", text);
    cr_assert_eq(strstr(strstr(text, "all ops") + 1, "all ops"), NULL, "%s", text);
    tensor_free(x);
}
