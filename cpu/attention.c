// SPDX-License-Identifier: MIT
// Attention row by row: logits, softmax, weighted sum of values; backward recomputes the softmax
// from the saved log-sum-exp.
#include "cpu/kernel.h"

#include "cpu/memory.h"
#include "cpu/product.h"

#include <math.h>

typedef struct {
    int64_t N, T, S, D, heads, width; // width = D / heads
    real scale;
    bool causal;
    const real *q, *k, *v, *mask;
} Sides;

static Sides sides_of(const attention_args *args) {
    const Tensor *q = args->q;
    return (Sides){.N = q->shape[0],
                   .T = q->shape[1],
                   .S = args->k->shape[1],
                   .D = q->shape[2],
                   .heads = args->heads,
                   .width = q->shape[2] / args->heads,
                   .scale = (real)args->scale,
                   .causal = args->causal,
                   .q = values(q),
                   .k = values(args->k),
                   .v = args->v->data,
                   .mask = args->key_mask == NONE ? NULL : values(args->key_mask)};
}

// Where row `row` of head `head` begins in a [N,rows,D] tensor.
static int64_t at(const Sides *s, int64_t rows, int64_t n, int64_t row, int64_t head) {
    return (n * rows + row) * s->D + head * s->width;
}

// Logits of query t over the keys it sees, whose number is returned. The row's largest mask term is
// taken off all: softmax does not change, and -10000 does not eat the digits of the others.
static int64_t row_logits(const Sides *s, int64_t n, int64_t head, int64_t t, real *logits) {
    int64_t seen = s->causal ? t + 1 : s->S;
    const real *q = s->q + at(s, s->T, n, t, head), *mask = s->mask ? s->mask + n * s->S : NULL;
    real largest = mask ? mask[0] : 1;
    for (int64_t i = 1; mask && i < seen; i++) largest = mask[i] > largest ? mask[i] : largest;
    for (int64_t i = 0; i < seen; i++) {
        real product = dot(q, s->k + at(s, s->S, n, i, head), s->width);
        logits[i] = s->scale * product + (mask ? (largest - mask[i]) * -10000 : 0);
    }
    return seen;
}

static real log_sum_exp(const real *logits, int64_t count) {
    real largest = logits[0];
    double sum = 0;
    for (int64_t i = 1; i < count; i++) largest = logits[i] > largest ? logits[i] : largest;
    for (int64_t i = 0; i < count; i++) sum += (double)MATH(exp)(logits[i] - largest);
    return largest + (real)log(sum);
}

static void head_forward(const Sides *s, int64_t n, int64_t head, real *logits, real *y,
                         real *lse) {
    for (int64_t t = 0; t < s->T; t++) {
        int64_t seen = row_logits(s, n, head, t, logits);
        real *to = y + at(s, s->T, n, t, head);
        real sum = lse[(n * s->heads + head) * s->T + t] = log_sum_exp(logits, seen);
        set_zero(to, s->width);
        for (int64_t i = 0; i < seen; i++)
            add_scaled(to, s->v + at(s, s->S, n, i, head), MATH(exp)(logits[i] - sum), s->width);
    }
}

int CPU(attention_forward)(const attention_args *args) {
    Sides s = sides_of(args);
    size_t bytes = (size_t)(s.N * s.heads * s.S) * sizeof(real);
    real *logits = memory_alloc(bytes);
    if (!logits) return error_int("attention: out of memory");
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < s.N * s.heads; i++)
        head_forward(&s, i / s.heads, i % s.heads, logits + i * s.S, values(args->y),
                     values(args->lse));
    memory_free(logits, bytes);
    return 0;
}

// Gradients, NULL where none is asked for.
typedef struct {
    const real *dy, *y, *lse;
    real *dq, *dk, *dv;
} Gradients;

static void head_backward(const Sides *s, const Gradients *g, int64_t n, int64_t head,
                          real *logits) {
    for (int64_t t = 0; t < s->T; t++) {
        int64_t seen = row_logits(s, n, head, t, logits), row = at(s, s->T, n, t, head);
        real sum = g->lse[(n * s->heads + head) * s->T + t];
        real mean = g->dq || g->dk ? dot(g->dy + row, g->y + row, s->width) : 0;
        for (int64_t i = 0; i < seen; i++) {
            real p = MATH(exp)(logits[i] - sum);
            int64_t key = at(s, s->S, n, i, head);
            if (g->dv) add_scaled(g->dv + key, g->dy + row, p, s->width);
            if (!g->dq && !g->dk) continue;
            real dlogit = p * (dot(g->dy + row, s->v + key, s->width) - mean) * s->scale;
            if (g->dq) add_scaled(g->dq + row, s->k + key, dlogit, s->width);
            if (g->dk) add_scaled(g->dk + key, s->q + row, dlogit, s->width);
        }
    }
}

// The gradient to add to, zeroed if nothing stands there yet.
static real *begin_gradient(const Tensor *tensor) {
    if (!tensor->needs_grad) return NULL;
    if (!tensor->has_grad) set_zero(gradient(tensor), tensor_numel(tensor));
    return gradient(tensor);
}

int CPU(attention_backward)(const attention_args *args) {
    Sides s = sides_of(args);
    Gradients g = {.dy = gradient(args->y),
                   .y = args->y->data,
                   .lse = values(args->lse),
                   .dq = begin_gradient(args->q),
                   .dk = begin_gradient(args->k),
                   .dv = begin_gradient(args->v)};
    size_t bytes = (size_t)(s.N * s.heads * s.S) * sizeof(real);
    real *logits = memory_alloc(bytes);
    if (!logits) return error_int("attention: out of memory");
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < s.N * s.heads; i++)
        head_backward(&s, &g, i / s.heads, i % s.heads, logits + i * s.S);
    memory_free(logits, bytes);
    return 0;
}
