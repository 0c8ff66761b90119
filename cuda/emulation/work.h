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

// What the device can be told to fail at, for tests: copies to it, the end of a recording, replays.
typedef enum { EMULATE_UPLOAD, EMULATE_KEEP, EMULATE_REPLAY, EMULATE_FAULTS } EmulateFault;
void emulate_fail(EmulateFault fault, int times); // the next times
int emulate_fault(EmulateFault fault);            // 0, or -1 and an error when it is to fail

#ifdef __cplusplus
}
#endif
#endif
