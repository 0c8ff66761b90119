// SPDX-License-Identifier: MIT
// The generator: runs each case as grad, compare, composed, known, reject and bench. See
// op_cases.h.
#include "tests/op_cases.h"

#include "autograd/backend.h"
#include "base/clock.h"
#include "base/error.h"
#include "cpu/cpu.h"
#include "cuda/cuda.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { GRAD_SAMPLES = 160 }; // elements per input whose derivative is taken numerically
static const double GRAD_LIMIT = 1e-6, GRAD_STEP = 1e-5, COMPOSED_LIMIT = 1e-11;

#define OP(name, inputs, outputs) &case_##name,
static const OpCase *const cases[] = {OP_LIST(OP)};
#undef OP

typedef struct {
    bool json;
    FILE *out;
    CaseCounts counts;
    const char *op;
    const Backend *device;  // check_device only
    const CaseBench *bench; // bench only
} Session;

// ---- leaves -------------------------------------------------------------------------------------

// Whether the op's inputs 1 and 2 are parameters.
static bool is_layer(const char *op) {
    return strcmp(op, "conv2d") == 0 || strcmp(op, "linear") == 0 ||
           strcmp(op, "group_norm") == 0 || strcmp(op, "layer_norm") == 0;
}

static Dtype leaf_type(const CaseRun *run, Dtype wanted) {
    bool parameter = run->layer && (run->count == 1 || run->count == 2);
    return wanted == BF16 && parameter ? F32 : wanted;
}

// Writes values as the run's type holds them.
static int write_values(const CaseRun *run, Tensor *leaf, const double *values) {
    size_t count = (size_t)tensor_numel(leaf);
    if (!run->rounded || !tensor_is_float(leaf)) return tensor_write_double(leaf, values);
    double *rounded = malloc((count + 1) * sizeof *rounded);
    for (size_t i = 0; rounded && i < count; i++)
        rounded[i] = (double)bf16_to_float(float_to_bf16((float)values[i]));
    int result = rounded ? tensor_write_double(leaf, rounded) : -1;
    free(rounded);
    return result;
}

static void add_leaf(CaseRun *run, Tensor *leaf) {
    if (!leaf || run->count == CASE_MAX_INPUTS) {
        run->failed = true;
        tensor_free(leaf);
        return;
    }
    run->inputs[run->count++] = leaf;
}

void case_values(CaseRun *run, const double *values, int ndim, const int64_t *shape) {
    Tensor *leaf = tensor_new(leaf_type(run, run->real), ndim, shape);
    if (leaf && write_values(run, leaf, values) == 0) leaf->needs_grad = true;
    add_leaf(run, leaf);
}

void case_input(CaseRun *run, double low, double high, int ndim, const int64_t *shape) {
    Tensor *leaf = tensor_new(leaf_type(run, run->real), ndim, shape);
    int64_t count = leaf ? tensor_numel(leaf) : 0;
    double *values = malloc(((size_t)count + 1) * sizeof *values);
    for (int64_t i = 0; values && i < count; i++)
        values[i] = (double)(float)rng_range(&run->rng, low, high);
    if (leaf && values && write_values(run, leaf, values) == 0) leaf->needs_grad = true;
    free(values);
    add_leaf(run, leaf);
}

void case_constant(CaseRun *run, Dtype dtype, const double *values, int ndim,
                   const int64_t *shape) {
    Tensor *leaf = tensor_new(dtype, ndim, shape);
    if (leaf && write_values(run, leaf, values) != 0) run->failed = true;
    add_leaf(run, leaf);
}

void case_none(CaseRun *run) {
    add_leaf(run, NONE);
}

Tensor *case_leaf(Dtype dtype, const double *values, int ndim, const int64_t *shape) {
    Tensor *leaf = tape_result(dtype, ndim, shape);
    if (!leaf || tensor_write_double(leaf, values) != 0) return NULL;
    leaf->needs_grad = tensor_is_float(leaf);
    return leaf;
}

// How a variant is run.
typedef struct {
    const Backend *backend;
    Dtype real;
    bool composed;       // by its definition in plain ops
    bool twice;          // gradients of two runs, the second added to the first
    bool layer, rounded; // see CaseRun
} RunAs;

static bool start(CaseRun *run, const OpVariant *variant, const RunAs *as) {
    backend_use(as->backend);
    *run = (CaseRun){.p = variant->p,
                     .real = as->real,
                     .layer = as->layer,
                     .rounded = as->rounded,
                     .rng = rng_stream(7, variant->name, 0, 0)};
    variant->inputs(run);
    return !run->failed;
}

static void finish(CaseRun *run) {
    tape_record(false);
    tape_reset();
    for (int i = 0; i < run->count; i++) tensor_free(run->inputs[i]);
}

// ---- reporting ----------------------------------------------------------------------------------

static void report(Session *session, const char *mode, const char *name, bool ok, double error,
                   double limit, const char *detail) {
    session->counts.passed += ok;
    session->counts.failed += !ok;
    if (session->json) {
        fprintf(session->out,
                "{\"op\": \"%s\", \"check\": \"%s\", \"case\": \"%s\", \"error\": %.3g, \"limit\": "
                "%.3g, "
                "\"ok\": %s}\n",
                session->op, mode, name, isfinite(error) ? error : 1e300, limit,
                ok ? "true" : "false");
    } else {
        fprintf(session->out, "%-4s %-16s %-9s %-46s", ok ? "ok" : "FAIL", session->op, mode, name);
        if (limit > 0) fprintf(session->out, " %9.2e <= %.1e", error, limit);
        fprintf(session->out, "%s%s\n", *detail ? "  " : "", detail);
    }
    fflush(session->out);
}

// Reports a run that could not be finished, with the error that stopped it.
static void report_error(Session *session, const char *mode, const char *name) {
    char detail[512];
    snprintf(detail, sizeof detail, "%s", error_take());
    report(session, mode, name, false, NAN, 0, *detail ? detail : "no message");
}

// ---- values as doubles --------------------------------------------------------------------------

static double *read_all(const Tensor *tensor) {
    double *values = malloc(((size_t)tensor_numel(tensor) + 1) * sizeof *values);
    if (values && tensor_read_double(tensor, values) != 0) {
        free(values);
        return NULL;
    }
    return values;
}

static double rms(const double *x, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += x[i] * x[i];
    return count ? sqrt(sum / (double)count) : 0;
}

// The cotangent of a result: fixed numbers in [-1, 1), exact in float.
static Tensor *cotangent(const CaseRun *run, const Tensor *like) {
    Tensor *tensor = tensor_new(like->dtype, like->ndim, like->shape);
    int64_t count = tensor_numel(like);
    double *values = malloc(((size_t)count + 1) * sizeof *values);
    Rng rng = rng_stream(11, "cotangent", 0, 0);
    for (int64_t i = 0; values && i < count; i++) values[i] = (double)(float)rng_range(&rng, -1, 1);
    if (tensor && values) write_values(run, tensor, values);
    free(values);
    return tensor;
}

// The value and every input's gradient of one run, as doubles.
typedef struct {
    double *value, *gradients[CASE_MAX_INPUTS]; // NULL where there is none
    int64_t size, sizes[CASE_MAX_INPUTS];
    int count;
} Outcome;

static void outcome_free(Outcome *outcome) {
    free(outcome->value);
    for (int i = 0; i < outcome->count; i++) free(outcome->gradients[i]);
}

static Tensor *result_of(const OpVariant *variant, const RunAs *as, CaseRun *run) {
    return as->composed ? variant->composed(run) : variant->forward(run);
}

// Backward from a result, which is let go of.
static int backward_of(const CaseRun *run, Tensor *y) {
    if (!y) return -1;
    Tensor *dy = cotangent(run, y);
    int result = dy ? 0 : -1;
    if (dy && y->needs_grad) result = tape_backward_from(y, dy);
    tensor_free(dy);
    return result;
}

static int outcome_of(const OpVariant *variant, const RunAs *as, Outcome *outcome) {
    CaseRun run;
    *outcome = (Outcome){0};
    int result = start(&run, variant, as) ? 0 : -1;
    tape_record(true);
    Tensor *y = NULL;
    if (result == 0) y = tape_keep(result_of(variant, as, &run));
    if (y) {
        outcome->value = read_all(y);
        outcome->size = tensor_numel(y);
    }
    result = backward_of(&run, y);
    if (result == 0 && as->twice) result = backward_of(&run, result_of(variant, as, &run));
    outcome->count = run.count;
    for (int i = 0; result == 0 && i < run.count; i++) {
        if (!run.inputs[i]->needs_grad) continue;
        outcome->sizes[i] = tensor_numel(run.inputs[i]);
        if (!run.inputs[i]->has_grad)
            result = error_int("input %d received no gradient", i);
        else
            outcome->gradients[i] = read_all(run.inputs[i]->grad);
    }
    finish(&run);
    return result;
}

// ---- grad ---------------------------------------------------------------------------------------

// sum(y * cotangent) of one forward run, with nothing recorded.
static double weighted(const OpVariant *variant, CaseRun *run, const double *weights) {
    Tensor *y = variant->forward(run);
    if (!y) return NAN;
    double *values = read_all(y), sum = 0;
    int64_t count = tensor_numel(y);
    for (int64_t i = 0; values && i < count; i++) sum += values[i] * weights[i];
    free(values);
    tape_reset();
    return sum;
}

static double slope_at(const OpVariant *variant, CaseRun *run, double *element,
                       const double *weights) {
    double at = *element, step = GRAD_STEP * fmax(1, fabs(at));
    *element = at + step;
    double above = weighted(variant, run, weights), up = *element;
    *element = at - step;
    double below = weighted(variant, run, weights), down = *element;
    *element = at;
    return (above - below) / (up - down);
}

// || numeric - analytic || / || analytic || over at most GRAD_SAMPLES elements of one input.
static double gradient_error(const OpVariant *variant, CaseRun *run, int input,
                             const double *analytic, const double *weights) {
    double *data = run->inputs[input]->data, difference = 0, size = 0;
    int64_t count = tensor_numel(run->inputs[input]);
    Rng rng = rng_stream(3, "gradient samples", (uint64_t)input, 0);
    int64_t samples = count < GRAD_SAMPLES ? count : GRAD_SAMPLES;
    for (int64_t s = 0; s < samples; s++) {
        int64_t i = count <= GRAD_SAMPLES ? s : (int64_t)rng_below(&rng, (uint64_t)count);
        double numeric = slope_at(variant, run, data + i, weights);
        difference += (numeric - analytic[i]) * (numeric - analytic[i]);
        size += analytic[i] * analytic[i];
    }
    if (size == 0) return sqrt(difference);
    return sqrt(difference / size);
}

static void check_gradient(Session *session, const OpVariant *variant) {
    Outcome outcome;
    CaseRun run;
    const RunAs as = {.backend = cpu_reference_backend(), .real = F64};
    if (variant->no_grad_check) {
        session->counts.skipped++;
        fprintf(session->json ? stderr : session->out, "skip %-16s grad      %s: %s\n", session->op,
                variant->name, variant->no_grad_check);
        return;
    }
    if (outcome_of(variant, &as, &outcome) != 0 || !start(&run, variant, &as)) {
        report_error(session, "grad", variant->name);
        outcome_free(&outcome);
        return;
    }
    double worst = 0, *weights = NULL;
    Tensor *y = variant->forward(&run), *dy = y ? cotangent(&run, y) : NULL;
    if (dy) weights = read_all(dy);
    tensor_free(dy);
    tape_reset();
    for (int i = 0; weights && i < run.count; i++) {
        if (!outcome.gradients[i]) continue;
        double error = gradient_error(variant, &run, i, outcome.gradients[i], weights);
        if (isnan(error) || error > worst) worst = error; // a NaN stays the worst
    }
    report(session, "grad", variant->name, weights && worst <= GRAD_LIMIT, worst, GRAD_LIMIT, "");
    free(weights);
    outcome_free(&outcome);
    finish(&run);
}

// ---- compare and composed -----------------------------------------------------------------------

// Largest difference over the RMS of what is expected, value and gradients; infinite where one of
// them is NaN or lacks a gradient.
static double worst_difference(const Outcome *got, const Outcome *expected) {
    double worst = 0;
    for (int i = -1; i < expected->count; i++) {
        const double *a = i < 0 ? got->value : got->gradients[i];
        const double *b = i < 0 ? expected->value : expected->gradients[i];
        int64_t count = i < 0 ? expected->size : expected->sizes[i];
        if (!b) continue;
        if (!a) return INFINITY;
        double scale = rms(b, count);
        for (int64_t k = 0; k < count; k++) {
            if (isnan(a[k]) || isnan(b[k])) return INFINITY;
            double error = fabs(a[k] - b[k]) / (scale > 0 ? scale : 1);
            if (error > worst) worst = error;
        }
    }
    return worst;
}

static void check_compare(Session *session, const OpVariant *variant) {
    Outcome expected, got;
    RunAs as = {.backend = cpu_reference_backend(), .real = F64, .twice = true};
    if (outcome_of(variant, &as, &expected) != 0) {
        report_error(session, "compare", variant->name);
        outcome_free(&expected);
        return;
    }
    double terms = variant->terms ? variant->terms(variant->p) : 1;
    double limit = 8 * (double)FLT_EPSILON * sqrt(terms);
    const Backend *backends[] = {cpu_reference_backend(), cpu_backend()};
    for (int b = variant->bench ? 1 : 0; b < 2; b++) {
        cpu_damaged_blocks();
        cpu_poison_memory(true);
        as = (RunAs){.backend = backends[b], .real = F32, .twice = true};
        int result = outcome_of(variant, &as, &got);
        cpu_poison_memory(false);
        int64_t damaged = cpu_damaged_blocks();
        const char *mode = b == 0 ? "reference" : "fast";
        double error = result == 0 ? worst_difference(&got, &expected) : NAN;
        if (result != 0)
            report_error(session, mode, variant->name);
        else
            report(session, mode, variant->name, error <= limit && damaged == 0, error, limit,
                   damaged ? "wrote behind the end of a block" : "");
        outcome_free(&got);
    }
    outcome_free(&expected);
}

// ---- another device -----------------------------------------------------------------------------

// Ops that only exist in F32: losses and what comes before them, and tables of parameters.
static bool has_bf16(const char *op) {
    static const char *const precise[] = {"minmax", "pointwise_loss", "coloring_loss", "embedding"};
    for (int i = 0; i < CASE_COUNT(precise); i++)
        if (strcmp(op, precise[i]) == 0) return false;
    return true;
}

static void check_on_device(Session *session, const OpVariant *variant, Dtype real) {
    Outcome expected, got;
    RunAs as = {.backend = cpu_reference_backend(),
                .real = F64,
                .twice = true,
                .rounded = real == BF16,
                .layer = is_layer(session->op)};
    int result = outcome_of(variant, &as, &expected);
    as.backend = session->device;
    as.real = real;
    cuda_poison_memory(true);
    if (outcome_of(variant, &as, &got) != 0) result = -1;
    cuda_poison_memory(false);
    double terms = variant->terms ? variant->terms(variant->p) : 1;
    double limit = real == BF16 ? 8 * 0x1p-7 : 8 * (double)FLT_EPSILON * sqrt(terms);
    const char *mode = real == BF16 ? "bf16" : "f32";
    double error = result == 0 ? worst_difference(&got, &expected) : NAN;
    if (result != 0)
        report_error(session, mode, variant->name);
    else
        report(session, mode, variant->name, error <= limit, error, limit, "");
    outcome_free(&expected);
    outcome_free(&got);
}

static void check_device(Session *session, const OpCase *op) {
    session->op = op->op;
    for (int i = 0; i < op->variant_count; i++) {
        if (op->variants[i].bench) continue;
        check_on_device(session, &op->variants[i], F32);
        if (has_bf16(op->op)) check_on_device(session, &op->variants[i], BF16);
    }
}

static void check_composed(Session *session, const OpVariant *variant) {
    Outcome expected, got;
    RunAs as = {.backend = cpu_reference_backend(), .real = F64, .composed = true};
    int result = outcome_of(variant, &as, &expected);
    as.composed = false;
    if (outcome_of(variant, &as, &got) != 0) result = -1;
    if (result != 0)
        report_error(session, "composed", variant->name);
    else {
        double error = worst_difference(&got, &expected);
        report(session, "composed", variant->name, error <= COMPOSED_LIMIT, error, COMPOSED_LIMIT,
               "");
    }
    outcome_free(&expected);
    outcome_free(&got);
}

// ---- known and reject ---------------------------------------------------------------------------

int case_expect(const char *what, const Tensor *tensor, const double *expected, int64_t count,
                double limit) {
    if (!tensor) return -1;
    if (tensor_numel(tensor) != count)
        return error_int("%s: %s, expected %lld values", what, tensor_text(tensor),
                         (long long)count);
    double *values = read_all(tensor);
    int result = values ? 0 : -1;
    for (int64_t i = 0; result == 0 && i < count; i++)
        if (!(fabs(values[i] - expected[i]) <= limit))
            result = error_int("%s: value %lld is %.12g, expected %.12g", what, (long long)i,
                               values[i], expected[i]);
    free(values);
    return result;
}

static void check_known(Session *session, const OpKnown *known) {
    backend_use(cpu_reference_backend());
    int result = known->check();
    tape_record(false);
    tape_reset();
    if (result != 0)
        report_error(session, "known", known->name);
    else
        report(session, "known", known->name, true, 0, 0, "");
}

static void check_reject(Session *session, const OpReject *reject) {
    backend_use(cpu_reference_backend());
    Tensor *result = reject->run();
    tape_record(false);
    tape_reset();
    char detail[600] = "";
    const char *message = error_take();
    bool ok = !result && strstr(message, reject->message);
    if (!ok)
        snprintf(detail, sizeof detail, "expected a message with \"%s\", found \"%.300s\"",
                 reject->message, result ? "no error" : message);
    report(session, "reject", reject->name, ok, 0, 0, detail);
}

// ---- the list -----------------------------------------------------------------------------------

static void check_case(Session *session, const OpCase *op) {
    session->op = op->op;
    for (int i = 0; i < op->variant_count; i++) {
        const OpVariant *variant = &op->variants[i];
        if (variant->bench) continue;
        check_gradient(session, variant);
        check_compare(session, variant);
        if (variant->composed) check_composed(session, variant);
    }
    for (int i = 0; i < op->known_count; i++) check_known(session, &op->knowns[i]);
    for (int i = 0; i < op->reject_count; i++) check_reject(session, &op->rejects[i]);
}

static void check_large(Session *session, const OpCase *op) {
    session->op = op->op;
    for (int i = 0; i < op->variant_count; i++)
        if (op->variants[i].bench) check_compare(session, &op->variants[i]);
}

static bool is_wanted(const OpCase *op, const char *only) {
    return !only || strcmp(op->op, only) == 0;
}

static bool is_known(const char *only) {
    bool found = !only;
    for (int i = 0; i < CASE_COUNT(cases); i++) found = found || is_wanted(cases[i], only);
    if (!found) error_int("no op is called \"%s\"", only);
    return found;
}

static int check_all(Session session, const char *only, CaseCounts *counts,
                     void (*check)(Session *session, const OpCase *op)) {
    if (!is_known(only)) return -1;
    for (int i = 0; i < CASE_COUNT(cases); i++)
        if (is_wanted(cases[i], only)) check(&session, cases[i]);
    *counts = session.counts;
    return session.counts.failed;
}

int op_cases_check(const char *only, bool json, FILE *out, CaseCounts *counts) {
    return check_all((Session){.json = json, .out = out}, only, counts, check_case);
}

int op_cases_check_large(const char *only, bool json, FILE *out, CaseCounts *counts) {
    return check_all((Session){.json = json, .out = out}, only, counts, check_large);
}

int op_cases_check_device(const Backend *device, const char *only, bool json, FILE *out,
                          CaseCounts *counts) {
    Session session = {.json = json, .out = out, .device = device};
    return check_all(session, only, counts, check_device);
}

// ---- bench --------------------------------------------------------------------------------------

static double tensors_bytes(Tensor *const *tensors, int count, const Tensor *more) {
    double sum = (double)tensor_bytes(more);
    for (int i = 0; i < count; i++)
        if (tensors[i] != NONE) sum += (double)tensor_bytes(tensors[i]);
    return sum;
}

// Until a device has done what it was asked.
static int wait_for(const CaseBench *how, const Tensor *tensor) {
    char byte[8];
    if (how->backend->host_memory || tensor_bytes(tensor) == 0) return 0;
    return how->backend->read(byte, tensor->data, dtype_size(tensor->dtype));
}

// Best of several rounds (the machine may be shared): forward, backward seconds, bytes touched.
static int time_variant(const Session *session, const OpVariant *variant, double seconds[2],
                        double *bytes) {
    CaseRun run;
    const CaseBench *how = session->bench;
    seconds[0] = seconds[1] = INFINITY;
    const RunAs as = {.backend = how->backend, .real = how->real, .layer = is_layer(session->op)};
    if (!start(&run, variant, &as)) return -1;
    double begin = clock_seconds();
    for (int round = 0; round < 3 || (round < 50 && clock_seconds() - begin < 0.6); round++) {
        tape_record(true);
        double t0 = clock_seconds();
        Tensor *y = tape_keep(variant->forward(&run));
        if (!y || wait_for(how, y) != 0) break;
        double t1 = clock_seconds();
        *bytes = tensors_bytes(run.inputs, run.count, y);
        Tensor *dy = cotangent(&run, y);
        if (!dy || wait_for(how, dy) != 0) break;
        double t2 = clock_seconds();
        if (y->needs_grad && (tape_backward_from(y, dy) != 0 || wait_for(how, dy) != 0)) break;
        double t3 = clock_seconds();
        tensor_free(dy);
        tape_record(false);
        tape_reset();
        if (round == 0) continue; // first run makes primitives and touches pages
        seconds[0] = fmin(seconds[0], fmax(t1 - t0 - how->latency, 1e-9));
        seconds[1] = fmin(seconds[1], fmax(t3 - t2 - how->latency, 1e-9));
    }
    finish(&run);
    return isfinite(seconds[0]) ? 0 : -1;
}

// What limits the forward pass: the larger share of the machine's arithmetic or memory rate.
static double share_of(const Session *session, double gflops, double gbps) {
    return fmax(gflops / session->bench->gflops, gbps / session->bench->gbps);
}

static void bench_variant(Session *session, const OpVariant *variant) {
    double seconds[2], bytes = 0;
    if (time_variant(session, variant, seconds, &bytes) != 0) {
        report_error(session, "bench", variant->name);
        return;
    }
    double flops = variant->flops ? variant->flops(variant->p) : 0;
    double gflops = flops / seconds[0] / 1e9, gbps = bytes / seconds[0] / 1e9;
    double share = share_of(session, gflops, gbps);
    bool backward = isfinite(seconds[1]) && seconds[1] > 0;
    session->counts.passed++;
    if (session->json)
        fprintf(session->out,
                "{\"case\": \"%s\", \"shape\": \"%s\", \"forward\": %.6g, \"backward\": %.6g, "
                "\"gflops\": %.4g, \"gbps\": %.4g, \"share\": %.3g}\n",
                session->op, variant->name, seconds[0], backward ? seconds[1] : 0, gflops, gbps,
                share);
    else
        fprintf(session->out,
                "%-16s %-34s forward %9.3f ms  backward %9.3f ms  %7.1f GFLOP/s %6.1f GB/s  "
                "%3.0f %% of peak\n",
                session->op, variant->name, seconds[0] * 1e3, backward ? seconds[1] * 1e3 : 0,
                gflops, gbps, 100 * share);
    fflush(session->out);
}

int op_cases_bench(const CaseBench *how, const char *only, bool json, FILE *out) {
    Session session = {.json = json, .out = out, .bench = how};
    if (!is_known(only)) return -1;
    for (int i = 0; i < CASE_COUNT(cases); i++) {
        session.op = cases[i]->op;
        if (how->real == BF16 && !has_bf16(session.op)) continue;
        for (int k = 0; is_wanted(cases[i], only) && k < cases[i]->variant_count; k++)
            if (cases[i]->variants[k].bench) bench_variant(&session, &cases[i]->variants[k]);
    }
    return session.counts.failed;
}
