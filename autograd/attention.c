// SPDX-License-Identifier: MIT
// Front of attention. See ops.h.
#include "autograd/front.h"

Tensor *op_attention(Tensor *q, Tensor *k, Tensor *v, Tensor *key_mask, int heads, double scale,
                     bool causal) {
    attention_args args = {.q = q,
                           .k = k,
                           .v = v,
                           .key_mask = key_mask,
                           .heads = heads,
                           .scale = scale,
                           .causal = causal};
    if (!front_inputs(OP_attention, &args)) return NULL;
    if (!front_ndim("attention", "q", q, 3) || !front_ndim("attention", "k", k, 3) ||
        !front_dtype("attention", "k", k, q->dtype) || !front_dtype("attention", "v", v, q->dtype))
        return NULL;
    int64_t N = q->shape[0], T = q->shape[1], S = k->shape[1], D = q->shape[2];
    if (heads < 1 || D % heads != 0)
        return error_null("attention: %d heads do not divide the width of q %s", heads,
                          tensor_text(q));
    if (!front_shape("attention", "k", k, 3, (int64_t[]){N, S, D}) ||
        !front_shape("attention", "v", v, 3, (int64_t[]){N, S, D}))
        return NULL;
    if (S < 1 || D < 1) return error_null("attention: k %s is empty", tensor_text(k));
    if (causal && S != T)
        return error_null("attention: causal needs as many keys as queries, found %lld and %lld",
                          (long long)S, (long long)T);
    if (!is_none(key_mask) &&
        (!front_shape("attention", "key_mask", key_mask, 2, (int64_t[]){N, S}) ||
         !front_dtype("attention", "key_mask", key_mask, q->dtype)))
        return NULL;
    if (key_mask->needs_grad) return error_null("attention: key_mask can have no gradient");
    args.y = tape_result_like(q);
    args.lse = tape_result(front_precise(q), DIMS(N, heads, T));
    return RUN(attention, args);
}

unsigned attention_saves(const attention_args *args) {
    bool logits = needs_grad(args->q) || needs_grad(args->k);
    unsigned always = 1u << 0 | 1u << 1 | 1u << 3 | 1u << 5; // q, k, key_mask, lse
    return always | save_if(logits, 2) | save_if(logits, 4);
}
