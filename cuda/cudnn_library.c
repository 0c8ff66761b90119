// SPDX-License-Identifier: MIT
// Convolution and attention by cuDNN: the graph of each problem is planned once, by the table's
// choice, and kept. See library.h.
#include "cuda/cudnn_plans.h"

#include "base/error.h"
#include "cuda/memory.h"
#include "cuda/plan_cache.h"
#include "cuda/plan_table.h"
#include "cuda/runtime.h"

#include <pthread.h>
#include <stdio.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cudnnHandle_t handle;
static cudnnStatus_t opened;

static void open_library(void) {
    opened = cudnnCreate(&handle);
    if (opened == CUDNN_STATUS_SUCCESS)
        opened = cudnnSetStream(handle, device_stream(STREAM_COMPUTE));
}

CudnnPrecision cudnn_precision(int64_t type) {
    return type == BF16 || cuda_uses_tf32() ? CUDNN_FAST : CUDNN_EXACT;
}

// A plan from a graph, which is freed. NULL and an error, which stderr says too, when there is
// none.
static CudnnPlan *plan_new(CudnnGraph *graph, const char *name, CudnnPrecision precision) {
    pthread_once(&once, open_library);
    CudnnDevice device = {.handle = handle};
    CudnnPlan *plan = NULL;
    if (graph && cudnn_check(opened, "no handle") == 0)
        plan = cudnn_graph_plan(graph, &device, precision, plan_table_choice(name));
    cudnn_graph_free(graph);
    if (!plan) fprintf(stderr, "no plan for %s: %s\n", name, error_message());
    return plan;
}

static void *convolution_plan(const void *key) {
    const Convolution *p = key;
    char name[CUDNN_NAME_SIZE];
    return plan_new(cudnn_convolution_graph(p), cudnn_convolution_name(p, name),
                    cudnn_precision(p->type));
}

static void *attention_plan(const void *key) {
    const AttentionProblem *p = key;
    char name[CUDNN_NAME_SIZE];
    return plan_new(cudnn_attention_graph(p), cudnn_attention_name(p, name), CUDNN_FAST);
}

static int run(const CudnnPlan *plan, void *const *pointers) {
    size_t bytes = cudnn_plan_workspace(plan);
    void *workspace = bytes ? cuda_scratch("cudnn", bytes) : NULL;
    if (bytes && !workspace) return -1;
    int result = cudnn_plan_run(plan, handle, pointers, workspace);
    if (workspace) cuda_free(workspace, bytes);
    return result;
}

int library_convolve(const Convolution *p, void *x, void *weight, void *y, const void *bias,
                     const void *residual) {
    static PlanCache plans = PLAN_CACHE_EMPTY;
    if (!cudnn_takes_convolution(p)) return LIBRARY_DECLINES;
    const CudnnPlan *plan = plan_cache_find(&plans, p, sizeof *p, convolution_plan);
    if (!plan) {
        error_take(); // was said when the plan was tried
        return LIBRARY_DECLINES;
    }
    void *pointers[5] = {x, weight, y};
    int count = 3;
    if (p->bias) pointers[count++] = (void *)bias;
    if (p->residual) pointers[count++] = (void *)residual;
    return run(plan, pointers);
}

static int run_backward(const CudnnPlan *plan, const AttentionProblem *p, float scale,
                        const AttentionMemory *m) {
    size_t bytes = (size_t)(p->N * p->heads * p->T) * sizeof(float);
    float one = 1;
    void *sums = cuda_scratch("attention", bytes);
    if (!sums) return -1;
    void *pointers[] = {(void *)m->q, (void *)m->k, (void *)m->v, m->y,  (void *)m->dy, m->lse,
                        &one,         &scale,       sums,         m->dq, m->dk,         m->dv};
    int result = run(plan, pointers);
    cuda_free(sums, bytes);
    return result;
}

int library_attention(const AttentionProblem *p, float scale, const AttentionMemory *m) {
    static PlanCache plans = PLAN_CACHE_EMPTY;
    if (!cudnn_takes_attention(p)) return LIBRARY_DECLINES;
    const CudnnPlan *plan = plan_cache_find(&plans, p, sizeof *p, attention_plan);
    if (!plan) {
        error_take(); // was said when the plan was tried
        return LIBRARY_DECLINES;
    }
    if (p->backward) return run_backward(plan, p, scale, m);
    void *pointers[] = {(void *)m->q, (void *)m->k, (void *)m->v, &scale, m->y, m->lse};
    return run(plan, pointers);
}
