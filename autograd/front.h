// SPDX-License-Identifier: MIT
// What op fronts share: argument checks whose messages begin with the op's name.
#ifndef AUTOGRAD_FRONT_H
#define AUTOGRAD_FRONT_H

#include "autograd/tape.h"
#include "base/error.h"

// Whether all inputs are present (not NULL; NONE only where ops.h says so), are of one float type,
// and none has lost its memory. Sets an error that begins with `op` otherwise; stays silent about
// NULL, whose error is already set. Every op's inputs begin its args struct. Beside a BF16 x the
// weight and bias of conv2d, linear and the norms must be F32. The integer inputs, embedding's ids
// and all but the first of coloring_loss, are of whatever type: their fronts check it.
bool front_inputs(OpKind kind, const void *args);

// Fails unless `tensor` has `ndim` sides. `what` names the argument in the message.
bool front_ndim(const char *op, const char *what, const Tensor *tensor, int ndim);
// Fails unless the last side is `expected`; unless the shape is [expected].
bool front_last(const char *op, const char *what, const Tensor *tensor, int64_t expected);
bool front_vector(const char *op, const char *what, const Tensor *tensor, int64_t expected);
// Fails unless the shape is the given one.
bool front_shape(const char *op, const char *what, const Tensor *tensor, int ndim,
                 const int64_t *shape);
// Type of parameters and statistics (mean, rstd, log-sum-exp) beside x: F32 where x is BF16.
Dtype front_precise(const Tensor *x);
// Fails unless the type is `dtype`.
bool front_dtype(const char *op, const char *what, const Tensor *tensor, Dtype dtype);

static inline bool is_none(const Tensor *tensor) {
    return tensor == NONE;
}
static inline bool needs_grad(const Tensor *tensor) {
    return tensor->needs_grad;
}
// Bit `field` if `condition`: for writing saves functions.
static inline unsigned save_if(bool condition, int field) {
    return condition ? 1u << field : 0u;
}

#endif
