// SPDX-License-Identifier: MIT
// The tables of the CPU back ends, made from OP_LIST and FAST_LIST, and the dispatch by type.
#include "cpu/cpu.h"

#include "base/error.h"
#include "cpu/all_reduce.h"
#include "cpu/conv_table.h"
#include "cpu/conv_way.h"
#include "cpu/fast.h"
#include "cpu/memory.h"
#include "cpu/onednn.h"

#include <inttypes.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#define OP(name, inputs, outputs)                                                                \
    int cpu_##name##_forward_f32(const name##_args *args);                                       \
    int cpu_##name##_forward_f64(const name##_args *args);                                       \
    int cpu_##name##_backward_f32(const name##_args *args);                                      \
    int cpu_##name##_backward_f64(const name##_args *args);                                      \
    static int cpu_##name##_forward(const name##_args *args) {                                   \
        Dtype dtype = ((Tensor *const *)args)[inputs]->dtype;                                    \
        return dtype == F64 ? cpu_##name##_forward_f64(args) : cpu_##name##_forward_f32(args);   \
    }                                                                                            \
    static int cpu_##name##_backward(const name##_args *args) {                                  \
        Dtype dtype = ((Tensor *const *)args)[inputs]->dtype;                                    \
        return dtype == F64 ? cpu_##name##_backward_f64(args) : cpu_##name##_backward_f32(args); \
    }
OP_LIST(OP)
#undef OP

#define FAST(name)                                                                   \
    static int try_##name##_forward(const name##_args *args) {                       \
        bool f32 = *(Tensor *const *)args && (*(Tensor *const *)args)->dtype == F32; \
        int result = f32 ? fast_kernels()->name##_forward(args) : FAST_DECLINES;     \
        return result == FAST_DECLINES ? cpu_##name##_forward(args) : result;        \
    }                                                                                \
    static int try_##name##_backward(const name##_args *args) {                      \
        bool f32 = *(Tensor *const *)args && (*(Tensor *const *)args)->dtype == F32; \
        int result = f32 ? fast_kernels()->name##_backward(args) : FAST_DECLINES;    \
        return result == FAST_DECLINES ? cpu_##name##_backward(args) : result;       \
    }
FAST_LIST(FAST)
#undef FAST

static int cpu_copy(void *to, const void *from, size_t bytes) {
    memcpy(to, from, bytes);
    return 0;
}

static int cpu_fill(Tensor *tensor, double value) {
    int64_t count = tensor_numel(tensor);
    if (value == 0) {
        memset(tensor->data, 0, tensor_bytes(tensor));
        return 0;
    }
    for (int64_t i = 0; i < count; i++) {
        switch (tensor->dtype) {
        case F32:
            ((float *)tensor->data)[i] = (float)value;
            break;
        case F64:
            ((double *)tensor->data)[i] = value;
            break;
        case I32:
            ((int32_t *)tensor->data)[i] = (int32_t)value;
            break;
        case U8:
            ((uint8_t *)tensor->data)[i] = (uint8_t)value;
            break;
        default:
            return error_int("fill: not possible in %s", dtype_name(tensor->dtype));
        }
    }
    return 0;
}

static int cpu_add_to(Tensor *to, const Tensor *from) {
    int64_t count = tensor_numel(to);
    if (to->dtype == F64) {
        double *y = to->data;
        const double *x = from->data;
        for (int64_t i = 0; i < count; i++) y[i] += x[i];
        return 0;
    }
    float *y = to->data;
    const float *x = from->data;
#pragma omp parallel for simd schedule(static) if (count > 1 << 14)
    for (int64_t i = 0; i < count; i++) y[i] += x[i];
    return 0;
}

static int cpu_sum_of_squares(Tensor *const *tensors, int64_t count, double *result) {
    return fast_portable_kernels()->sum_of_squares(tensors, count, result);
}

static int cpu_clip(Tensor *const *tensors, int64_t count, double limit, Tensor *tensor) {
    StepFound *found = tensor->data;
    if (backend_current()->sum_of_squares(tensors, count, &found->square) != 0) return -1;
    double factor = limit > 0 ? limit / (sqrt(found->square) + 1e-6) : 1;
    found->scale = factor < 1 ? factor : 1;
    if (!isfinite(found->square)) found->stop = 1;
    return 0;
}

static int cpu_adamw(const AdamwArgs *args) {
    return fast_portable_kernels()->adamw(args);
}

static const Backend reference = {.name = "cpu-reference",
                                  .host_memory = true,
                                  .alloc = memory_alloc,
                                  .free = memory_free,
                                  .write = cpu_copy,
                                  .read = cpu_copy,
                                  .copy = cpu_copy,
                                  .fill = cpu_fill,
                                  .add_to = cpu_add_to,
                                  .sum_of_squares = cpu_sum_of_squares,
                                  .clip = cpu_clip,
                                  .adamw = cpu_adamw,
                                  .all_reduce = cpu_all_reduce,
                                  .stats = memory_stats,
                                  .reset_stats = memory_reset_stats,
                                  .trim = memory_trim,
#define OP(name, inputs, outputs) \
    .name##_forward = cpu_##name##_forward, .name##_backward = cpu_##name##_backward,
                                  OP_LIST(OP)
#undef OP
};

// Winograd's kernel can, as fast_winograd.h says.
static Tensor *conv2d_over(const conv2d_args *args) {
    const ConvShape s = conv_shape(args);
    if (args->x->dtype != F32 || args->options.upsample2x ||
        conv_way(CONV_FORWARD, &s, false) != WAY_WINOGRAD)
        return NULL;
    if (args->residual != NONE) return args->residual;
    return 4 * s.Co <= 3 * s.Ci ? args->x : NULL;
}

static Backend fast;
static char fast_kernels_text[128];
static bool fast_made;

static void make_fast(void) {
    fast = reference;
    fast.name = "cpu";
    const FastKernels *kernels = fast_kernels();
    const char *choices = getenv("P2S_CHOICES");
    fast_made = kernels && (!choices || !*choices || conv_table_read(choices) == 0);
    if (!fast_made) return;
    const char *limit = onednn_limit();
    char choices_text[32] = "";
    if (conv_table_digest() != 0)
        snprintf(choices_text, sizeof choices_text, " choices %016" PRIx64, conv_table_digest());
    snprintf(fast_kernels_text, sizeof fast_kernels_text, "%s%s%s%.32s", kernels->name,
             choices_text, limit ? " oneDNN at most " : "", limit ? limit : "");
    fast.kernels = fast_kernels_text;
    fast.sum_of_squares = kernels->sum_of_squares;
    fast.adamw = kernels->adamw;
    fast.conv2d_over = conv2d_over;
#define FAST(name)                              \
    fast.name##_forward = try_##name##_forward; \
    fast.name##_backward = try_##name##_backward;
    FAST_LIST(FAST)
#undef FAST
}

const Backend *cpu_backend(void) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_fast);
    if (fast_made) return &fast;
    return error_is_set() ? NULL : error_null("P2S_ISA or P2S_CHOICES cannot be followed");
}

const Backend *cpu_reference_backend(void) {
    return &reference;
}

void cpu_set_threads(int threads) {
#ifdef _OPENMP
    omp_set_num_threads(threads < 1 ? 1 : threads);
#else
    (void)threads;
#endif
}

int cpu_threads(void) {
#ifdef _OPENMP
    return omp_get_max_threads();
#else
    return 1;
#endif
}
