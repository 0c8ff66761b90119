// SPDX-License-Identifier: MIT
// The optimizer's passes over all parameters.
#ifndef CPU_OPTIMIZER_H
#define CPU_OPTIMIZER_H

#include "autograd/backend.h"

int cpu_sum_of_squares(Tensor *const *tensors, int64_t count, double *result);
int cpu_adamw(const AdamwArgs *args);

#endif
