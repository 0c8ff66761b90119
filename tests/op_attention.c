// SPDX-License-Identifier: MIT
// Cases of attention.
#include "tests/op_cases.h"

#include "base/error.h"

#include <math.h>
#include <stddef.h>

enum { BATCH, TOKENS, KEYS, HEADS, WIDTH, MASK, CAUSAL };
enum { MASK_NONE, MASK_TAIL, MASK_ALL, MASK_SOME };

static void add_mask(CaseRun *run) {
    const int64_t *p = run->p;
    double values[1024];
    if (p[MASK] == MASK_NONE) {
        case_none(run);
        return;
    }
    for (int64_t i = 0; i < p[BATCH] * p[KEYS]; i++) {
        int64_t n = i / p[KEYS], key = i % p[KEYS];
        values[i] = p[MASK] == MASK_ALL    ? 0
                    : p[MASK] == MASK_TAIL ? key < p[KEYS] - 1 - n
                                           : key % 3 == (n + 1) % 3;
    }
    case_constant(run, run->real, values, DIMS(p[BATCH], p[KEYS]));
}

static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    int64_t D = p[HEADS] * p[WIDTH];
    case_input(run, -1, 1, DIMS(p[BATCH], p[TOKENS], D));
    case_input(run, -1, 1, DIMS(p[BATCH], p[KEYS], D));
    case_input(run, -1, 1, DIMS(p[BATCH], p[KEYS], D));
    add_mask(run);
}

static Tensor *forward(CaseRun *run) {
    Tensor **in = run->inputs;
    return op_attention(in[0], in[1], in[2], in[3], (int)run->p[HEADS],
                        1.5 / sqrt((double)run->p[WIDTH]), run->p[CAUSAL]);
}

// One head from products and softmax.
static Tensor *composed_head(CaseRun *run, int64_t head) {
    const int64_t *p = run->p;
    int64_t start = head * p[WIDTH];
    Tensor *q = op_slice(run->inputs[0], 2, start, p[WIDTH]);
    Tensor *k = op_slice(run->inputs[1], 2, start, p[WIDTH]);
    Tensor *v = op_slice(run->inputs[2], 2, start, p[WIDTH]);
    Tensor *logits = op_affine(op_matmul(q, k, false, true), 1.5 / sqrt((double)p[WIDTH]), 0);
    if (p[MASK] != MASK_NONE) {
        Tensor *terms = op_affine(run->inputs[3], 10000, -10000);
        logits = op_add(logits, op_reshape(terms, DIMS(p[BATCH], 1, p[KEYS])));
    }
    return op_matmul(op_softmax(logits), v, false, false);
}

static Tensor *composed(CaseRun *run) {
    Tensor *y = composed_head(run, 0);
    for (int64_t head = 1; head < run->p[HEADS]; head++)
        y = op_concat(y, composed_head(run, head), 2);
    return y;
}

static void one_input(CaseRun *run) {
    const int64_t *p = run->p;
    case_input(run, -1, 1, DIMS(p[BATCH], p[TOKENS], p[HEADS] * p[WIDTH]));
}

static Tensor *of_itself(CaseRun *run) {
    Tensor *x = run->inputs[0];
    return op_attention(x, x, x, NONE, (int)run->p[HEADS], 0.7, run->p[CAUSAL]);
}

static double terms(const int64_t *p) {
    double keys = (double)(p[KEYS] > p[TOKENS] ? p[KEYS] : p[TOKENS]);
    return keys * (double)p[WIDTH];
}

static double flops(const int64_t *p) {
    return 4 * (double)(p[BATCH] * p[HEADS] * p[WIDTH]) * (double)(p[TOKENS] * p[KEYS]);
}

#define CASE(text, ...) \
    { .name = text, .p = {__VA_ARGS__}, .inputs = inputs, .forward = forward, .terms = terms }
#define COMPOSED(text, ...)                                                     \
    {                                                                           \
        .name = text, .p = {__VA_ARGS__}, .inputs = inputs, .forward = forward, \
        .composed = composed, .terms = terms                                    \
    }
#define LARGE(text, ...)                                                                        \
    {                                                                                           \
        .name = text, .p = {__VA_ARGS__}, .inputs = inputs, .forward = forward, .terms = terms, \
        .no_grad_check = "compared only; smaller shapes are checked"                            \
    }
#define BENCH(heads, tokens, keys, batch)                                            \
    {                                                                                \
        .name = #heads "x" #tokens "x" #keys "x64 batch " #batch,                    \
        .p = {batch, tokens, keys, heads, 64}, .inputs = inputs, .forward = forward, \
        .terms = terms, .flops = flops, .bench = true                                \
    }

// clang-format off
static const OpVariant variants[] = {
    COMPOSED("2 heads of 3",                 2, 5, 7, 2, 3, MASK_NONE, 0),
    CASE("size 1",                           1, 1, 1, 1, 1, MASK_NONE, 0),
    COMPOSED("one key",                      2, 4, 1, 2, 3, MASK_NONE, 0),
    CASE("one query",                        2, 1, 9, 1, 5, MASK_NONE, 0),
    CASE("no queries",                       2, 0, 5, 2, 8, MASK_NONE, 0),
    CASE("no queries, masked",               2, 0, 5, 2, 3, MASK_TAIL, 0),
    CASE("causal",                           2, 7, 7, 2, 4, MASK_NONE, 1),
    COMPOSED("tail masked",                  3, 4, 6, 2, 3, MASK_TAIL, 0),
    COMPOSED("everything masked",            2, 4, 6, 2, 3, MASK_ALL, 0),
    COMPOSED("two of three masked",          2, 5, 11, 1, 6, MASK_SOME, 0),
    CASE("causal and masked",                2, 9, 9, 2, 3, MASK_SOME, 1),
    CASE("causal, everything masked",        1, 6, 6, 1, 4, MASK_ALL, 1),
    CASE("head of 40, 65 x 33",              1, 65, 33, 2, 40, MASK_NONE, 0),
    CASE("head of 16, 100 x 77, masked",     2, 100, 77, 3, 16, MASK_TAIL, 0),
    LARGE("head of 8, 131 causal",            1, 131, 131, 1, 8, MASK_NONE, 1),
    LARGE("head of 4, 40 x 700",              1, 40, 700, 1, 4, MASK_SOME, 0),
    LARGE("head of 4, 530 causal and masked", 1, 530, 530, 1, 4, MASK_SOME, 1),
    {.name = "of a tensor with itself", .p = {2, 6, 6, 2, 3}, .inputs = one_input,
     .forward = of_itself, .terms = terms},
    {.name = "of a tensor with itself, causal, 200", .p = {1, 200, 200, 2, 5, MASK_NONE, 1},
     .inputs = one_input, .forward = of_itself, .terms = terms},
    BENCH(5, 4800, 4800, 1),
    BENCH(10, 1200, 1200, 1),
    BENCH(20, 300, 300, 1),
    BENCH(5, 4800, 77, 1),
    BENCH(2, 64, 64, 8),
    BENCH(2, 256, 77, 8),
};
// clang-format on

static int known_values(void) {
    const double q[] = {1, 0, 0, 2, 1, 1}, k[] = {1, 1, 0, 1, -1, 2}, v[] = {1, 2, 3, -1, 0, 0.5};
    const double y[] = {1.427961574, 0.937969903, 0.654316403, 0.5, 1.248255078, 0.882852148};
    const double dy[] = {1, -1, 0.5, 0, 0, 2};
    const double dq[] = {-0.508813308, -0.098024648, 0.175644631,
                         -0.155652384, 0.929870289,  -0.134413914};
    const double dk[] = {0.188618420,  0.835440868,  0.043820142,
                         -0.389722186, -0.232438562, -0.445718682};
    const double dv[] = {0.657764896, 0.431004342, 0.365784960,
                         0.212514747, 0.476450144, 0.356480911};
    Tensor *query = case_leaf(F64, q, DIMS(1, 3, 2)), *key = case_leaf(F64, k, DIMS(1, 3, 2));
    Tensor *value = case_leaf(F64, v, DIMS(1, 3, 2));
    tape_record(true);
    Tensor *result = op_attention(query, key, value, NONE, 1, 1 / sqrt(2), false);
    if (case_expect("y", result, y, 6, 1e-9) != 0) return -1;
    if (tape_backward_from(result, case_leaf(F64, dy, DIMS(1, 3, 2))) != 0) return -1;
    if (case_expect("dq", query->grad, dq, 6, 1e-9) != 0) return -1;
    if (case_expect("dk", key->grad, dk, 6, 1e-9) != 0) return -1;
    return case_expect("dv", value->grad, dv, 6, 1e-9);
}

static int known_masks(void) {
    const double q[] = {1, -1}, k[] = {0.5, -2, 1}, v[] = {1, 2, 4}, ones[] = {1, 1, 0};
    const double none[] = {0, 0, 0}, one[] = {1};
    Tensor *query = case_leaf(F64, q, DIMS(1, 2, 1)), *key = case_leaf(F64, k, DIMS(1, 3, 1));
    Tensor *value = case_leaf(F64, v, DIMS(1, 3, 1));
    Tensor *first = case_leaf(F64, ones, DIMS(1, 3)), *empty = case_leaf(F64, none, DIMS(1, 3));
    first->needs_grad = empty->needs_grad = false;
    // The weight of the second of two keys is a sigmoid of the difference of the logits.
    double a = 1 / (1 + exp(2.5)), b = 1 / (1 + exp(-2.5));
    const double two[] = {1 + a, 1 + b};
    if (case_expect("one masked", op_attention(query, key, value, first, 1, 1, false), two, 2,
                    1e-12) != 0)
        return -1;
    double free[2];
    Tensor *unmasked = op_attention(query, key, value, NONE, 1, 1, false);
    if (!unmasked || tensor_read_double(unmasked, free) != 0) return -1;
    if (case_expect("all masked", op_attention(query, key, value, empty, 1, 1, false), free, 2,
                    1e-12) != 0)
        return -1;
    Tensor *single = case_leaf(F64, one, DIMS(1, 1, 1));
    return case_expect("one key", op_attention(single, single, single, NONE, 1, 3, true), one, 1,
                       1e-15);
}

static const OpKnown knowns[] = {
    {"values and gradients agree with known ones", known_values},
    {"a masked key counts for nothing, unless all are masked", known_masks},
};

static const double zeros[64];

static Tensor *with(int64_t queries, int64_t keys, int heads, bool causal) {
    Tensor *k = case_leaf(F32, zeros, DIMS(1, keys, 4));
    return op_attention(case_leaf(F32, zeros, DIMS(1, queries, 4)), k, k, NONE, heads, 1, causal);
}
static Tensor *three_heads(void) {
    return with(2, 2, 3, false);
}
static Tensor *no_heads(void) {
    return with(2, 2, 0, false);
}
static Tensor *causal_with_more_keys(void) {
    return with(2, 3, 1, true);
}
static Tensor *widths_differ(void) {
    Tensor *k = case_leaf(F32, zeros, DIMS(1, 2, 6));
    return op_attention(case_leaf(F32, zeros, DIMS(1, 2, 4)), k, k, NONE, 1, 1, false);
}
static Tensor *mask_too_long(void) {
    Tensor *q = case_leaf(F32, zeros, DIMS(1, 2, 4)), *mask = case_leaf(F32, zeros, DIMS(1, 3));
    mask->needs_grad = false;
    return op_attention(q, q, q, mask, 1, 1, false);
}
static Tensor *mask_with_gradient(void) {
    Tensor *q = case_leaf(F32, zeros, DIMS(1, 2, 4)), *mask = case_leaf(F32, zeros, DIMS(1, 2));
    return op_attention(q, q, q, mask, 1, 1, false);
}

static const OpReject rejects[] = {
    {"rejects heads that do not divide the width", three_heads, "attention: 3 heads"},
    {"rejects 0 heads", no_heads, "attention: 0 heads"},
    {"rejects causal with more keys", causal_with_more_keys, "found 3 and 2"},
    {"rejects keys of another width", widths_differ, "attention: k is [1,2,6] f32, expected"},
    {"rejects a mask of another length", mask_too_long, "attention: key_mask is [1,3]"},
    {"rejects a mask that needs a gradient", mask_with_gradient, "attention: key_mask can have no"},
};

const OpCase case_attention = {"attention",         variants, CASE_COUNT(variants), rejects,
                               CASE_COUNT(rejects), knowns,   CASE_COUNT(knowns)};
