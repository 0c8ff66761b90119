// SPDX-License-Identifier: MIT
// Conversion between F32 and F64; the kernel is that of the result's type.
#include "cpu/kernel.h"

static double element(const Tensor *tensor, int64_t i) {
    return tensor->dtype == F64 ? ((const double *)tensor->data)[i]
                                : (double)((const float *)tensor->data)[i];
}

int CPU(cast_forward)(const cast_args *args) {
    int64_t count = tensor_numel(args->y);
    real *y = values(args->y);
    for (int64_t i = 0; i < count; i++) y[i] = (real)element(args->x, i);
    return 0;
}

int CPU(cast_backward)(const cast_args *args) {
    const Tensor *x = args->x;
    if (!x->needs_grad) return 0;
    int64_t count = tensor_numel(x);
    for (int64_t i = 0; i < count; i++) {
        double d = (double)gradient(args->y)[i];
        if (x->has_grad) d += element(x->grad, i);
        if (x->dtype == F64)
            ((double *)x->grad->data)[i] = d;
        else
            ((float *)x->grad->data)[i] = (float)d;
    }
    return 0;
}
