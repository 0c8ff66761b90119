// SPDX-License-Identifier: MIT
// The sum of gradients over the processes of a job: NCCL on the compute stream (all_reduce.c); the
// emulated device asks the host (emulation/all_reduce.c).
#ifndef CUDA_ALL_REDUCE_H
#define CUDA_ALL_REDUCE_H

#include "autograd/backend.h"
#include "cuda/library.h"

#ifdef __cplusplus
extern "C" {
#endif

// Joins the other processes of the job, once, after device_open. All of them call it; it does
// nothing in a job of one, unless the environment has P2S_NCCL=1, which makes a communicator of
// one. -1 and an error without NCCL, where it is needed.
int all_reduce_open(void);
// Who sums: "NCCL 22809"; "" for nobody.
void all_reduce_text(char text[LIBRARY_TEXT]);

// all_reduce of autograd/backend.h; may be recorded.
int cuda_all_reduce(Tensor *const *tensors, int64_t count, Tensor *found);

#ifdef __cplusplus
}
#endif
#endif
