// SPDX-License-Identifier: MIT
// Recorded work: what one key's work gives to the compute stream is kept once and replayed, as a
// CUDA graph. See record_begin in autograd/backend.h.
//
// A replay works with the addresses of the recording. The allocator goes on giving the recording's
// blocks, which are free between replays, to others; when one of them is in use at a replay, or has
// gone back to the system, the work is recorded anew.
#ifndef CUDA_RECORD_H
#define CUDA_RECORD_H

#include "autograd/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

RecordState cuda_record_begin(const RecordKey *key);
int cuda_record_end(bool good);
void cuda_record_forget(void);

// Whether work is being recorded now.
bool record_is_open(void);
// 0, or -1 and an error while work is being recorded.
int record_forbids(const char *what);

// What the allocator tells, under its lock. record_give: true when an open recording keeps the
// block, as it does where nothing is cached, so that its address stays good.
void record_take(void *memory);
bool record_give(void *memory, size_t bytes);
void record_lose(const void *memory); // goes back to the system
int64_t record_replays(void);

#ifdef __cplusplus
}
#endif
#endif
