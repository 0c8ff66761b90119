// SPDX-License-Identifier: MIT
// Attention as cuDNN's graphs, in BF16. Forward is one operation. Backward is written out, since
// cuDNN refuses its own operation for it; it recognises the whole and runs one kernel:
//   P = exp(scale q k' - lse)            dV = P' dy
//   dS = P * (dy v' - sum(dy * y)) scale dK = dS' q    dq = dS k
// With dS inside the graph and dq its product, sums have a fixed order (dS then takes workspace);
// the form that adds up dq in F32 memory does so in the order in which blocks arrive.
#include "cuda/cudnn_plans.h"

#include <stdio.h>

const char *cudnn_attention_name(const AttentionProblem *p, char name[CUDNN_NAME_SIZE]) {
    snprintf(name, CUDNN_NAME_SIZE, "attention %s %s %lldx%lld over %lld, %lld heads of %lld",
             p->backward ? "backward" : "forward", dtype_name((Dtype)p->type), (long long)p->N,
             (long long)p->T, (long long)p->S, (long long)p->heads, (long long)p->width);
    return name;
}

bool cudnn_takes_attention(const AttentionProblem *p) {
    return p->type == BF16 && (!p->backward || p->S % 128 == 0 || cudnnGetVersion() > 91500);
}

// Heads of [N,length,heads * width] as N,heads,length,width.
static CudnnShape heads_of(const AttentionProblem *p, int64_t length) {
    int64_t D = p->heads * p->width;
    return (CudnnShape){{p->N, p->heads, length, p->width}, {length * D, p->width, D, 1}};
}

static CudnnShape one_value(void) {
    return cudnn_packed(1, 1, 1, 1);
}

static CudnnGraph *forward_graph(const AttentionProblem *p) {
    CudnnGraph *g = cudnn_graph_begin("attention");
    Dtype type = (Dtype)p->type;
    int q = cudnn_graph_tensor(g, CUDNN_REAL, type, heads_of(p, p->T));
    int k = cudnn_graph_tensor(g, CUDNN_REAL, type, heads_of(p, p->S));
    int v = cudnn_graph_tensor(g, CUDNN_REAL, type, heads_of(p, p->S));
    int scale = cudnn_graph_tensor(g, CUDNN_VALUE, F32, one_value());
    int y = cudnn_graph_tensor(g, CUDNN_REAL, type, heads_of(p, p->T));
    int lse = cudnn_graph_tensor(g, CUDNN_REAL, F32, cudnn_packed(p->N, p->heads, p->T, 1));
    cudnn_graph_attention(g, q, k, v, scale, y, lse);
    return g;
}

static int inner(CudnnGraph *graph, Dtype type, CudnnShape shape) {
    return cudnn_graph_tensor(graph, CUDNN_VIRTUAL, type, shape);
}

static CudnnGraph *backward_graph(const AttentionProblem *p) {
    CudnnGraph *g = cudnn_graph_begin("attention backward");
    Dtype type = (Dtype)p->type;
    CudnnShape queries = heads_of(p, p->T), keys = heads_of(p, p->S),
               row = cudnn_packed(p->N, p->heads, p->T, 1),
               logits = cudnn_packed(p->N, p->heads, p->T, p->S);
    int q = cudnn_graph_tensor(g, CUDNN_REAL, type, queries);
    int k = cudnn_graph_tensor(g, CUDNN_REAL, type, cudnn_transposed(keys));
    int v = cudnn_graph_tensor(g, CUDNN_REAL, type, cudnn_transposed(keys));
    int y = cudnn_graph_tensor(g, CUDNN_REAL, type, queries);
    int dy = cudnn_graph_tensor(g, CUDNN_REAL, type, queries);
    int lse = cudnn_graph_tensor(g, CUDNN_REAL, F32, row);
    int one = cudnn_graph_tensor(g, CUDNN_VALUE, F32, one_value());
    int scale = cudnn_graph_tensor(g, CUDNN_VALUE, F32, one_value());
    int mean = cudnn_graph_tensor(g, CUDNN_REAL, F32, row);
    int dq = cudnn_graph_tensor(g, CUDNN_REAL, type, queries);
    int dk = cudnn_graph_tensor(g, CUDNN_REAL, type, keys);
    int dv = cudnn_graph_tensor(g, CUDNN_REAL, type, keys);

    int product = inner(g, F32, cudnn_packed(p->N, p->heads, p->T, p->width)),
        total = inner(g, F32, row);
    cudnn_graph_binary(g, CUDNN_POINTWISE_MUL, dy, y, product);
    cudnn_graph_reduce(g, CUDNN_REDUCE_TENSOR_ADD, product, total);
    cudnn_graph_binary(g, CUDNN_POINTWISE_MUL, total, one, mean);

    int raw = inner(g, F32, logits), scaled = inner(g, F32, logits);
    int shifted = inner(g, F32, logits), P = inner(g, F32, logits);
    cudnn_graph_matmul(g, q, k, raw);
    cudnn_graph_binary(g, CUDNN_POINTWISE_MUL, raw, scale, scaled);
    cudnn_graph_binary(g, CUDNN_POINTWISE_SUB, scaled, lse, shifted);
    cudnn_graph_unary(g, CUDNN_POINTWISE_EXP, shifted, P);
    int P_turned = inner(g, type, cudnn_transposed(logits));
    cudnn_graph_reshape(g, P, P_turned);
    cudnn_graph_matmul(g, P_turned, dy, dv);

    int dP = inner(g, F32, logits), centred = inner(g, F32, logits);
    int weighted = inner(g, F32, logits), dS = inner(g, F32, logits);
    cudnn_graph_matmul(g, dy, v, dP);
    cudnn_graph_binary(g, CUDNN_POINTWISE_SUB, dP, mean, centred);
    cudnn_graph_binary(g, CUDNN_POINTWISE_MUL, centred, P, weighted);
    cudnn_graph_binary(g, CUDNN_POINTWISE_MUL, weighted, scale, dS);
    int dS_turned = inner(g, type, cudnn_transposed(logits));
    cudnn_graph_reshape(g, dS, dS_turned);
    cudnn_graph_matmul(g, dS_turned, q, dk);

    int k_turned = inner(g, type, keys);
    cudnn_graph_reshape(g, k, k_turned);
    cudnn_graph_matmul(g, dS, k_turned, dq);
    return g;
}

CudnnGraph *cudnn_attention_graph(const AttentionProblem *p) {
    return p->backward ? backward_graph(p) : forward_graph(p);
}
