// SPDX-License-Identifier: MIT
// The sum of gradients over the processes of a job. Contract: all_reduce of autograd/backend.h.
#ifndef CPU_ALL_REDUCE_H
#define CPU_ALL_REDUCE_H

#include "autograd/backend.h"

int cpu_all_reduce(Tensor *const *tensors, int64_t count, Tensor *found);

#endif
