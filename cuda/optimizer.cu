// SPDX-License-Identifier: MIT
// AdamW and the global gradient norm over all tensors at once: a list of tensors lies on the
// device, and each block works on one slice of one of them.
#include "cuda/kernels.h"
#include "cuda/kernel.cuh"

#include <stdlib.h>
#include <string.h>

constexpr int64_t SLICE = 1 << 16; // elements of a block

struct Slice {
    float *p, *m, *v;
    const float *gradient;
    int64_t count;
};

// The list that was uploaded last. It seldom changes: the same tensors are trained at every step.
struct SliceList {
    Slice *host, *device;
    int64_t count;
};

static SliceList norm_list, adamw_list;

// Puts `slices` (taken over) on the device, unless they are there already.
static int send(SliceList *list, Slice *slices, int64_t count) {
    size_t bytes = (size_t)count * sizeof *slices;
    if (count == list->count && memcmp(slices, list->host, bytes) == 0) {
        free(slices);
        return 0;
    }
    cuda_free(list->device, (size_t)list->count * sizeof *slices);
    free(list->host);
    list->host = slices;
    list->count = count;
    list->device = (Slice *)cuda_scratch("optimizer", bytes);
    if (list->device) return cuda_write(list->device, slices, bytes);
    list->count = 0;
    return -1;
}

static int64_t slices_of(Tensor *const *tensors, int64_t count) {
    int64_t slices = 0;
    for (int64_t t = 0; t < count; t++) slices += (tensor_numel(tensors[t]) + SLICE - 1) / SLICE;
    return slices;
}

static Slice *new_slices(int64_t count) {
    Slice *slices = (Slice *)calloc((size_t)count + 1, sizeof *slices);
    if (!slices) error_null("optimizer: out of memory");
    return slices;
}

// ---- the norm -----------------------------------------------------------------------------------

static __global__ void squares_kernel(const Slice *slices, double *sums) {
    const Slice slice = slices[blockIdx.x];
    double sum = 0;
    for (int64_t i = threadIdx.x; i < slice.count; i += blockDim.x) {
        double x = (double)slice.gradient[i];
        sum += x * x;
    }
    sum = block_sum(sum);
    if (threadIdx.x == 0) sums[blockIdx.x] = sum;
}

static __global__ void total_kernel(const double *sums, int64_t count, double *total) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += sums[i];
    sum = block_sum(sum);
    if (threadIdx.x == 0) *total = sum;
}

static int squares_of(int64_t count, double *result) {
    size_t bytes = (size_t)(count + 1) * sizeof(double);
    double *sums = (double *)cuda_scratch("sum of squares", bytes);
    if (!sums) return -1;
    int status = LAUNCH(squares_kernel, (unsigned)count, BLOCK, norm_list.device, sums);
    if (status == 0) status = LAUNCH(total_kernel, 1, BLOCK, sums, count, sums + count);
    if (status == 0) status = cuda_read(result, sums + count, sizeof *result);
    cuda_free(sums, bytes);
    return status;
}

int cuda_sum_of_squares(Tensor *const *tensors, int64_t count, double *result) {
    int64_t total = slices_of(tensors, count), used = 0;
    Slice *slices = new_slices(total);
    *result = 0;
    if (!slices) return -1;
    for (int64_t t = 0; t < count; t++) {
        if (tensors[t]->dtype != F32) {
            free(slices);
            return error_int("sum of squares: %s is not f32", tensor_text(tensors[t]));
        }
        int64_t numel = tensor_numel(tensors[t]);
        for (int64_t at = 0; at < numel; at += SLICE, used++) {
            slices[used].gradient = (const float *)tensors[t]->data + at;
            slices[used].count = numel - at < SLICE ? numel - at : SLICE;
        }
    }
    if (send(&norm_list, slices, total) != 0) return -1;
    return total > 0 ? squares_of(total, result) : 0;
}

// ---- AdamW --------------------------------------------------------------------------------------

struct Factors {
    float decay, beta1, beta2, rest1, rest2, rate, root2, eps, scale;
};

static __global__ void adamw_kernel(const Slice *slices, Factors f) {
    const Slice slice = slices[blockIdx.x];
    for (int64_t i = threadIdx.x; i < slice.count; i += blockDim.x) {
        float gradient = slice.gradient[i] * f.scale;
        float m = f.beta1 * slice.m[i] + f.rest1 * gradient;
        float v = f.beta2 * slice.v[i] + f.rest2 * gradient * gradient;
        slice.m[i] = m;
        slice.v[i] = v;
        slice.p[i] = slice.p[i] * f.decay - f.rate * m / (sqrtf(v) * f.root2 + f.eps);
    }
}

static Factors factors_of(const AdamwArgs *args) {
    double step = (double)args->step;
    Factors f;
    f.decay = (float)(1 - args->lr * args->weight_decay);
    f.beta1 = (float)args->beta1;
    f.beta2 = (float)args->beta2;
    f.rest1 = (float)(1 - args->beta1);
    f.rest2 = (float)(1 - args->beta2);
    f.rate = (float)(args->lr / (1 - pow(args->beta1, step)));
    f.root2 = (float)(1 / sqrt(1 - pow(args->beta2, step)));
    f.eps = (float)args->eps;
    f.scale = (float)args->grad_scale;
    return f;
}

int cuda_adamw(const AdamwArgs *args) {
    int64_t total = slices_of(args->params, args->count), used = 0;
    Slice *slices = new_slices(total);
    if (!slices) return -1;
    for (int64_t t = 0; t < args->count; t++) {
        const Tensor *p = args->params[t];
        if (p->dtype != F32 || !p->grad || p->grad->dtype != F32) {
            free(slices);
            return error_int("adamw: %s has no f32 gradient", tensor_text(p));
        }
        int64_t numel = tensor_numel(p);
        for (int64_t at = 0; at < numel; at += SLICE) {
            slices[used].p = (float *)p->data + at;
            slices[used].m = (float *)args->m[t]->data + at;
            slices[used].v = (float *)args->v[t]->data + at;
            slices[used].gradient = (const float *)p->grad->data + at;
            slices[used++].count = numel - at < SLICE ? numel - at : SLICE;
        }
    }
    if (send(&adamw_list, slices, total) != 0) return -1;
    if (total == 0) return 0;
    return LAUNCH(adamw_kernel, (unsigned)total, BLOCK, adamw_list.device, factors_of(args));
}
