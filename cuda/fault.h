// SPDX-License-Identifier: MIT
// Faults that only a kernel can see (an id out of range). The kernel goes on with a safe value and
// leaves a note in device memory; the next read of any tensor fails with it.
#ifndef CUDA_FAULT_H
#define CUDA_FAULT_H

#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef enum {
    FAULT_NONE,
    FAULT_EMBEDDING_ID,
    FAULT_LABEL,
    FAULT_PROMPTED_ID,
    FAULT_REGIONS
} FaultKind;

typedef struct {
    int32_t kind;        // FaultKind; the first one stays
    int32_t value;       // what was found
    int64_t image, most; // where, and the largest allowed value
} Fault;

// The note, in device memory.
Fault *cuda_fault(void);
// 0, or -1 and an error if `fault`, a copy in host memory, says something.
int cuda_fault_check(const Fault *fault);

#ifdef __cplusplus
}
#endif
#endif
