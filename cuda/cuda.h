// SPDX-License-Identifier: MIT
// The CUDA back end: tensors and kernels on one NVIDIA GPU. The same sources also build the
// emulated back end of the tests, which runs every kernel on the host (emulation/).
#ifndef CUDA_CUDA_H
#define CUDA_CUDA_H

#include "autograd/backend.h"

// The back end of the GPU whose number is the process' rank on its machine, modulo the number of
// visible ones; in a job of several processes all call it. NULL and an error when the program was
// built without CUDA or no usable device is present. `host` computes what the device has no plan or
// kernel for, through copies in host memory; the first use of each op says so on stderr.
const Backend *cuda_backend(const Backend *host);

// Whether products of F32 numbers may be taken in tf32 (10 bits of mantissa, sums in F32). Off at
// first; set before the first op.
void cuda_use_tf32(bool on);

// For `p2s bench tune`: while somebody watches, every product, convolution and attention that a
// library computes is run under each plan that the library proposes for it, at most 4, when it is
// met for the first time. NULL: nobody watches. The texts live as long as the call.
typedef struct {
    const char *problem; // as the table of choices (plan_table.h) names it
    int number;          // of the plan; 0 is the one that is taken without a table
    double seconds;      // of one run, least of three rounds
    double difference;   // to plan 0's result (its first million values; of attention backward
                         // dq): RMS, over the RMS of that; 1e30 where one is not finite
} PlanTried;
typedef void (*PlanSee)(const PlanTried *tried, void *context);
void cuda_watch_plans(PlanSee see, void *context);

// For tests: new memory is filled with NaN patterns.
void cuda_poison_memory(bool on);

#endif
