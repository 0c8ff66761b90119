// SPDX-License-Identifier: MIT
// Stands for the CUDA back end in a build without a CUDA compiler.
#include "base/error.h"
#include "base/job.h"
#include "cuda/cuda.h"

const Backend *cuda_backend(const Backend *host) {
    (void)host;
    job_agree(error_int("this program was built without CUDA"));
    return NULL;
}

void cuda_use_tf32(bool on) {
    (void)on;
}

void cuda_watch_plans(PlanSee see, void *context) {
    (void)see, (void)context;
}

void cuda_poison_memory(bool on) {
    (void)on;
}
