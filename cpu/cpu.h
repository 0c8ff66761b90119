// SPDX-License-Identifier: MIT
// The CPU back ends: one set of kernels written for reading, in float and double, and the same with
// fast float overrides for the heavy ops.
#ifndef CPU_CPU_H
#define CPU_CPU_H

#include "autograd/backend.h"

// Fast kernels where they exist and apply, reference kernels elsewhere. NULL and an error when
// P2S_ISA asks for instructions that are not there (fast.h).
const Backend *cpu_backend(void);

// Reference kernels only: the definition that everything else is compared with.
const Backend *cpu_reference_backend(void);

// Threads that kernels use from now on, at least 1. cpu_threads says how many these are.
void cpu_set_threads(int threads);
int cpu_threads(void);

// For tests: new memory is filled with NaN patterns and carries guard bytes behind its end; returns
// how many blocks were found damaged when they were freed since the last call.
void cpu_poison_memory(bool on);
int64_t cpu_damaged_blocks(void);

#endif
