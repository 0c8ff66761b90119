// SPDX-License-Identifier: MIT
// Products by cuBLASLt, with bias and beginning in the same call. Its matrices are column-major:
// seen so, our row-major c is its transpose, and c' = b' a'. The algorithm is the first that the
// library's heuristics name, or the one that the table chooses, kept by shape.
#include "cuda/library.h"

#include "base/error.h"
#include "cuda/cuda.h"
#include "cuda/memory.h"
#include "cuda/plan_cache.h"
#include "cuda/plan_table.h"
#include "cuda/plan_tune.h"
#include "cuda/runtime.h"

#include <cublasLt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const size_t WORKSPACE = (size_t)32 << 20; // what NVIDIA advises for Hopper

enum { NAME_SIZE = 240 };

typedef struct {
    int64_t M, K, P, batches, type, result, transposed_a, transposed_b, bias, begin, tf32;
    int64_t a_row, b_row, c_row, a_batch, b_batch, c_batch;
} ProductKey;

typedef struct {
    cublasLtMatmulDesc_t product;
    cublasLtMatrixLayout_t a, b, c;
    cublasLtMatmulAlgo_t algorithm;
} ProductPlan;

static pthread_once_t once = PTHREAD_ONCE_INIT;
static cublasLtHandle_t handle;
static cublasStatus_t opened;
static PlanCache plans = PLAN_CACHE_EMPTY;
static bool tf32;

void cuda_use_tf32(bool on) {
    tf32 = on;
}

bool cuda_uses_tf32(void) {
    return tf32;
}

void library_product_text(char text[LIBRARY_TEXT]) {
    snprintf(text, LIBRARY_TEXT, "cuBLASLt %zu", cublasLtGetVersion());
}

static int check(cublasStatus_t status, const char *what) {
    if (status == CUBLAS_STATUS_SUCCESS) return 0;
    return error_int("cublasLt: %s: %s", what, cublasLtGetStatusString(status));
}

static void open_library(void) {
    opened = cublasLtCreate(&handle);
}

static cudaDataType_t data_type(int64_t type) {
    return type == BF16 ? CUDA_R_16BF : CUDA_R_32F;
}

static void plan_free(void *memory) {
    ProductPlan *plan = memory;
    if (plan->product) cublasLtMatmulDescDestroy(plan->product);
    if (plan->a) cublasLtMatrixLayoutDestroy(plan->a);
    if (plan->b) cublasLtMatrixLayoutDestroy(plan->b);
    if (plan->c) cublasLtMatrixLayoutDestroy(plan->c);
    free(plan);
}

// ---- plans --------------------------------------------------------------------------------------

// The column-major view of a row-major matrix [rows,columns] as it lies in memory.
static cublasStatus_t layout_new(cublasLtMatrixLayout_t *layout, int64_t type, int64_t rows,
                                 int64_t columns, int64_t row, int64_t batches, int64_t batch) {
    int32_t count = (int32_t)batches;
    cublasStatus_t status =
        cublasLtMatrixLayoutCreate(layout, data_type(type), (uint64_t)columns, (uint64_t)rows, row);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatrixLayoutSetAttribute(*layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                                                  &count, sizeof count);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatrixLayoutSetAttribute(
            *layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &batch, sizeof batch);
    return status;
}

static cublasStatus_t product_new(cublasLtMatmulDesc_t *product, const ProductKey *key) {
    // The library's first factor is our b, its second our a.
    cublasOperation_t first = key->transposed_b ? CUBLAS_OP_T : CUBLAS_OP_N,
                      second = key->transposed_a ? CUBLAS_OP_T : CUBLAS_OP_N;
    cublasComputeType_t compute =
        key->tf32 && key->type == F32 ? CUBLAS_COMPUTE_32F_FAST_TF32 : CUBLAS_COMPUTE_32F;
    cublasLtEpilogue_t epilogue = CUBLASLT_EPILOGUE_BIAS;
    const void *aligned = (const void *)256; // as every bias is; the choice looks at this only
    cudaDataType_t bias = data_type(key->result);
    cublasStatus_t status = cublasLtMatmulDescCreate(product, compute, CUDA_R_32F);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_TRANSA, &first,
                                                sizeof first);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_TRANSB, &second,
                                                sizeof second);
    if (status == CUBLAS_STATUS_SUCCESS && key->bias)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue,
                                                sizeof epilogue);
    if (status == CUBLAS_STATUS_SUCCESS && key->bias)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE,
                                                &bias, sizeof bias);
    if (status == CUBLAS_STATUS_SUCCESS && key->bias)
        status = cublasLtMatmulDescSetAttribute(*product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                &aligned, sizeof aligned);
    return status;
}

// Number `choice` of the algorithms whose sums are in f32 and come in a fixed order within
// WORKSPACE; not supported when there are fewer.
static cublasStatus_t choose(ProductPlan *plan, int choice) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t results[PLAN_TABLE_CHOICES];
    int found = 0;
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    cublasStatus_t status = cublasLtMatmulPreferenceCreate(&preference);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulPreferenceSetAttribute(
            preference, CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES, &WORKSPACE, sizeof WORKSPACE);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulPreferenceSetAttribute(
            preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, sizeof reductions);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = cublasLtMatmulAlgoGetHeuristic(handle, plan->product, plan->b, plan->a, plan->c,
                                                plan->c, preference, choice + 1, results, &found);
    if (preference) cublasLtMatmulPreferenceDestroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = found > choice ? results[choice].state : CUBLAS_STATUS_NOT_SUPPORTED;
    if (status == CUBLAS_STATUS_SUCCESS) plan->algorithm = results[choice].algo;
    return status;
}

// LIBRARY_DECLINES and an error when there is no such choice.
static int plan_of(const ProductKey *key, int choice, ProductPlan **made) {
    ProductPlan *plan = calloc(1, sizeof *plan);
    if (!plan) return error_int("cublasLt: out of memory");
    int64_t M = key->M, K = key->K, P = key->P;
    cublasStatus_t status = product_new(&plan->product, key);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = layout_new(&plan->a, key->type, key->transposed_a ? K : M,
                            key->transposed_a ? M : K, key->a_row, key->batches, key->a_batch);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = layout_new(&plan->b, key->type, key->transposed_b ? P : K,
                            key->transposed_b ? K : P, key->b_row, key->batches, key->b_batch);
    if (status == CUBLAS_STATUS_SUCCESS)
        status = layout_new(&plan->c, key->result, M, P, key->c_row, key->batches, key->c_batch);
    if (status == CUBLAS_STATUS_SUCCESS) status = choose(plan, choice);
    if (status == CUBLAS_STATUS_SUCCESS) {
        *made = plan;
        return 0;
    }
    plan_free(plan);
    error_int("cublasLt: no plan %d for a product [%lld,%lld] [%lld,%lld] of %s: %s", choice,
              (long long)M, (long long)K, (long long)K, (long long)P, dtype_name((Dtype)key->type),
              cublasLtGetStatusString(status));
    return status == CUBLAS_STATUS_NOT_SUPPORTED ? LIBRARY_DECLINES : -1;
}

// The problem in words, the key of the table of choices.
static const char *name_of(const ProductKey *key, char name[NAME_SIZE]) {
    snprintf(name, NAME_SIZE,
             "product %s%s to %s %lldx%lldx%lld%s%s%s%s, rows %lld %lld %lld, %lld of %lld %lld "
             "%lld",
             dtype_name((Dtype)key->type), key->tf32 && key->type == F32 ? " by tf32" : "",
             dtype_name((Dtype)key->result), (long long)key->M, (long long)key->K,
             (long long)key->P, key->transposed_a ? ", a'" : "", key->transposed_b ? ", b'" : "",
             key->bias ? ", bias" : "", key->begin ? ", begin" : "", (long long)key->a_row,
             (long long)key->b_row, (long long)key->c_row, (long long)key->batches,
             (long long)key->a_batch, (long long)key->b_batch, (long long)key->c_batch);
    return name;
}

static int plan_new(const void *memory, void **made) {
    char name[NAME_SIZE];
    ProductPlan *plan = NULL;
    int result = plan_of(memory, plan_table_choice(name_of(memory, name)), &plan);
    *made = plan;
    return result == 0 ? 0 : -1;
}

// ---- running ------------------------------------------------------------------------------------

static int run(const Product *p, ProductPlan *plan) {
    float zero = 0, one = 1;
    const void *begin = p->begin ? p->begin : p->c;
    void *workspace = cuda_scratch("product", WORKSPACE);
    if (!workspace) return -1;
    cublasStatus_t status = CUBLAS_STATUS_SUCCESS;
    if (p->bias)
        status = cublasLtMatmulDescSetAttribute(plan->product, CUBLASLT_MATMUL_DESC_BIAS_POINTER,
                                                &p->bias, sizeof p->bias);
    if (status == CUBLAS_STATUS_SUCCESS)
        status =
            cublasLtMatmul(handle, plan->product, &p->scale, p->b.data, plan->b, p->a.data, plan->a,
                           p->begin ? &one : &zero, begin, plan->c, p->c, plan->c, &plan->algorithm,
                           workspace, WORKSPACE, device_stream(STREAM_COMPUTE));
    cuda_free(workspace, WORKSPACE);
    return check(status, "product");
}

typedef struct {
    Product product; // into memory of its own
    const ProductKey *key;
    ProductPlan *plan;
} Trial;

static int prepare(void *context, int number) {
    Trial *trial = context;
    if (trial->plan) plan_free(trial->plan);
    trial->plan = NULL;
    return plan_of(trial->key, number, &trial->plan);
}

static int run_trial(void *context) {
    const Trial *trial = context;
    return run(&trial->product, trial->plan);
}

static int tune(const Product *p, const ProductKey *key) {
    char name[NAME_SIZE];
    if (!plan_tune_wants(name_of(key, name))) return 0;
    const int64_t count = (p->batches - 1) * p->c_batch + (p->M - 1) * p->c_row + p->P;
    const size_t bytes = (size_t)count * dtype_size(p->result);
    Trial trial = {*p, key, NULL};
    trial.product.c = cuda_scratch("bench tune", bytes);
    if (!trial.product.c) return -1;
    int result = device_set(trial.product.c, 0, bytes); // rows may lie apart
    if (result == 0)
        result = plan_tune(&(PlanTrial){.name = name,
                                        .prepare = prepare,
                                        .run = run_trial,
                                        .context = &trial,
                                        .written = trial.product.c,
                                        .type = p->result,
                                        .count = count});
    if (trial.plan) plan_free(trial.plan);
    cuda_free(trial.product.c, bytes);
    return result;
}

int library_product(const Product *p) {
    pthread_once(&once, open_library);
    if (check(opened, "no handle") != 0) return -1;
    ProductKey key = {.M = p->M,
                      .K = p->K,
                      .P = p->P,
                      .batches = p->batches,
                      .type = p->type,
                      .result = p->result,
                      .transposed_a = p->a.transposed,
                      .transposed_b = p->b.transposed,
                      .bias = p->bias != NULL,
                      .begin = p->begin != NULL,
                      .tf32 = tf32,
                      .a_row = p->a.row,
                      .b_row = p->b.row,
                      .c_row = p->c_row,
                      .a_batch = p->a.batch,
                      .b_batch = p->b.batch,
                      .c_batch = p->c_batch};
    void *plan;
    if (plan_tune_is_watched() && tune(p, &key) != 0) return -1;
    return plan_cache_find(&plans, &key, sizeof key, plan_new, &plan) == 0 ? run(p, plan) : -1;
}
