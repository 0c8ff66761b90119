// SPDX-License-Identifier: MIT
// One case per op, in tests/op_<file>.c; everything that is checked or timed about an op comes from
// it.
//
//   grad      each variant in F64 on the reference kernels: central differences against backward,
//             for every input; || numeric - analytic || / || analytic || <= 1e-6
//   compare   each variant in F32, fast and reference kernels, forward and gradients, against F64;
//             memory is poisoned and guarded; limit 8 eps sqrt(terms) times the RMS of the expected
//   device    the same on another back end, in F32 and BF16 (op_cases_check_device)
//   composed  where a variant has a definition in plain ops: the same value and gradients, F64
//   known     vectors with known answers
//   reject    bad arguments give NULL and a message that contains the given words
//   bench     variants marked for it: time, GFLOP/s or GB/s, share of the machine's measured peak
//
// To add a case: write `const OpCase case_<name>` in tests/op_<file>.c; a missing one does not
// link.
#ifndef TESTS_OP_CASES_H
#define TESTS_OP_CASES_H

#include "autograd/backend.h"
#include "autograd/rng.h"
#include "autograd/tape.h"

#include <stdio.h>

enum { CASE_MAX_INPUTS = 6, CASE_PARAMETERS = 12 };

// One run of one variant: the leaves that `inputs` has made, in order.
typedef struct {
    const int64_t *p; // the variant's parameters
    Dtype real;       // type of float leaves
    bool layer;       // beside BF16, inputs 1 and 2 (weight, bias) are F32
    bool rounded;     // values are rounded to BF16
    Rng rng;
    Tensor *inputs[CASE_MAX_INPUTS]; // owned by the driver
    int count;
    bool failed;
} CaseRun;

// Makes the next leaf: uniform in [low, high), rounded to float so that F32 and F64 runs see the
// same numbers; a gradient is checked for it.
void case_input(CaseRun *run, double low, double high, int ndim, const int64_t *shape);
// The same with given values (numel of them).
void case_values(CaseRun *run, const double *values, int ndim, const int64_t *shape);
// A leaf without gradient, F32/F64 or integer; `values` has numel entries.
void case_constant(CaseRun *run, Dtype dtype, const double *values, int ndim, const int64_t *shape);
// The next leaf is NONE.
void case_none(CaseRun *run);

typedef struct {
    const char *name;                  // what is special: "stride 2, bottom/right padding"
    int64_t p[CASE_PARAMETERS];        // handed to the functions below
    void (*inputs)(CaseRun *run);      // makes the leaves
    Tensor *(*forward)(CaseRun *run);  // the op on run->inputs
    Tensor *(*composed)(CaseRun *run); // (optional) the same from plain ops
    double (*terms)(const int64_t *p); // (optional) longest sum in forward or backward; 1 without
    double (*flops)(const int64_t *p); // (optional) forward arithmetic, for bench
    bool bench;                        // large: only timed and compared, gradient not checked
    const char *no_grad_check;         // (optional) reason why grad is skipped, printed
} OpVariant;

typedef struct {
    const char *name;     // sentence: "rejects groups that do not divide the channels"
    Tensor *(*run)(void); // must return NULL
    const char *message;  // words that the message must contain
} OpReject;

typedef struct {
    const char *name;
    int (*check)(void); // 0, or -1 with an error; the tape is reset afterwards
} OpKnown;

typedef struct {
    const char *op;
    const OpVariant *variants;
    int variant_count;
    const OpReject *rejects;
    int reject_count;
    const OpKnown *knowns;
    int known_count;
} OpCase;

#define CASE_COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

#define OP(name, inputs, outputs) extern const OpCase case_##name;
OP_LIST(OP)
#undef OP

// For known-answer checks: fails with an error unless |tensor[i] - expected[i]| <= limit for all
// elements; `what` names it. Reads F32 or F64.
int case_expect(const char *what, const Tensor *tensor, const double *expected, int64_t count,
                double limit);
// A leaf for known-answer checks and rejections, F64 with a gradient unless said otherwise; owned
// by the tape's next reset: results of ops and these leaves live until tape_reset.
Tensor *case_leaf(Dtype dtype, const double *values, int ndim, const int64_t *shape);

// Runs all checks of all ops (or of the one named `only`) and prints a line for each; with json one
// object per line. Returns the number of failures; -1 when `only` names no op. Skipped are the
// gradients of variants with no_grad_check.
typedef struct {
    int passed, failed, skipped;
} CaseCounts;
int op_cases_check(const char *only, bool json, FILE *out, CaseCounts *counts);

// Each variant on `device`, forward and gradients, in F32 and where the op has it BF16, against F64
// on the reference kernels; limit as above with the type's eps. Memory is filled with NaN patterns.
int op_cases_check_device(const Backend *device, const char *only, bool json, FILE *out,
                          CaseCounts *counts);

// The same for the bench variants: the fast back end in F32 against the reference in F64, at full
// size. Takes minutes.
int op_cases_check_large(const char *only, bool json, FILE *out, CaseCounts *counts);

// Times the bench variants, and says what share of the rates that the caller has measured the
// forward pass reaches. Returns as op_cases_check.
typedef struct {
    const Backend *backend;
    Dtype real; // F32 or, of the ops that have it, BF16
    double gflops, gbps;
    double latency; // seconds that asking a device and waiting for it take; 0 on the host
} CaseBench;
int op_cases_bench(const CaseBench *how, const char *only, bool json, FILE *out);

#endif
