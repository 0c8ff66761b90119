// SPDX-License-Identifier: MIT
// The CUDA back end: tensors and kernels on one NVIDIA GPU.
#ifndef CUDA_CUDA_H
#define CUDA_CUDA_H

#include "autograd/backend.h"

// The back end of the first visible GPU. NULL and an error when the program was built without CUDA
// or no usable device is present.
const Backend *cuda_backend(void);

#endif
