// SPDX-License-Identifier: MIT
// Handle, choice and execution of cuDNN's plans. See cudnn_plans.h.
#include "cuda/cudnn_plans.h"

#include "base/error.h"
#include "cuda/memory.h"
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

cudnnHandle_t cudnn_handle(void) {
    pthread_once(&once, open_library);
    return cudnn_check(opened, "no handle") == 0 ? handle : NULL;
}

CudnnPrecision cudnn_precision(int64_t type) {
    return type == BF16 || cuda_uses_tf32() ? CUDNN_FAST : CUDNN_EXACT;
}

CudnnPlan *cudnn_plan_new(CudnnGraph *graph, const char *name, CudnnPrecision precision) {
    CudnnDevice device = {.handle = cudnn_handle()};
    CudnnPlan *plan = NULL;
    if (graph && device.handle)
        plan = cudnn_graph_plan(graph, &device, precision, plan_table_choice(name));
    cudnn_graph_free(graph);
    if (!plan) fprintf(stderr, "no plan for %s: %s\n", name, error_message());
    return plan;
}

int cudnn_plan_enqueue(const CudnnPlan *plan, void *const *pointers) {
    size_t bytes = cudnn_plan_workspace(plan);
    void *workspace = bytes ? cuda_scratch("cudnn", bytes) : NULL;
    if (bytes && !workspace) return -1;
    int result = cudnn_plan_run(plan, handle, pointers, workspace);
    if (workspace) cuda_free(workspace, bytes);
    return result;
}
