// SPDX-License-Identifier: MIT
// The caching allocator of the device, scratch memory for kernels, and staged copies.
//
// All work that touches device memory is ordered by one compute stream, so a freed block can be
// handed out again at once: whoever gets it comes later in the stream.
#ifndef CUDA_MEMORY_H
#define CUDA_MEMORY_H

#include "autograd/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

void *cuda_alloc(size_t bytes); // 256-byte aligned, undefined contents; NULL when none is left
void cuda_free(void *memory, size_t bytes);
void cuda_trim(void);
BackendStats cuda_stats(void);
void cuda_reset_stats(void);

// Whether blocks are kept when they are freed; for what then keeps them itself, their release.
bool cuda_memory_is_cached(void);
void cuda_memory_release(void *memory, size_t bytes);

// Memory for the duration of one op: an error that names the op when none is left.
void *cuda_scratch(const char *op, size_t bytes);

// Copies between host and device through page-locked memory. Writing returns when `host` may be
// changed; reading returns when the values are there, after all work so far, and fails if a kernel
// has reported a fault (fault.h).
int cuda_write(void *to, const void *host, size_t bytes);
int cuda_read(void *host, const void *from, size_t bytes);
int cuda_copy(void *to, const void *from, size_t bytes);
// A read in two parts (backend.h): between them the host does something else.
int cuda_fetch_begin(int slot, const void *from, size_t bytes);
int cuda_fetch_end(int slot, void *host, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
