// SPDX-License-Identifier: MIT
// Attention by the library, or, where it has no plan (a key mask, a causal mask, some widths), by
// products and a softmax over whole rows, image by image: [heads,T,S] logits of one image in F32
// and their weights in the tensors' type are kept for the time of the call.
#include "cuda/attention_rows.h"
#include "cuda/kernels.h"
#include "cuda/library.h"
#include "cuda/memory.h"
#include "cuda/operand.h"

#include <stdatomic.h>
#include <stdio.h>

static const char OP[] = "attention";

static AttentionProblem problem_of(const attention_args *args, bool backward) {
    return (AttentionProblem){.backward = backward,
                              .type = args->q->dtype,
                              .N = args->q->shape[0],
                              .T = args->q->shape[1],
                              .S = args->k->shape[1],
                              .heads = args->heads,
                              .width = args->q->shape[2] / args->heads};
}

static bool has_mask(const attention_args *args) {
    return args->causal || args->key_mask != NONE;
}

// Said once for each pass.
static void say(const AttentionProblem *p) {
    static atomic_bool said[2];
    if (!atomic_exchange(&said[p->backward], true))
        fprintf(stderr,
                "attention: the library has no plan for %s of heads of width %lld over %lld keys; "
                "such are computed by products and softmax\n",
                p->backward ? "gradients" : "results", (long long)p->width, (long long)p->S);
}

// ---- by products, one image at a time -----------------------------------------------------------

typedef struct {
    const attention_args *args;
    AttentionProblem p;
    Operand logits, weights; // F32 and `type`, [heads,T,S]
} Rows;

static int rows_begin(Rows *rows, const attention_args *args, const AttentionProblem *p) {
    int64_t count = p->heads * p->T * p->S;
    *rows = (Rows){.args = args, .p = *p};
    int result = operand_memory(&rows->logits, OP, count, F32);
    return result == 0 ? operand_memory(&rows->weights, OP, count, (Dtype)p->type) : result;
}

static void rows_done(Rows *rows) {
    operand_done(&rows->logits);
    operand_done(&rows->weights);
}

static AttentionRows image_rows(const Rows *rows, int64_t n) {
    const Tensor *mask = rows->args->key_mask;
    size_t row = (size_t)rows->p.S * dtype_size((Dtype)rows->p.type);
    return (AttentionRows){.type = (Dtype)rows->p.type,
                           .heads = rows->p.heads,
                           .T = rows->p.T,
                           .S = rows->p.S,
                           .width = rows->p.width,
                           .mask = mask == NONE ? NULL : (char *)mask->data + (size_t)n * row,
                           .causal = rows->args->causal};
}

// Where image n begins in a tensor of `length` tokens per image.
static char *image_at(const Rows *rows, const void *data, int64_t length, int64_t n) {
    size_t token = (size_t)(rows->p.heads * rows->p.width) * dtype_size((Dtype)rows->p.type);
    return (char *)data + (size_t)(n * length) * token;
}

// The heads of an image [length,heads * width] as a batch of matrices [length,width].
static Factor heads_of(const Rows *rows, const void *data, bool transposed) {
    return (Factor){.data = data,
                    .row = rows->p.heads * rows->p.width,
                    .batch = rows->p.width,
                    .transposed = transposed};
}

static Factor weights_of(const Rows *rows, bool transposed) {
    return (Factor){.data = rows->weights.data,
                    .row = rows->p.S,
                    .batch = rows->p.T * rows->p.S,
                    .transposed = transposed};
}

// to [heads,T,S] in F32 = scale * left right', both [.,heads * width].
static int products(const Rows *rows, const void *left, const void *right, float scale, void *to) {
    const AttentionProblem *p = &rows->p;
    return library_product(&(Product){.a = heads_of(rows, left, false),
                                      .b = heads_of(rows, right, true),
                                      .M = p->T,
                                      .K = p->width,
                                      .P = p->S,
                                      .batches = p->heads,
                                      .type = (Dtype)p->type,
                                      .result = F32,
                                      .scale = scale,
                                      .c = to,
                                      .c_row = p->S,
                                      .c_batch = p->T * p->S});
}

// to [M,heads * width] = weights (transposed: M is S, otherwise T) times the heads of `right`.
static int mix(const Rows *rows, bool transposed, const void *right, void *to, bool add) {
    const AttentionProblem *p = &rows->p;
    return library_product(&(Product){.a = weights_of(rows, transposed),
                                      .b = heads_of(rows, right, false),
                                      .M = transposed ? p->S : p->T,
                                      .K = transposed ? p->T : p->S,
                                      .P = p->width,
                                      .batches = p->heads,
                                      .type = (Dtype)p->type,
                                      .result = (Dtype)p->type,
                                      .scale = 1,
                                      .begin = add ? to : NULL,
                                      .c = to,
                                      .c_row = p->heads * p->width,
                                      .c_batch = p->width});
}

static float *lse_at(const Rows *rows, int64_t n) {
    return (float *)rows->args->lse->data + n * rows->p.heads * rows->p.T;
}

// The weights of image n, from its logits; `again` when lse is known.
static int weigh(const Rows *rows, int64_t n, bool again) {
    const attention_args *args = rows->args;
    AttentionRows r = image_rows(rows, n);
    if (products(rows, image_at(rows, args->q->data, rows->p.T, n),
                 image_at(rows, args->k->data, rows->p.S, n), (float)args->scale,
                 rows->logits.data) != 0)
        return -1;
    return cuda_attention_weights(&r, rows->logits.data, rows->weights.data, lse_at(rows, n),
                                  again);
}

static int forward_by_products(const attention_args *args, const AttentionProblem *p) {
    Rows rows;
    int result = rows_begin(&rows, args, p);
    for (int64_t n = 0; n < p->N && result == 0; n++) {
        result = weigh(&rows, n, false);
        if (result == 0)
            result = mix(&rows, false, image_at(&rows, args->v->data, p->S, n),
                         image_at(&rows, args->y->data, p->T, n), false);
    }
    rows_done(&rows);
    return result;
}

// Gradients of q and k of image n; the weights turn into the gradient of the logits.
static int logits_backward(const Rows *rows, int64_t n) {
    const attention_args *args = rows->args;
    const Tensor *q = args->q, *k = args->k;
    int64_t T = rows->p.T, S = rows->p.S;
    const void *dy = image_at(rows, args->y->grad->data, T, n);
    AttentionRows r = image_rows(rows, n);
    int result =
        products(rows, dy, image_at(rows, args->v->data, S, n), 1, rows->logits.data) != 0 ||
                cuda_attention_gradient(&r, rows->weights.data, rows->logits.data,
                                        image_at(rows, args->y->data, T, n), dy,
                                        (float)args->scale) != 0
            ? -1
            : 0;
    if (result == 0 && q->needs_grad)
        result = mix(rows, false, image_at(rows, k->data, S, n),
                     image_at(rows, q->grad->data, T, n), q->has_grad);
    if (result == 0 && k->needs_grad)
        result = mix(rows, true, image_at(rows, q->data, T, n), image_at(rows, k->grad->data, S, n),
                     k->has_grad);
    return result;
}

static int backward_by_products(const attention_args *args, const AttentionProblem *p) {
    const Tensor *v = args->v;
    Rows rows;
    int result = rows_begin(&rows, args, p);
    for (int64_t n = 0; n < p->N && result == 0; n++) {
        result = weigh(&rows, n, true);
        if (result == 0 && v->needs_grad)
            result = mix(&rows, true, image_at(&rows, args->y->grad->data, p->T, n),
                         image_at(&rows, v->grad->data, p->S, n), v->has_grad);
        if (result == 0 && (args->q->needs_grad || args->k->needs_grad))
            result = logits_backward(&rows, n);
    }
    rows_done(&rows);
    return result;
}

// ---- by the library -----------------------------------------------------------------------------

// Its backward pass gives all three gradients: what nobody wants goes to scratch memory.
static int wanted_gradient(Operand *gradient, const Tensor *tensor) {
    return tensor->needs_grad ? operand_gradient(gradient, OP, tensor)
                              : operand_memory(gradient, OP, tensor_numel(tensor), tensor->dtype);
}

static int backward_by_library(const attention_args *args, const AttentionProblem *p) {
    const Tensor *inputs[] = {args->q, args->k, args->v};
    Operand gradients[3] = {{0}};
    int result = 0;
    for (int i = 0; i < 3 && result == 0; i++) result = wanted_gradient(&gradients[i], inputs[i]);
    if (result == 0)
        result = library_attention(p, (float)args->scale,
                                   &(AttentionMemory){.q = args->q->data,
                                                      .k = args->k->data,
                                                      .v = args->v->data,
                                                      .y = args->y->data,
                                                      .lse = args->lse->data,
                                                      .dy = args->y->grad->data,
                                                      .dq = gradients[0].data,
                                                      .dk = gradients[1].data,
                                                      .dv = gradients[2].data});
    for (int i = 0; i < 3; i++) {
        if (result == 0 && inputs[i]->needs_grad) result = operand_deliver(&gradients[i]);
        operand_done(&gradients[i]);
    }
    return result;
}

int cuda_attention_forward(const attention_args *args) {
    AttentionProblem p = problem_of(args, false);
    int result = LIBRARY_DECLINES;
    if (tensor_numel(args->y) == 0) return 0;
    if (!has_mask(args)) {
        result = library_attention(&p, (float)args->scale,
                                   &(AttentionMemory){.q = args->q->data,
                                                      .k = args->k->data,
                                                      .v = args->v->data,
                                                      .y = args->y->data,
                                                      .lse = args->lse->data});
        if (result == LIBRARY_DECLINES) say(&p);
    }
    return result == LIBRARY_DECLINES ? forward_by_products(args, &p) : result;
}

int cuda_attention_backward(const attention_args *args) {
    AttentionProblem p = problem_of(args, true);
    int result = LIBRARY_DECLINES;
    if (tensor_numel(args->y) == 0)
        return operand_no_gradient(args->k) == 0 ? operand_no_gradient(args->v) : -1;
    // Without gradients for the logits y is not there, and v's alone is two products.
    if (!has_mask(args) && (args->q->needs_grad || args->k->needs_grad)) {
        result = backward_by_library(args, &p);
        if (result == LIBRARY_DECLINES) say(&p);
    }
    return result == LIBRARY_DECLINES ? backward_by_products(args, &p) : result;
}
