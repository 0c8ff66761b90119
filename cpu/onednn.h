// SPDX-License-Identifier: MIT
// All that is used of oneDNN: float convolution in three passes and matrix products. Without
// P2S_ONEDNN every function declines (FAST_DECLINES, fast.h).
#ifndef CPU_ONEDNN_H
#define CPU_ONEDNN_H

#include "autograd/backend.h"

#include <stdbool.h>
#include <stdint.h>

typedef enum { CONV_FORWARD, CONV_INPUT_GRADIENT, CONV_WEIGHT_GRADIENT } ConvPass;

// Whether products exist at all, and whether onednn_conv would not decline.
bool onednn_exists(void);
// The instruction set that the environment holds the library to (ONEDNN_MAX_CPU_ISA, or DNNL_...):
// its last bits depend on it. NULL: none.
const char *onednn_limit(void);
bool onednn_has_conv(ConvPass pass, const ConvShape *shape);

// One pass over plain arrays: x [N,H,W,Ci], weight, y [N,Ho,Wo,Co] are the tensors or their
// gradients; the pass says which one is written, or added to with `add`. bias may be NULL, and is
// only read in the forward pass. Declines before anything is written; -1 and an error on failure.
int onednn_conv(ConvPass pass, const ConvShape *shape, bool add, float *x, float *weight,
                const float *bias, float *y);

// A factor of a product, stored in rows of `width` elements; `transposed`: the product sees its
// transpose.
typedef struct {
    const float *data;
    int64_t width;
    bool transposed;
} Factor;

// c [M,P] (rows of c_width elements) = scale * a [M,K] b [K,P], or added to c. Threaded outside
// parallel regions, sequential inside. -1 and an error, which does not name the op, on failure.
int onednn_product(Factor a, Factor b, int64_t M, int64_t K, int64_t P, float scale, bool add,
                   float *c, int64_t c_width);

#endif
