// SPDX-License-Identifier: MIT
// The caching allocator of the CPU back end, for tensors and for what kernels need meanwhile.
#ifndef CPU_MEMORY_H
#define CPU_MEMORY_H

#include "autograd/backend.h"

void *memory_alloc(size_t bytes); // 64-byte aligned, undefined contents
void memory_free(void *memory, size_t bytes);
void memory_trim(void);
BackendStats memory_stats(void);
void memory_reset_stats(void);

#endif
