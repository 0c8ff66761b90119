// SPDX-License-Identifier: MIT
// For kernel files: each is compiled once for float and once for double (P2S_KERNEL_F64), so that
// the definition that trains is the one whose gradients are checked in double.
//
//     int CPU(silu_forward)(const silu_args *args)   is   cpu_silu_forward_f32 / _f64
//
// The dispatch cpu_<name>_forward by type is generated in cpu/backend.c.
#ifndef CPU_KERNEL_H
#define CPU_KERNEL_H

#include "autograd/ops.h"
#include "base/error.h"

#ifdef P2S_KERNEL_F64
typedef double real;
#define CPU(name) cpu_##name##_f64
#define REAL(literal) literal
#define MATH(function) function // MATH(exp)(x)
#else
typedef float real;
#define CPU(name) cpu_##name##_f32
#define REAL(literal) literal##f
#define MATH(function) function##f
#endif

#define OP(name, inputs, outputs)                     \
    int CPU(name##_forward)(const name##_args *args); \
    int CPU(name##_backward)(const name##_args *args);
OP_LIST(OP)
#undef OP

// The elements of a tensor, and of its gradient.
static inline real *values(const Tensor *tensor) {
    return tensor->data;
}
static inline real *gradient(const Tensor *tensor) {
    return tensor->grad->data;
}
// One element of a gradient: adds or overwrites, as the tape says.
static inline void accumulate(real *to, real value, bool add) {
    *to = add ? *to + value : value;
}

#endif
