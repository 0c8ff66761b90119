// SPDX-License-Identifier: MIT
// The tape: gradients through shared tensors, views, scopes and recompute; what is freed when.
#include "autograd/backend.h"
#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "cpu/cpu.h"

#include <criterion/criterion.h>
#include <math.h>
#include <string.h>

static Tensor *leaf(double a, double b) {
    Tensor *x = tensor_new(SHAPE(F64, 2));
    tensor_write_double(x, (double[]){a, b});
    x->needs_grad = true;
    return x;
}

static double *grad_of(const Tensor *x) {
    return x->grad->data;
}

static void use_reference(void) {
    backend_use(cpu_reference_backend());
}

TestSuite(tape, .init = use_reference);

Test(tape, a_chain_multiplies_its_slopes) {
    Tensor *x = leaf(0.5, -1);
    tape_record(true);
    Tensor *y = op_affine(op_square(op_affine(x, 3, 1)), 2, 0); // 2 (3x + 1)^2
    Tensor *dy = tensor_zeros(SHAPE(F64, 2));
    tensor_fill(dy, 1);
    cr_assert_eq(tape_backward_from(y, dy), 0);
    cr_assert_float_eq(grad_of(x)[0], 12 * 2.5, 1e-12);
    cr_assert_float_eq(grad_of(x)[1], 12 * -2.0, 1e-12);
    cr_assert_eq(tape_length(), 0);
    tape_reset();
    tensor_free(dy), tensor_free(x);
}

Test(tape, gradients_of_two_steps_add_up_until_cleared) {
    Tensor *x = leaf(2, 3), *one = tensor_new(SHAPE(F64, 2));
    tensor_fill(one, 1);
    for (int step = 1; step <= 2; step++) {
        tape_record(true);
        cr_assert_eq(tape_backward_from(op_square(x), one), 0);
        tape_reset();
        cr_assert_float_eq(grad_of(x)[0], 4.0 * step, 1e-12);
    }
    tensor_clear_grad(x);
    tape_record(true);
    cr_assert_eq(tape_backward_from(op_square(x), one), 0);
    cr_assert_float_eq(grad_of(x)[1], 6.0, 1e-12);
    tape_reset();
    tensor_free(one), tensor_free(x);
}

Test(tape, a_view_passes_its_gradient_and_shares_memory) {
    Tensor *x = leaf(2, 3);
    tape_record(true);
    Tensor *view = tape_view(op_square(x), DIMS(2, 1));
    Tensor *y = tape_view(op_square(view), DIMS(2)), *one = tensor_new(SHAPE(F64, 2));
    tensor_fill(one, 1);
    cr_assert_eq(tape_backward_from(y, one), 0);
    cr_assert_float_eq(grad_of(x)[0], 4 * 8.0, 1e-12); // d x^4
    cr_assert_float_eq(grad_of(x)[1], 4 * 27.0, 1e-12);
    tape_reset();
    tensor_free(one), tensor_free(x);
}

Test(tape, nothing_is_recorded_without_recording_or_need) {
    Tensor *x = leaf(1, 2);
    Tensor *y = op_square(x);
    cr_assert_not(y->needs_grad);
    x->needs_grad = false;
    tape_record(true);
    cr_assert_not(op_square(x)->needs_grad);
    cr_assert_eq(tape_length(), 0);
    tape_reset();
    tensor_free(x);
}

Test(tape, a_scope_frees_everything_but_its_result) {
    Tensor *x = leaf(1, 2);
    size_t before = backend_current()->stats().live;
    Scope scope = scope_begin();
    Tensor *y = scope_end(scope, op_square(op_square(op_affine(x, 2, 0))));
    cr_assert_eq(backend_current()->stats().live - before, tensor_bytes(y));
    cr_assert_float_eq(((double *)y->data)[1], 256, 1e-12);
    tape_reset();
    cr_assert_eq(backend_current()->stats().live, before);
    tensor_free(x);
}

Test(tape, what_is_let_go_is_freed_before_its_scope_unless_a_rule_reads_it) {
    Tensor *x = leaf(1, 2);
    size_t before = backend_current()->stats().live;
    Tensor *y = op_affine(x, 2, 0);
    tape_let_go(y);
    tape_let_go(x);
    cr_assert_eq(backend_current()->stats().live, before);
    cr_assert_null(y->data);
    cr_assert_not_null(x->data, "only results are let go of");
    tape_record(true);
    y = op_affine(x, 2, 0);
    op_square(y);
    tape_let_go(y);
    cr_assert_not_null(y->data, "the rule of square reads it");
    tape_reset();
    tensor_free(x);
}

Test(tape, a_result_over_another_takes_its_memory_where_nobody_reads_it) {
    Tensor *x = leaf(1, 2), *y = op_affine(x, 2, 0);
    cr_assert_eq(tape_result_over(y, 1, x->shape)->data, y->data);
    cr_assert_neq(tape_result_over(y, 1, x->shape)->data, y->data, "now it is shared");
    Tensor *kept = tape_keep(op_affine(x, 2, 0));
    cr_assert_neq(tape_result_over(kept, 1, x->shape)->data, kept->data);
    cr_assert_neq(tape_result_over(x, 1, x->shape)->data, x->data);
    tape_record(true);
    Tensor *recorded = op_affine(x, 2, 0);
    cr_assert_neq(tape_result_over(recorded, 1, x->shape)->data, recorded->data);
    tape_reset();
    tensor_free(x);
}

Test(tape, the_gradient_of_the_coloring_loss_takes_the_memory_that_was_saved) {
    Tensor *x = tensor_zeros(SHAPE(F64, 1, 8, 8, 3)), *labels = tensor_zeros(SHAPE(I32, 1, 8, 8));
    int32_t ids[64];
    double values[192];
    for (int i = 0; i < 64; i++) ids[i] = i / 16;
    for (int i = 0; i < 192; i++) values[i] = i % 7;
    tensor_write(labels, ids);
    tensor_write_double(x, values);
    x->needs_grad = true;
    for (int step = 0; step < 2; step++) { // the second finds a gradient's memory
        ColoringOptions options = coloring_options_default(COLORING_CODE);
        size_t before = backend_current()->stats().live;
        backend_current()->reset_stats();
        tape_record(true);
        cr_assert_eq(tape_backward(op_coloring_loss(x, labels, NONE, NONE, options)), 0);
        size_t taken = backend_current()->stats().peak - before;
        cr_assert_lt(taken, tensor_bytes(x) * 3 / 2);
        tape_reset();
        if (step == 0) memcpy(values, grad_of(x), sizeof values);
        tensor_clear_grad(x);
    }
    cr_assert_eq(memcmp(values, grad_of(x), sizeof values), 0);
    cr_assert_neq(values[3], 0);
    tensor_free(x), tensor_free(labels);
}

Test(tape, a_recorded_scope_keeps_only_what_rules_read) {
    Tensor *x = leaf(1, 2);
    tape_record(true);
    size_t before = backend_current()->stats().live;
    Scope scope = scope_begin();
    // affine reads nothing back, square reads its input
    Tensor *y = scope_end(scope, op_square(op_affine(op_affine(x, 2, 0), 2, 0)));
    cr_assert_eq(backend_current()->stats().live - before, 2 * tensor_bytes(y));
    Tensor *one = tensor_new(SHAPE(F64, 2));
    tensor_fill(one, 1);
    cr_assert_eq(tape_backward_from(y, one), 0);
    cr_assert_float_eq(grad_of(x)[1], 2 * 16 * 2.0, 1e-12);
    tape_reset();
    tensor_free(one), tensor_free(x);
}

// A norm whose result two rules read, and a gate behind one of them; what is kept is not made
// again.
static Tensor *norm_and_gate(Tensor *x, Tensor *scale, Tensor *shift, bool keep) {
    Scope scope = scope_begin();
    Tensor *normed = op_layer_norm(x, scale, shift, 1e-5);
    Tensor *gated = op_geglu(op_mul(normed, op_exp(normed)));
    if (keep) tape_keep(normed), tape_keep(gated);
    return scope_end(scope, op_sum(op_square(gated), REDUCE_ALL));
}

Test(tape, norms_and_gates_are_made_again_to_the_same_gradients) {
    Tensor *x = tensor_new(SHAPE(F64, 3, 4));
    double values[12], expected[12];
    for (int i = 0; i < 12; i++) values[i] = (i * 5 % 7) / 3.0;
    tensor_write_double(x, values);
    Tensor *scale = tensor_new(SHAPE(F64, 4)), *shift = tensor_new(SHAPE(F64, 4));
    tensor_write_double(scale, (double[]){1, 0.5, -1, 2});
    tensor_write_double(shift, (double[]){0, 1, 0.5, -0.5});
    x->needs_grad = scale->needs_grad = true;
    size_t held[2], before = backend_current()->stats().live;
    for (int keep = 1; keep >= 0; keep--) {
        tape_record(true);
        Tensor *y = norm_and_gate(x, scale, shift, keep);
        held[keep] = backend_current()->stats().live;
        cr_assert_eq(tape_backward(y), 0);
        cr_assert(keep || memcmp(expected, grad_of(x), sizeof expected) == 0);
        memcpy(expected, grad_of(x), sizeof expected);
        tape_reset();
        tensor_clear_grad(x), tensor_clear_grad(scale);
    }
    size_t gradients = backend_current()->stats().live - before;
    cr_assert_eq(held[1] - (held[0] - gradients), tensor_bytes(x) * 3 / 2, "the two are not held");
    cr_assert_neq(expected[0], 0);
    tensor_free(x), tensor_free(scale), tensor_free(shift);
}

Test(tape, kept_results_survive_backward) {
    Tensor *x = leaf(3, 4);
    tape_record(true);
    Tensor *middle = tape_keep(op_square(x)), *y = op_square(middle);
    Tensor *one = tensor_new(SHAPE(F64, 2));
    tensor_fill(one, 1);
    cr_assert_eq(tape_backward_from(y, one), 0);
    cr_assert_float_eq(((double *)middle->data)[0], 9, 1e-12);
    tape_reset();
    tensor_free(one), tensor_free(x);
}

static Tensor *weight; // a parameter used inside the recomputed function

static Tensor *block(Tensor *const *inputs, void *context) {
    int *runs = context;
    ++*runs;
    return op_square(op_square(op_affine(inputs[0], 0.5, 0))) ? op_square(weight) : NULL;
}

static Tensor *chain(Tensor *const *inputs, void *context) {
    int *runs = context;
    ++*runs;
    return op_square(op_square(op_affine(inputs[0], 0.5, 0)));
}

Test(tape, recompute_gives_the_same_gradient_and_keeps_less) {
    Tensor *x = leaf(3, -2), *one = tensor_new(SHAPE(F64, 2));
    tensor_fill(one, 1);
    int runs = 0;
    tape_record(true);
    size_t before = backend_current()->stats().live;
    Tensor *y = recompute(chain, &x, 1, &runs);
    cr_assert_eq(backend_current()->stats().live - before, tensor_bytes(y));
    cr_assert_eq(tape_backward_from(y, one), 0);
    cr_assert_eq(runs, 2);
    cr_assert_float_eq(grad_of(x)[0], 4 * 27 / 16.0, 1e-12); // d (x/2)^4
    cr_assert_float_eq(grad_of(x)[1], 4 * -8 / 16.0, 1e-12);
    tape_reset();
    tensor_free(one), tensor_free(x);
}

Test(tape, recompute_reaches_parameters_used_inside) {
    Tensor *x = leaf(1, 1), *one = tensor_new(SHAPE(F64, 2));
    weight = leaf(5, 6);
    x->needs_grad = false;
    tensor_fill(one, 1);
    int runs = 0;
    tape_record(true);
    cr_assert_eq(tape_backward_from(recompute(block, &x, 1, &runs), one), 0);
    cr_assert_float_eq(grad_of(weight)[1], 12, 1e-12);
    tape_reset();
    tensor_free(one), tensor_free(x), tensor_free(weight);
}

static Tensor *long_chain(Tensor *const *inputs, void *context) {
    (void)context;
    Tensor *y = inputs[0];
    for (int i = 0; i < 8; i++) y = op_affine(y, 0.5, 0);
    return op_square(y);
}

static size_t live_at_backward;

static int note_live(OpKind kind, const void *args, bool backward) {
    (void)kind, (void)args;
    if (backward && live_at_backward == 0) live_at_backward = plan_backend()->stats().live;
    return 0;
}

Test(tape, what_recompute_makes_again_is_let_go_of_where_no_rule_reads_it) {
    backend_use(plan_backend());
    plan_backend_watch(note_live);
    size_t before = plan_backend()->stats().live;
    Tensor *x = tensor_new(SHAPE(F32, 1024)), *dy = tensor_new(SHAPE(F32, 1024));
    x->needs_grad = true;
    tape_record(true);
    cr_assert_eq(tape_backward_from(recompute(long_chain, &x, 1, NULL), dy), 0);
    // x, dy, y and its gradient, y again, what square reads and its gradient
    cr_assert_eq(live_at_backward - before, 7 * tensor_bytes(x));
    tape_reset();
    tensor_free(x), tensor_free(dy);
}

static int norms_seen;

static int refuse_second_norm(OpKind kind, const void *args, bool backward) {
    (void)args;
    bool again = kind == OP_layer_norm && !backward && norms_seen++ > 0;
    return again ? error_int("no norm") : 0;
}

Test(tape, recompute_says_so_when_its_input_cannot_be_made_again) {
    backend_use(plan_backend());
    plan_backend_watch(refuse_second_norm);
    Tensor *x = tensor_new(SHAPE(F32, 2, 4)), *scale = tensor_new(SHAPE(F32, 4));
    x->needs_grad = true;
    int runs = 0;
    tape_record(true);
    Scope scope = scope_begin();
    Tensor *normed = op_layer_norm(x, scale, scale, 1e-5);
    Tensor *y = scope_end(scope, recompute(chain, &normed, 1, &runs));
    cr_assert_eq(tape_backward_from(y, x), -1);
    cr_assert_str_eq(error_take(), "backward of recompute: no norm");
    tensor_free(x), tensor_free(scale);
}

Test(tape, a_frozen_result_may_be_given_twice_to_one_op) {
    Tensor *x = leaf(1, 2), *frozen = leaf(3, 5);
    frozen->needs_grad = false;
    size_t before = backend_current()->stats().live;
    tape_record(true);
    Scope scope = scope_begin();
    Tensor *t = op_square(frozen);
    Tensor *loss = scope_end(scope, op_mse_loss(x, t, t));
    cr_assert_eq(tape_backward(loss), 0);
    cr_assert_float_eq(grad_of(x)[1], 25 * (2 - 25), 1e-12); // the mean of t (x - t)^2
    tape_reset();
    tensor_clear_grad(x);
    cr_assert_eq(backend_current()->stats().live - before, tensor_bytes(x->grad));
    tensor_free(x), tensor_free(frozen);
}

Test(tape, a_loss_of_several_values_is_refused_and_the_tape_reset) {
    Tensor *x = leaf(1, 2);
    size_t before = backend_current()->stats().live;
    tape_record(true);
    cr_assert_eq(tape_backward(op_square(x)), -1);
    cr_assert(strstr(error_take(), "not a single value"));
    cr_assert_eq(tape_length(), 0);
    cr_assert_eq(backend_current()->stats().live, before);
    tensor_free(x);
}

Test(tape, backward_of_nothing_or_of_no_gradient_resets_the_tape) {
    Tensor *x = leaf(1, 2), *one = leaf(1, 1), *none[2] = {NULL, one};
    for (int i = 0; i < 2; i++) {
        tape_record(true);
        op_square(x);
        cr_assert_eq(i < 1 ? tape_backward(none[0]) : tape_backward_from(op_square(one), NULL), -1);
        error_take();
        cr_assert_eq(tape_length(), 0);
        cr_assert(tape_is_recording());
    }
    tensor_free(x), tensor_free(one);
}

Test(tape, a_second_backward_pass_through_the_same_records_is_refused) {
    Tensor *x = leaf(1, 2);
    tape_record(true);
    Tensor *loss = op_sum(op_square(x), REDUCE_ALL);
    cr_assert_eq(tape_backward(loss), 0);
    tensor_clear_grad(x);
    cr_assert_eq(tape_backward(loss), -1);
    cr_assert_str_eq(error_take(), "backward: what made [1] f64 was passed by an earlier backward");
    cr_assert_not(x->has_grad);
    tensor_free(x);
}

Test(tape, a_scope_that_saw_a_reset_ends_in_peace) {
    Tensor *x = leaf(1, 2);
    for (int i = 0; i < 8; i++) op_square(x);
    Scope scope = scope_begin();
    tape_reset();
    cr_assert_null(scope_end(scope, NULL));
    cr_assert_eq(scope_begin(), 0, "nothing is left");
    cr_assert_not_null(op_square(x));
    tape_reset();
    tensor_free(x);
}

Test(tape, null_travels_and_the_first_message_stays) {
    cr_assert_null(op_square(op_clamp(op_affine(NULL, 1, 0), 1, -1)));
    error_take();
    Tensor *x = leaf(1, 2);
    cr_assert_null(op_square(op_clamp(x, 1, -1)));
    cr_assert_str_eq(error_take(), "clamp: low 1 is above high -1");
    tape_reset();
    tensor_free(x);
}

Test(tape, the_plan_back_end_counts_memory_without_taking_it) {
    backend_use(plan_backend());
    plan_backend()->reset_stats();
    size_t before = plan_backend()->stats().live;
    Tensor *x = tensor_new(SHAPE(F32, 1024, 1024, 1024));
    x->needs_grad = true;
    tape_record(true);
    Tensor *y = op_square(x);
    cr_assert_eq(plan_backend()->stats().live - before, (size_t)8 << 30);
    cr_assert_eq(tape_backward_from(y, y), 0);
    tape_reset();
    tensor_free(x);
    cr_assert_eq(plan_backend()->stats().live, before);
    cr_assert_geq(plan_backend()->stats().peak, (size_t)16 << 30);
}

Test(rng, streams_do_not_depend_on_order_and_differ_by_name_and_item) {
    Rng a = rng_stream(1, "flip", 2, 3), b = rng_stream(1, "flip", 2, 3);
    Rng c = rng_stream(1, "flip", 2, 4), d = rng_stream(1, "crop", 2, 3);
    uint32_t first = rng_u32(&a);
    rng_u32(&c);
    cr_assert_eq(rng_u32(&b), first);
    Rng e = rng_stream(1, "flip", 2, 4);
    cr_assert_neq(rng_u32(&e), first);
    cr_assert_neq(rng_u32(&d), first);
}

Test(rng, philox_agrees_with_its_published_vector) {
    Rng zero = {.left = 0}; // counter 0, key 0: Random123 known answer
    const uint32_t expected[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    for (int i = 0; i < 4; i++) cr_assert_eq(rng_u32(&zero), expected[i]);
}

Test(rng, normals_have_mean_zero_and_deviation_one) {
    Rng rng = rng_stream(5, "normal", 0, 0);
    double sum = 0, squares = 0;
    enum { COUNT = 100000 };
    for (int i = 0; i < COUNT; i++) {
        double x = rng_normal(&rng);
        sum += x, squares += x * x;
    }
    cr_assert_lt(fabs(sum / COUNT), 0.015); // five standard errors
    cr_assert_lt(fabs(squares / COUNT - 1), 0.025);
}
