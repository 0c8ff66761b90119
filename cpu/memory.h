// SPDX-License-Identifier: MIT
// The caching allocator of the CPU back end, and scratch memory for kernels.
#ifndef CPU_MEMORY_H
#define CPU_MEMORY_H

#include "autograd/backend.h"

void *memory_alloc(size_t bytes); // 64-byte aligned, undefined contents
void memory_free(void *memory, size_t bytes);
void memory_trim(void);
BackendStats memory_stats(void);
void memory_reset_stats(void);

// Memory for the length of one kernel. The same block serves one kernel after the other and grows
// to the largest wish, where the lists above would keep one of every size. Given back with the
// bytes that were asked for; whoever asks while it is taken gets memory_alloc's.
void *memory_scratch(size_t bytes);
void memory_scratch_done(void *memory, size_t bytes);

#endif
