// SPDX-License-Identifier: MIT
// Products by cuBLASLt, with bias and beginning in the same call. Its matrices are column-major:
// seen so, our row-major c is its transpose, and c' = b' a'. The algorithm is the first that the
// library's heuristics name, kept by shape; nothing is timed.
#include "cuda/library.h"

#include "base/error.h"
#include "cuda/cuda.h"
#include "cuda/memory.h"
#include "cuda/plan_cache.h"
#include "cuda/runtime.h"

#include <cublasLt.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

static const size_t WORKSPACE = (size_t)32 << 20; // what NVIDIA advises for Hopper

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

// The first algorithm whose sums are in f32 and come in a fixed order within WORKSPACE.
static cublasStatus_t choose(ProductPlan *plan) {
    cublasLtMatmulPreference_t preference = NULL;
    cublasLtMatmulHeuristicResult_t result;
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
                                                plan->c, preference, 1, &result, &found);
    if (preference) cublasLtMatmulPreferenceDestroy(preference);
    if (status == CUBLAS_STATUS_SUCCESS && found == 0) status = CUBLAS_STATUS_NOT_SUPPORTED;
    if (status == CUBLAS_STATUS_SUCCESS) plan->algorithm = result.algo;
    return status;
}

static int plan_new(const void *memory, void **made) {
    const ProductKey *key = memory;
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
    if (status == CUBLAS_STATUS_SUCCESS) status = choose(plan);
    if (status == CUBLAS_STATUS_SUCCESS) {
        *made = plan;
        return 0;
    }
    plan_free(plan);
    return error_int("cublasLt: no plan for a product [%lld,%lld] [%lld,%lld] of %s: %s",
                     (long long)M, (long long)K, (long long)K, (long long)P,
                     dtype_name((Dtype)key->type), cublasLtGetStatusString(status));
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
    return plan_cache_find(&plans, &key, sizeof key, plan_new, &plan) == 0 ? run(p, plan) : -1;
}
