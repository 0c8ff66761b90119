// SPDX-License-Identifier: MIT
// AdamW and the global gradient norm. All tensors count as one row of elements, cut into pieces of
// fixed size, so that many small tensors keep all threads busy and the result does not depend on
// how many there are.
#include "cpu/fast_kernel.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

enum { PIECE = 1 << 14 };

// Tensor t holds the elements starts[t] to starts[t + 1] of the row.
static int64_t *starts_of(Tensor *const *tensors, int64_t count) {
    int64_t *starts = malloc((size_t)(count + 1) * sizeof *starts);
    if (!starts) return error_null("optimizer: out of memory");
    starts[0] = 0;
    for (int64_t t = 0; t < count; t++) starts[t + 1] = starts[t] + tensor_numel(tensors[t]);
    return starts;
}

// A stretch of one tensor inside a piece.
typedef struct {
    int64_t tensor, first, length;
} Stretch;

// The tensor that holds element `at`.
static int64_t holder_of(const int64_t *starts, int64_t count, int64_t at) {
    int64_t low = 0, high = count;
    while (high - low > 1) {
        int64_t middle = (low + high) / 2;
        if (starts[middle] <= at)
            low = middle;
        else
            high = middle;
    }
    return low;
}

// The stretch that begins at element `at` and ends before `end`.
static Stretch stretch_at(const int64_t *starts, int64_t tensor, int64_t at, int64_t end) {
    int64_t stop = starts[tensor + 1] < end ? starts[tensor + 1] : end;
    return (Stretch){tensor, at - starts[tensor], stop - at};
}

static double squares(const float *x, int64_t count) {
    double sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += (double)x[i] * (double)x[i];
    return sum;
}

int ISA(fast_sum_of_squares)(Tensor *const *tensors, int64_t count, double *result) {
    *result = 0;
    for (int64_t t = 0; t < count; t++)
        if (tensors[t]->dtype != F32)
            return error_int("sum of squares: %s is not f32", tensor_text(tensors[t]));
    int64_t *starts = starts_of(tensors, count);
    if (!starts) return -1;
    int64_t total = starts[count], pieces = (total + PIECE - 1) / PIECE;
    double *sums = calloc((size_t)(pieces + 1), sizeof *sums);
    if (sums) {
#pragma omp parallel for schedule(static) if (pieces > 1)
        for (int64_t piece = 0; piece < pieces; piece++) {
            int64_t at = piece * PIECE, end = at + PIECE < total ? at + PIECE : total;
            for (int64_t t = holder_of(starts, count, at); at < end; at = starts[++t]) {
                Stretch s = stretch_at(starts, t, at, end);
                sums[piece] += squares((const float *)tensors[t]->data + s.first, s.length);
            }
        }
        for (int64_t piece = 0; piece < pieces; piece++) *result += sums[piece];
    }
    free(starts);
    free(sums);
    return sums ? 0 : error_int("sum of squares: out of memory");
}

typedef struct {
    float decay, beta1, beta2, rest1, rest2, rate, root2, eps, scale;
} Factors;

static void update(float *restrict p, float *restrict m, float *restrict v, const float *restrict g,
                   int64_t count, const Factors *factors) {
    const Factors f = *factors;
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float grad = g[i] * f.scale;
        m[i] = f.beta1 * m[i] + f.rest1 * grad;
        v[i] = f.beta2 * v[i] + f.rest2 * grad * grad;
        p[i] = p[i] * f.decay - f.rate * m[i] / (__builtin_sqrtf(v[i]) * f.root2 + f.eps);
    }
}

// Of every tensor.
static Factors *factors_of(const AdamwArgs *args) {
    const StepGiven *given = args->given->data;
    const StepFound *found = args->found->data;
    Factors *factors = malloc((size_t)(args->count + 1) * sizeof *factors);
    if (!factors) return error_null("optimizer: out of memory");
    double rest1 = 1 - pow(args->beta1, given->number), rest2 = 1 - pow(args->beta2, given->number);
    for (int64_t t = 0; t < args->count; t++) {
        double lr = args->rates[t] * given->lr;
        factors[t] = (Factors){
            .decay = (float)(1 - lr * args->weight_decay),
            .beta1 = (float)args->beta1,
            .beta2 = (float)args->beta2,
            .rest1 = (float)(1 - args->beta1),
            .rest2 = (float)(1 - args->beta2),
            .rate = (float)(lr / rest1),
            .root2 = (float)(1 / sqrt(rest2)),
            .eps = (float)args->eps,
            .scale = (float)found->scale,
        };
    }
    return factors;
}

int ISA(fast_adamw)(const AdamwArgs *args) {
    for (int64_t t = 0; t < args->count; t++)
        if (args->params[t]->dtype != F32 || !args->params[t]->grad)
            return error_int("adamw: %s has no f32 gradient", tensor_text(args->params[t]));
    if (((const StepFound *)args->found->data)->stop != 0) return 0;
    int64_t *starts = starts_of(args->params, args->count);
    Factors *factors = factors_of(args);
    if (!starts || !factors) {
        free(starts);
        free(factors);
        return -1;
    }
    int64_t total = starts[args->count], pieces = (total + PIECE - 1) / PIECE;
#pragma omp parallel for schedule(static) if (pieces > 1)
    for (int64_t piece = 0; piece < pieces; piece++) {
        int64_t at = piece * PIECE, end = at + PIECE < total ? at + PIECE : total;
        for (int64_t t = holder_of(starts, args->count, at); at < end; at = starts[++t]) {
            Stretch s = stretch_at(starts, t, at, end);
            update((float *)args->params[t]->data + s.first, (float *)args->m[t]->data + s.first,
                   (float *)args->v[t]->data + s.first,
                   (const float *)args->params[t]->grad->data + s.first, s.length, &factors[t]);
        }
    }
    free(starts);
    free(factors);
    return 0;
}
