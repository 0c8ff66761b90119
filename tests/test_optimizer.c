// SPDX-License-Identifier: MIT
// What is asked of the first gradients: every trained tensor has one, with finite values; zeros are
// named where they may be, and refused elsewhere.
#include "autograd/backend.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "train/optimizer.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static ParamSet set;
static Optimizer optimizer;
static Text zeros;
static int64_t zero_count;

static void begin(void) {
    ParamSet *sets[] = {&set};
    backend_use(cpu_backend());
    cr_assert_eq(params_begin(&set, "net", F32), 0);
    cr_assert_not_null(params_vector(&set, "gate", 2, INIT_ZEROS, 1));
    cr_assert_not_null(params_vector(&set, "behind", 2, INIT_ONES, 1));
    cr_assert_eq(params_init(&set, 1), 0);
    cr_assert_eq(params_train(&set, ""), 2);
    cr_assert_eq(optimizer_begin(&optimizer, sets, 1), 0);
}

static void end(void) {
    text_free(&zeros);
    optimizer_done(&optimizer);
    params_done(&set);
}

TestSuite(optimizer, .init = begin, .fini = end);

static void give(const char *name, float first, float second) {
    Tensor *tensor = params_find(&set, name)->tensor;
    const float values[] = {first, second};
    cr_assert_eq(tensor_grad_alloc(tensor), 0);
    cr_assert_eq(tensor_write(tensor->grad, values), 0);
    tensor->has_grad = true;
}

static bool behind(const char *name, void *context) {
    (void)context;
    return strcmp(name, "net.behind") == 0;
}

static int check(void) {
    return optimizer_check_gradients(&optimizer, behind, NULL, &zeros, &zero_count);
}

Test(optimizer, finite_gradients_pass_and_zero_ones_behind_a_gate_are_named) {
    give("gate", 1, 0);
    give("behind", 0, 0);
    cr_assert_eq(check(), 0, "%s", error_message());
    cr_assert_eq(zero_count, 1);
    cr_assert_str_eq(text_string(&zeros), "net.behind\n");
}

Test(optimizer, a_tensor_without_a_gradient_is_refused_by_name) {
    give("gate", 1, 1);
    cr_assert_eq(check(), -1);
    cr_assert_str_eq(error_take(), "net.behind received no gradient: it does not reach the loss");
}

Test(optimizer, a_zero_gradient_elsewhere_is_refused_by_name) {
    give("gate", 0, 0);
    give("behind", 0, 0);
    cr_assert_eq(check(), -1);
    cr_assert_str_eq(error_take(), "the gradient of net.gate is exactly zero: it cannot learn");
}

Test(optimizer, a_gradient_that_is_not_finite_is_refused_by_name_and_changes_nothing) {
    give("gate", 1, 1);
    give("behind", 1, INFINITY);
    cr_assert_eq(check(), -1);
    cr_assert_str_eq(error_take(), "the gradient of net.behind is not finite");
    TrainConfig config = {.clip = 1, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};
    double norm;
    float values[2];
    cr_assert_eq(optimizer_update(&optimizer, &config, 1, &norm), -1);
    cr_assert_str_eq(error_take(), "the gradient of net.behind is not finite");
    cr_assert_eq(tensor_read(params_find(&set, "gate")->tensor, values), 0);
    cr_assert_eq(values[0], 0);
    cr_assert_eq(optimizer.step, 0);
}
