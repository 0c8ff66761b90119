// SPDX-License-Identifier: MIT
// AdamW and the global gradient norm over all tensors at once: a list of tensors lies on the
// device, and each block works on one slice of one of them.
#include "cuda/kernels.h"
#include "cuda/kernel.cuh"
#include "cuda/record.h"
#include "cuda/rounded.h"

#include <stdlib.h>
#include <string.h>

constexpr int64_t SLICE = 1 << 16; // elements of a block

struct Slice {
    float *p, *m, *v;
    const float *gradient;
    Bf16 *rounded; // the values of p, rounded; or NULL
    int64_t count;
    double rate; // times the learning rate
};

// A list that was uploaded once. It seldom changes: the same tensors are trained at every step.
// Each user has its own, so that recorded work finds the one it was recorded with.
struct SliceList {
    Slice *host, *device;
    int64_t count;
};

static SliceList norm_list, clip_list, adamw_list;

static void drop(SliceList *list) {
    cuda_free(list->device, (size_t)list->count * sizeof *list->host);
    free(list->host);
    *list = {};
}

// Puts `slices` (taken over) on the device, unless they are there already.
static int send(SliceList *list, Slice *slices, int64_t count) {
    size_t bytes = (size_t)count * sizeof *slices;
    if (count == list->count && (count == 0 || memcmp(slices, list->host, bytes) == 0)) {
        free(slices);
        return 0;
    }
    if (record_forbids("a list of tensors is written") != 0) {
        free(slices);
        return -1;
    }
    // Recorded work may name what is given back now; not the norm's, which the host reads.
    if (list->device && list != &norm_list) cuda_record_forget();
    drop(list);
    list->host = slices;
    list->count = count;
    list->device = (Slice *)cuda_scratch("optimizer", bytes);
    if (list->device && cuda_write(list->device, slices, bytes) == 0) return 0;
    drop(list);
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

// The slices of tensors [count], in a list; returns how many, or -1.
static int64_t send_tensors(SliceList *list, Tensor *const *tensors, int64_t count) {
    int64_t total = slices_of(tensors, count), used = 0;
    Slice *slices = new_slices(total);
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
    return send(list, slices, total) == 0 ? total : -1;
}

// *result, on the device.
static int squares_of(const SliceList *list, int64_t count, double *sums, double *result) {
    if (LAUNCH(squares_kernel, (unsigned)count, BLOCK, list->device, sums) != 0) return -1;
    return LAUNCH(total_kernel, 1, BLOCK, sums, count, result);
}

int cuda_sum_of_squares(Tensor *const *tensors, int64_t count, double *result) {
    int64_t total = send_tensors(&norm_list, tensors, count);
    size_t bytes = (size_t)(total + 1) * sizeof(double);
    *result = 0;
    if (total <= 0) return (int)total;
    double *sums = (double *)cuda_scratch("sum of squares", bytes);
    if (!sums) return -1;
    int status = squares_of(&norm_list, total, sums, sums + total);
    if (status == 0) status = cuda_read(result, sums + total, sizeof *result);
    cuda_free(sums, bytes);
    return status;
}

// ---- clipping -----------------------------------------------------------------------------------

static __global__ void clip_kernel(StepFound *found, double limit) {
    double factor = limit > 0 ? limit / (sqrt(found->square) + 1e-6) : 1;
    found->scale = factor < 1 ? factor : 1;
    if (!isfinite(found->square)) found->stop = 1;
}

int cuda_clip(Tensor *const *tensors, int64_t count, double limit, Tensor *tensor) {
    StepFound *found = (StepFound *)tensor->data;
    int64_t total = send_tensors(&clip_list, tensors, count);
    if (total < 0) return -1;
    if (total == 0) return device_set(&found->square, 0, 2 * sizeof(double));
    size_t bytes = (size_t)total * sizeof(double);
    double *sums = (double *)cuda_scratch("clip", bytes);
    if (!sums) return -1;
    int status = squares_of(&clip_list, total, sums, &found->square);
    if (status == 0) status = LAUNCH(clip_kernel, 1, 1, found, limit);
    cuda_free(sums, bytes);
    return status;
}

static __global__ void note_loss_kernel(StepFound *found, const float *loss, double share,
                                        bool first) {
    double value = (double)*loss;
    found->loss = (first ? 0 : found->loss) + share * value;
    if (!isfinite(value)) found->stop = 1;
}

int cuda_note_loss(const Tensor *loss, double share, bool first, Tensor *found) {
    if (loss->dtype != F32 || tensor_numel(loss) != 1)
        return error_int("note_loss: %s is not one f32", tensor_text(loss));
    return LAUNCH(note_loss_kernel, 1, 1, (StepFound *)found->data, values<float>(loss), share,
                  first);
}

// ---- AdamW --------------------------------------------------------------------------------------

// What is the same for all elements: from the arguments, and from what changes from step to step.
struct Moments {
    float beta1, beta2, rest1, rest2, eps;
    double weight_decay;
};
struct Factors {
    double lr, correction; // 1 - beta1^t
    float root2, scale;
    bool stop;
};

static __global__ void factors_kernel(const StepGiven *given, const StepFound *found, double beta1,
                                      double beta2, Factors *f) {
    f->lr = given->lr;
    f->correction = 1 - pow(beta1, given->number);
    f->root2 = (float)(1 / sqrt(1 - pow(beta2, given->number)));
    f->scale = (float)found->scale;
    f->stop = found->stop != 0;
}

static __global__ void adamw_kernel(const Slice *slices, const Factors *factors, Moments k) {
    const Slice slice = slices[blockIdx.x];
    const Factors f = *factors;
    if (f.stop) return;
    const float decay = (float)(1 - slice.rate * f.lr * k.weight_decay);
    const float rate = (float)(slice.rate * f.lr / f.correction);
    for (int64_t i = threadIdx.x; i < slice.count; i += blockDim.x) {
        float gradient = slice.gradient[i] * f.scale;
        float m = k.beta1 * slice.m[i] + k.rest1 * gradient;
        float v = k.beta2 * slice.v[i] + k.rest2 * gradient * gradient;
        slice.m[i] = m;
        slice.v[i] = v;
        float p = slice.p[i] * decay - rate * m / (sqrtf(v) * f.root2 + k.eps);
        slice.p[i] = p;
        if (slice.rounded) slice.rounded[i] = Stored<Bf16>::of(p);
    }
}

static Slice *adamw_slices(const AdamwArgs *args, int64_t total) {
    int64_t used = 0;
    Slice *slices = new_slices(total);
    for (int64_t t = 0; slices && t < args->count; t++) {
        const Tensor *p = args->params[t];
        if (p->dtype != F32 || !p->grad || p->grad->dtype != F32) {
            free(slices);
            error_int("adamw: %s has no f32 gradient", tensor_text(p));
            return NULL;
        }
        int64_t numel = tensor_numel(p);
        Bf16 *rounded = (Bf16 *)rounded_find(p->data);
        for (int64_t at = 0; at < numel; at += SLICE) {
            slices[used].p = (float *)p->data + at;
            slices[used].rounded = rounded ? rounded + at : NULL;
            slices[used].m = (float *)args->m[t]->data + at;
            slices[used].v = (float *)args->v[t]->data + at;
            slices[used].gradient = (const float *)p->grad->data + at;
            slices[used].rate = args->rates[t];
            slices[used++].count = numel - at < SLICE ? numel - at : SLICE;
        }
    }
    return slices;
}

int cuda_adamw(const AdamwArgs *args) {
    int64_t total = slices_of(args->params, args->count);
    Slice *slices = adamw_slices(args, total);
    Moments k = {};
    if (!slices || send(&adamw_list, slices, total) != 0) return -1;
    if (total == 0) return 0;
    k.beta1 = (float)args->beta1;
    k.beta2 = (float)args->beta2;
    k.rest1 = (float)(1 - args->beta1);
    k.rest2 = (float)(1 - args->beta2);
    k.eps = (float)args->eps;
    k.weight_decay = args->weight_decay;
    Factors *factors = (Factors *)cuda_scratch("adamw", sizeof *factors);
    if (!factors) return -1;
    int status = LAUNCH(factors_kernel, 1, 1, (const StepGiven *)args->given->data,
                        (const StepFound *)args->found->data, args->beta1, args->beta2, factors);
    if (status == 0)
        status = LAUNCH(adamw_kernel, (unsigned)total, BLOCK, adamw_list.device, factors, k);
    cuda_free(factors, sizeof *factors);
    return status;
}
