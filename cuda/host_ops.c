// SPDX-License-Identifier: MIT
// Ops that this build leaves to the host: the products without cuBLASLt, convolution and attention
// without cuDNN, and all four in the emulated back end, whose device has neither.
#include "cuda/host_path.h"

#ifdef P2S_CUDA_EMULATED
#define REASON NULL // nothing is lost: the device is the host
#else
#define REASON "this build has no library for it"
#endif

#define HOST_OP(name)                                       \
    int cuda_##name##_forward(const name##_args *args);     \
    int cuda_##name##_backward(const name##_args *args);    \
    int cuda_##name##_forward(const name##_args *args) {    \
        return cuda_host_forward(OP_##name, args, REASON);  \
    }                                                       \
    int cuda_##name##_backward(const name##_args *args) {   \
        return cuda_host_backward(OP_##name, args, REASON); \
    }

HOST_OP(binary)
HOST_OP(group_norm)
HOST_OP(layer_norm)
HOST_OP(resize_nearest)
HOST_OP(concat)
HOST_OP(slice)
HOST_OP(softmax)
HOST_OP(minmax)
HOST_OP(reduce)
HOST_OP(pointwise_loss)
HOST_OP(coloring_loss)
HOST_OP(resize_bilinear)
HOST_OP(embedding)
