// SPDX-License-Identifier: MIT
// What the emulated compute stream is given: done at once, or, while a recording is open, kept with
// its arguments and done by every replay (cuda/runtime.h).
#ifndef CUDA_EMULATION_WORK_H
#define CUDA_EMULATION_WORK_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef int (*EmulateWork)(void *context);

bool emulate_records(void);
// Adds to the open recording, which takes over `context`.
int emulate_keep(EmulateWork run, void *context, void (*destroy)(void *context));
// Does the work, or keeps it with a copy of the bytes at `context`.
int emulate_work(EmulateWork run, void *context, size_t bytes);

#ifdef __cplusplus
}
#endif
#endif
