// SPDX-License-Identifier: MIT
// Fast convolution: each pass by the way that conv_way.h names. Patches and the library work on an
// upsampled copy of x where that is asked for.
#include "base/error.h"
#include "cpu/conv_way.h"
#include "cpu/fast_kernel.h"
#include "cpu/fast_patches.h"
#include "cpu/fast_rows.h"
#include "cpu/fast_winograd.h"
#include "cpu/memory.h"

#include <string.h>

// ---- upsampling by repetition -------------------------------------------------------------------

static size_t upsampled_bytes(const ConvShape *s) {
    return (size_t)(s->N * s->H * s->W * s->Ci) * sizeof(float);
}

// x [N,H/2,W/2,C] -> wide [N,H,W,C].
static void upsample(const ConvShape *s, const float *x, float *wide) {
    int64_t row_size = s->W * s->Ci, pixel = s->Ci;
#pragma omp parallel for schedule(static) if (s->N * s->H * row_size > FAST_PARALLEL)
    for (int64_t row = 0; row < s->N * s->H / 2; row++) {
        float *to = wide + 2 * row * row_size;
        const float *from = x + row * (row_size / 2);
        for (int64_t column = 0; column < s->W; column++)
            memcpy(to + column * pixel, from + column / 2 * pixel, (size_t)pixel * sizeof *to);
        memcpy(to + row_size, to, (size_t)row_size * sizeof *to);
    }
}

// dx [N,H/2,W/2,C] = the sums of the 2 x 2 pixels of wide [N,H,W,C], or added to dx.
static void sum_pixels(const ConvShape *s, const float *wide, float *dx, bool add) {
    int64_t row_size = s->W * s->Ci, C = s->Ci;
#pragma omp parallel for schedule(static) if (s->N * s->H * row_size > FAST_PARALLEL)
    for (int64_t row = 0; row < s->N * s->H / 2; row++) {
        const float *above = wide + 2 * row * row_size, *below = above + row_size;
        float *to = dx + row * (row_size / 2);
        for (int64_t column = 0; column < s->W / 2;
             column++, above += 2 * C, below += 2 * C, to += C)
#pragma omp simd
            for (int64_t c = 0; c < C; c++) {
                float sum = (above[c] + above[C + c]) + (below[c] + below[C + c]);
                to[c] = add ? to[c] + sum : sum;
            }
    }
}

// ---- one pass -----------------------------------------------------------------------------------

// A pass as in onednn_conv, on maps of the shape's own size.
static int run_plain(ConvWay way, ConvPass pass, const ConvShape *s, bool add, float *x,
                     float *weight, float *y) {
    return way == WAY_PATCHES ? ISA(patches_conv)(pass, s, add, x, weight, y)
                              : onednn_conv(pass, s, add, x, weight, NULL, y);
}

// The same where x is stored at half the sides.
static int run_upsampled(ConvWay way, ConvPass pass, const ConvShape *s, bool add, float *x,
                         float *weight, float *y) {
    bool to_x = pass == CONV_INPUT_GRADIENT;
    float *wide = memory_alloc(upsampled_bytes(s));
    if (!wide) return error_int("conv2d: out of memory");
    if (!to_x) upsample(s, x, wide);
    int result = run_plain(way, pass, s, to_x ? false : add, wide, weight, y);
    if (result == 0 && to_x) sum_pixels(s, wide, x, add);
    memory_free(wide, upsampled_bytes(s));
    return result;
}

// x [rows,Ci], weight [Co,Ci], y [rows,Co]
static int multiply(ConvPass pass, const ConvShape *s, bool add, float *x, float *weight,
                    float *y) {
    int64_t rows = s->N * s->Ho * s->Wo, Ci = s->Ci, Co = s->Co;
    if (pass == CONV_FORWARD)
        return onednn_product((Factor){x, Ci, false}, (Factor){weight, Ci, true}, rows, Ci, Co, 1,
                              add, y, Co);
    if (pass == CONV_INPUT_GRADIENT)
        return onednn_product((Factor){y, Co, false}, (Factor){weight, Ci, false}, rows, Co, Ci, 1,
                              add, x, Ci);
    return onednn_product((Factor){y, Co, true}, (Factor){x, Ci, false}, Co, rows, Ci, 1, add,
                          weight, Ci);
}

static int run_product(ConvPass pass, const ConvShape *s, bool add, float *x, float *weight,
                       float *y) {
    return multiply(pass, s, add, x, weight, y) == 0 ? 0 : error_context("conv2d");
}

static int run_pass(ConvWay way, ConvPass pass, const ConvShape *s, bool upsampled, bool add,
                    float *x, float *weight, float *y) {
    if (way == WAY_PRODUCT) return run_product(pass, s, add, x, weight, y);
    if (way == WAY_WINOGRAD) {
        float *written = pass == CONV_FORWARD ? y : pass == CONV_INPUT_GRADIENT ? x : weight;
        return ISA(winograd_conv)(pass, s, upsampled, x, weight, y, NULL, add ? written : NULL);
    }
    return upsampled ? run_upsampled(way, pass, s, add, x, weight, y)
                     : run_plain(way, pass, s, add, x, weight, y);
}

// ---- kernels ------------------------------------------------------------------------------------

int ISA(fast_conv2d_forward)(const conv2d_args *args) {
    ConvShape s = conv_shape(args);
    bool upsampled = args->options.upsample2x;
    ConvWay way = conv_way(CONV_FORWARD, &s, upsampled);
    if (way == WAY_REFERENCE) return FAST_DECLINES;
    float *x = args->x->data, *weight = args->weight->data, *y = args->y->data;
    const float *bias = args->bias->data, *residual = args->residual->data;
    if (way == WAY_WINOGRAD)
        return ISA(winograd_conv)(CONV_FORWARD, &s, upsampled, x, weight, y, bias, residual);
    if (way == WAY_LIBRARY && !residual && !upsampled)
        return onednn_conv(CONV_FORWARD, &s, false, x, weight, bias, y);
    bool begun = bias || residual;
    if (begun) ISA(fast_rows_begin)(args->y, args->bias, args->residual);
    return run_pass(way, CONV_FORWARD, &s, upsampled, begun, x, weight, y);
}

int ISA(fast_conv2d_backward)(const conv2d_args *args) {
    const Tensor *x = args->x, *weight = args->weight;
    ConvShape s = conv_shape(args);
    bool upsampled = args->options.upsample2x;
    float *dy = args->y->grad->data;
    ConvWay to_x = x->needs_grad ? conv_way(CONV_INPUT_GRADIENT, &s, upsampled) : WAY_COUNT;
    ConvWay to_weight =
        weight->needs_grad ? conv_way(CONV_WEIGHT_GRADIENT, &s, upsampled) : WAY_COUNT;
    if (to_x == WAY_REFERENCE || to_weight == WAY_REFERENCE) return FAST_DECLINES;
    int result = 0;
    if (to_x != WAY_COUNT)
        result = run_pass(to_x, CONV_INPUT_GRADIENT, &s, upsampled, x->has_grad, x->grad->data,
                          weight->data, dy);
    const bool written = result == 0 && to_x != WAY_COUNT; // too late to decline
    if (result == 0 && to_weight != WAY_COUNT)
        result = run_pass(to_weight, CONV_WEIGHT_GRADIENT, &s, upsampled, weight->has_grad, x->data,
                          weight->grad->data, dy);
    if (result == FAST_DECLINES && written)
        result = error_int("conv2d: oneDNN cannot run the weight gradient");
    return result == 0 ? ISA(fast_rows_backward)(args->y, args->bias, args->residual) : result;
}
