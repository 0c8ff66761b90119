// SPDX-License-Identifier: MIT
// For the files that call NVIDIA's libraries: every call goes through a TRY, which returns -1 with
// the call and the library's own words from the function around it. CUDA's last error is taken
// away, so that the next launch does not report it again.
#ifndef CUDA_TRY_H
#define CUDA_TRY_H

#include "base/error.h"

#if __has_include(<cuda_runtime_api.h>)
#include <cuda_runtime_api.h>

#define CUDA_TRY(call)                                                                     \
    do {                                                                                   \
        cudaError_t status_ = (call);                                                      \
        if (status_ != cudaSuccess) {                                                      \
            (void)cudaGetLastError();                                                      \
            return error_int("%s: %s (CUDA error %d)", #call, cudaGetErrorString(status_), \
                             (int)status_);                                                \
        }                                                                                  \
    } while (0)
#endif

#endif
