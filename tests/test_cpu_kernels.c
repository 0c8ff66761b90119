// SPDX-License-Identifier: MIT
// What kernels of the CPU promise beside numbers: failures are errors that leave nothing half done,
// and say what failed.
#include "autograd/backend.h"
#include "autograd/tape.h"
#include "cpu/conv_table.h"
#include "cpu/cpu.h"

#include <criterion/criterion.h>
#include <string.h>

static void use_fast(void) {
    backend_use(cpu_backend());
    tape_record(true);
}

TestSuite(cpu_kernels, .init = use_fast);

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
