// SPDX-License-Identifier: MIT
// Convolution and attention by cuDNN: the graph of each problem is planned once, by the table's
// choice, and kept. See library.h.
#include "cuda/cudnn_plans.h"

#include "base/error.h"
#include "cuda/memory.h"
#include "cuda/plan_cache.h"
#include "cuda/plan_table.h"
#include "cuda/plan_tune.h"
#include "cuda/record.h"
#include "cuda/runtime.h"
#include "cuda/try.h"

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

void library_convolve_text(char text[LIBRARY_TEXT]) {
    snprintf(text, LIBRARY_TEXT, "cuDNN %zu", cudnnGetVersion());
}

CudnnPrecision cudnn_precision(int64_t type) {
    return type == BF16 || cuda_uses_tf32() ? CUDNN_FAST : CUDNN_EXACT;
}

typedef CudnnGraph *(*GraphOf)(const void *problem);

static int try_plans(GraphOf graph_of, const void *problem, CudnnPrecision precision, int first,
                     int most, CudnnPlan **plans, int *count) {
    CudnnDevice device = {.handle = handle};
    CudnnGraph *graph = graph_of(problem);
    int result = cudnn_graph_plans(graph, &device, precision, first, most, plans, count);
    cudnn_graph_free(graph);
    (void)cudaGetLastError(); // of proposals that were passed over
    return result;
}

// See PlanNew; that there is no plan stderr says too. What fails is tried once more with all the
// memory that nobody uses, but not in a recording, whose memory that is.
static int plan_new(GraphOf graph_of, const void *problem, const char *name,
                    CudnnPrecision precision, void **made) {
    CudnnPlan *plan = NULL;
    const int choice = plan_table_choice(name);
    int count;
    pthread_once(&once, open_library);
    if (cudnn_check(opened, "no handle") != 0) return -1;
    int result = try_plans(graph_of, problem, precision, choice, 1, &plan, &count);
    if (result < 0 && !record_is_open()) {
        fprintf(stderr, "%s: %s; once more\n", name, error_take());
        cuda_trim();
        result = try_plans(graph_of, problem, precision, choice, 1, &plan, &count);
    }
    if (result < 0) return error_context("%s", name);
    if (result == LIBRARY_DECLINES) fprintf(stderr, "no plan for %s: %s\n", name, error_take());
    *made = plan;
    return 0;
}

static CudnnGraph *convolution_graph(const void *problem) {
    return cudnn_convolution_graph(problem);
}

static int convolution_plan(const void *key, void **plan) {
    const Convolution *p = key;
    char name[CUDNN_NAME_SIZE];
    return plan_new(convolution_graph, p, cudnn_convolution_name(p, name), cudnn_precision(p->type),
                    plan);
}

static CudnnGraph *attention_graph(const void *problem) {
    return cudnn_attention_graph(problem);
}

static int attention_plan(const void *key, void **plan) {
    char name[CUDNN_NAME_SIZE];
    return plan_new(attention_graph, key, cudnn_attention_name(key, name), CUDNN_FAST, plan);
}

static int run(const CudnnPlan *plan, void *const *pointers) {
    size_t bytes = cudnn_plan_workspace(plan);
    void *workspace = bytes ? cuda_scratch("cudnn", bytes) : NULL;
    if (bytes && !workspace) return -1;
    int result = cudnn_plan_run(plan, handle, pointers, workspace);
    if (workspace) cuda_free(workspace, bytes);
    return result;
}

// ---- measuring ----------------------------------------------------------------------------------

_Static_assert(PLAN_TUNE_MOST <= CUDNN_PLANS, "cudnn_graph_plans gives no more at once");

typedef struct {
    GraphOf graph_of;
    const void *problem;
    CudnnPrecision precision;
    void *const *pointers;
    CudnnPlan *plans[PLAN_TUNE_MOST];
    int count, number;
} Trial;

static int prepare(void *context, int number) {
    Trial *trial = context;
    trial->number = number;
    if (number > 0) return number < trial->count ? 0 : LIBRARY_DECLINES;
    return try_plans(trial->graph_of, trial->problem, trial->precision, 0, PLAN_TUNE_MOST,
                     trial->plans, &trial->count);
}

static int run_trial(void *context) {
    const Trial *trial = context;
    return run(trial->plans[trial->number], trial->pointers);
}

static int tune(Trial trial, const char *name, const void *written, int64_t type, int64_t count) {
    int result = plan_tune(&(PlanTrial){.name = name,
                                        .prepare = prepare,
                                        .run = run_trial,
                                        .context = &trial,
                                        .written = written,
                                        .type = type,
                                        .count = count});
    for (int i = 0; i < trial.count; i++) cudnn_plan_free(trial.plans[i]);
    return result;
}

// Into memory of its own: what the pass writes may be what it adds.
static int tune_convolution(const Convolution *p, void *const given[5]) {
    const ConvShape *s = &p->shape;
    char name[CUDNN_NAME_SIZE];
    if (!plan_tune_wants(cudnn_convolution_name(p, name))) return 0;
    const int64_t counts[] = {s->N * s->H * s->W * s->Ci, s->Co * s->kh * s->kw * s->Ci,
                              s->N * s->Ho * s->Wo * s->Co};
    const int written = p->pass == CONVOLVE_FORWARD ? 2 : p->pass == CONVOLVE_INPUT ? 0 : 1;
    const size_t bytes = (size_t)counts[written] * dtype_size((Dtype)p->result);
    void *pointers[5] = {given[0], given[1], given[2], given[3], given[4]};
    pointers[written] = cuda_scratch("bench tune", bytes);
    if (!pointers[written]) return -1;
    int result = tune((Trial){.graph_of = convolution_graph,
                              .problem = p,
                              .precision = cudnn_precision(p->type),
                              .pointers = pointers},
                      name, pointers[written], p->result, counts[written]);
    cuda_free(pointers[written], bytes);
    return result;
}

// The run that follows writes all results again.
static int tune_attention(const AttentionProblem *p, void *const *pointers, const void *written) {
    char name[CUDNN_NAME_SIZE];
    if (!plan_tune_wants(cudnn_attention_name(p, name))) return 0;
    return tune((Trial){.graph_of = attention_graph,
                        .problem = p,
                        .precision = CUDNN_FAST,
                        .pointers = pointers},
                name, written, p->type, p->N * p->T * p->heads * p->width);
}

// ---- the problems -------------------------------------------------------------------------------

int library_convolve(const Convolution *p, void *x, void *weight, void *y, const void *bias,
                     const void *residual) {
    static PlanCache plans = PLAN_CACHE_EMPTY;
    if (!cudnn_takes_convolution(p)) return LIBRARY_DECLINES;
    void *plan;
    if (plan_cache_find(&plans, p, sizeof *p, convolution_plan, &plan) != 0) return -1;
    if (!plan) return LIBRARY_DECLINES;
    void *pointers[5] = {x, weight, y};
    int count = 3;
    if (p->bias) pointers[count++] = (void *)bias;
    if (p->residual) pointers[count++] = (void *)residual;
    if (plan_tune_is_watched() && tune_convolution(p, pointers) != 0) return -1;
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
    int result = plan_tune_is_watched() ? tune_attention(p, pointers, m->dq) : 0;
    if (result == 0) result = run(plan, pointers);
    cuda_free(sums, bytes);
    return result;
}

int library_attention(const AttentionProblem *p, float scale, const AttentionMemory *m) {
    static PlanCache plans = PLAN_CACHE_EMPTY;
    if (!cudnn_takes_attention(p)) return LIBRARY_DECLINES;
    void *plan;
    if (plan_cache_find(&plans, p, sizeof *p, attention_plan, &plan) != 0) return -1;
    if (!plan) return LIBRARY_DECLINES;
    if (p->backward) return run_backward(plan, p, scale, m);
    void *pointers[] = {(void *)m->q, (void *)m->k, (void *)m->v, &scale, m->y, m->lse};
    if (plan_tune_is_watched() && tune_attention(p, pointers, m->y) != 0) return -1;
    return run(plan, pointers);
}
