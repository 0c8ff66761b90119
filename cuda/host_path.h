// SPDX-License-Identifier: MIT
// Runs one op on another back end, whose memory is the host's: inputs are read from the device,
// results are written back. Slow and correct; for what has no kernel or no plan.
#ifndef CUDA_HOST_PATH_H
#define CUDA_HOST_PATH_H

#include "autograd/backend.h"

#ifdef __cplusplus
extern "C" {
#endif

// The back end that computes; NULL for none, then the functions below fail and name the op.
void cuda_host_use(const Backend *host);
const Backend *cuda_host(void);
// BF16 tensors are computed as F32. The first call for each op says so on stderr, with `reason`;
// silent without one.
int cuda_host_forward(OpKind kind, const void *args, const char *reason);
int cuda_host_backward(OpKind kind, const void *args, const char *reason);

#ifdef __cplusplus
}
#endif
#endif
