// SPDX-License-Identifier: MIT
// How a kernel leaves a note. See fault.h.
#ifndef CUDA_FAULT_CUH
#define CUDA_FAULT_CUH

#include "cuda/fault.h"
#include "cuda/kernel.cuh"

static __device__ inline void fault_note(Fault *fault, FaultKind kind, int64_t value, int64_t image,
                                         int64_t most) {
    if (atomicCAS(&fault->kind, (int32_t)FAULT_NONE, (int32_t)kind) != FAULT_NONE) return;
    fault->value = (int32_t)value;
    fault->image = image;
    fault->most = most;
}

#endif
