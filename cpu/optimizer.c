// SPDX-License-Identifier: MIT
// AdamW and the global gradient norm. Sums run over blocks of fixed size, so that the result does
// not depend on the number of threads.
#include "cpu/optimizer.h"

#include <math.h>
#include <stdlib.h>

#include "base/error.h"

enum { BLOCK = 1 << 16 };

static double block_sum(const float *x, int64_t count) {
    double lanes[8] = {0};
    int64_t i = 0;
    for (; i + 8 <= count; i += 8)
        for (int k = 0; k < 8; k++) lanes[k] += (double)x[i + k] * (double)x[i + k];
    double sum = 0;
    for (; i < count; i++) sum += (double)x[i] * (double)x[i];
    for (int k = 0; k < 8; k++) sum += lanes[k];
    return sum;
}

int cpu_sum_of_squares(Tensor *const *tensors, int64_t count, double *result) {
    *result = 0;
    for (int64_t t = 0; t < count; t++) {
        if (tensors[t]->dtype != F32)
            return error_int("sum of squares: %s is not f32", tensor_text(tensors[t]));
        const float *x = tensors[t]->data;
        int64_t elements = tensor_numel(tensors[t]), blocks = (elements + BLOCK - 1) / BLOCK;
        double *sums = malloc((size_t)(blocks + 1) * sizeof *sums);
        if (!sums) return error_int("sum of squares: out of memory");
#pragma omp parallel for schedule(static) if (blocks > 1)
        for (int64_t b = 0; b < blocks; b++) {
            int64_t left = elements - b * BLOCK;
            sums[b] = block_sum(x + b * BLOCK, left < BLOCK ? left : BLOCK);
        }
        for (int64_t b = 0; b < blocks; b++) *result += sums[b];
        free(sums);
    }
    return 0;
}

typedef struct {
    float decay, beta1, beta2, rest1, rest2, rate, root2, eps, scale;
} Factors;

static void update(float *restrict p, float *restrict m, float *restrict v, const float *restrict g,
                   int64_t count, const Factors *f) {
#pragma omp simd
    for (int64_t i = 0; i < count; i++) {
        float grad = g[i] * f->scale;
        m[i] = f->beta1 * m[i] + f->rest1 * grad;
        v[i] = f->beta2 * v[i] + f->rest2 * grad * grad;
        p[i] = p[i] * f->decay - f->rate * m[i] / (sqrtf(v[i]) * f->root2 + f->eps);
    }
}

int cpu_adamw(const AdamwArgs *args) {
    double step = (double)args->step;
    Factors factors = {
        .decay = (float)(1 - args->lr * args->weight_decay),
        .beta1 = (float)args->beta1,
        .beta2 = (float)args->beta2,
        .rest1 = (float)(1 - args->beta1),
        .rest2 = (float)(1 - args->beta2),
        .rate = (float)(args->lr / (1 - pow(args->beta1, step))),
        .root2 = (float)(1 / sqrt(1 - pow(args->beta2, step))),
        .eps = (float)args->eps,
        .scale = (float)args->grad_scale,
    };
    for (int64_t t = 0; t < args->count; t++) {
        Tensor *p = args->params[t], *m = args->m[t], *v = args->v[t];
        if (p->dtype != F32 || !p->grad)
            return error_int("adamw: %s has no f32 gradient", tensor_text(p));
        int64_t elements = tensor_numel(p), blocks = (elements + BLOCK - 1) / BLOCK;
#pragma omp parallel for schedule(static) if (blocks > 1)
        for (int64_t b = 0; b < blocks; b++) {
            int64_t at = b * BLOCK, left = elements - at;
            update((float *)p->data + at, (float *)m->data + at, (float *)v->data + at,
                   (float *)p->grad->data + at, left < BLOCK ? left : BLOCK, &factors);
        }
    }
    return 0;
}
