// SPDX-License-Identifier: MIT
// Fast convolution. A 1 x 1 kernel is a product over pixels; the rest is oneDNN's (onednn.h), on
// an upsampled copy of x where that is asked for.
#include "cpu/fast_kernel.h"

#include "base/error.h"
#include "cpu/fast_patches.h"
#include "cpu/fast_rows.h"
#include "cpu/memory.h"
#include "cpu/onednn.h"

#include <string.h>

static ConvShape shape_of(const conv2d_args *args) {
    const int64_t *x = args->x->shape, *weight = args->weight->shape, *y = args->y->shape;
    const Conv2dOptions *options = &args->options;
    int64_t scale = options->upsample2x ? 2 : 1;
    return (ConvShape){.N = x[0],
                       .H = scale * x[1],
                       .W = scale * x[2],
                       .Ci = x[3],
                       .Ho = y[1],
                       .Wo = y[2],
                       .Co = y[3],
                       .kh = weight[1],
                       .kw = weight[2],
                       .stride = options->stride,
                       .top = options->pad_top,
                       .left = options->pad_left,
                       .bottom = options->pad_bottom,
                       .right = options->pad_right};
}

static bool is_pointwise(const ConvShape *s, bool upsample) {
    return s->kh == 1 && s->kw == 1 && s->stride == 1 && !upsample && s->top == 0 && s->left == 0 &&
           s->bottom == 0 && s->right == 0 && onednn_exists();
}

// Winograd's algorithm does 2.25 to 4 times less arithmetic, at the price of moving every image
// into its own layout and of an error of about 1.5e-6 of the result. Where it wins, as measured on
// an AVX-512 processor: from 64 channels and 1024 pixels on (320@60x80: 850 against 348 GFLOP/s,
// 640@30x40: 626 against 347; 1280@15x20: 300 against 323, 32@64x64: 351 against 391).
static bool winograd_wins(const ConvShape *s) {
    return s->kh == 3 && s->kw == 3 && s->stride == 1 && s->top == 1 && s->left == 1 &&
           s->bottom == 1 && s->right == 1 && s->Ci % 16 == 0 && s->Co % 16 == 0 && s->Ci >= 64 &&
           s->Co >= 64 && s->N * s->Ho * s->Wo >= 1024;
}

// Whether a pass can run, and how.
static bool choose(ConvPass pass, const ConvShape *s, bool add, bool bias, bool *winograd) {
    *winograd = false;
    if (ISA(patches_win)(s)) return true;
    *winograd = winograd_wins(s) && onednn_has_conv(pass, s, true, add, bias);
    return *winograd || onednn_has_conv(pass, s, false, add, bias);
}

// x, weight and y as in onednn_conv.
static int run_pass(ConvPass pass, const ConvShape *s, bool winograd, bool add, float *x,
                    float *weight, float *y) {
    return ISA(patches_win)(s) ? ISA(patches_conv)(pass, s, add, x, weight, y)
                               : onednn_conv(pass, s, winograd, add, x, weight, NULL, y);
}

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

// ---- forward ------------------------------------------------------------------------------------

static int pointwise_forward(const conv2d_args *args, const ConvShape *s) {
    bool begun = args->bias != NONE || args->residual != NONE;
    if (begun) ISA(fast_rows_begin)(args->y, args->bias, args->residual);
    return onednn_product((Factor){args->x->data, s->Ci, false},
                          (Factor){args->weight->data, s->Ci, true}, s->N * s->Ho * s->Wo, s->Ci,
                          s->Co, 1, begun, args->y->data, s->Co);
}

int ISA(fast_conv2d_forward)(const conv2d_args *args) {
    ConvShape s = shape_of(args);
    if (is_pointwise(&s, args->options.upsample2x)) return pointwise_forward(args, &s);
    bool add = args->residual != NONE, winograd;
    if (!choose(CONV_FORWARD, &s, add, args->bias != NONE, &winograd)) return FAST_DECLINES;
    float *x = args->x->data, *wide = NULL;
    if (args->options.upsample2x) {
        wide = memory_alloc(upsampled_bytes(&s));
        if (!wide) return error_int("conv2d: out of memory");
        upsample(&s, x, wide);
        x = wide;
    }
    bool patches = ISA(patches_win)(&s), begun = add || (patches && args->bias != NONE);
    if (begun) ISA(fast_rows_begin)(args->y, patches ? args->bias : NONE, args->residual);
    int result =
        patches ? ISA(patches_conv)(CONV_FORWARD, &s, begun, x, args->weight->data, args->y->data)
                : onednn_conv(CONV_FORWARD, &s, winograd, add, x, args->weight->data,
                              args->bias->data, args->y->data);
    memory_free(wide, wide ? upsampled_bytes(&s) : 0);
    return result;
}

// ---- backward -----------------------------------------------------------------------------------

static int pointwise_backward(const conv2d_args *args, const ConvShape *s) {
    const Tensor *x = args->x, *weight = args->weight;
    const float *dy = args->y->grad->data;
    int64_t rows = s->N * s->Ho * s->Wo;
    int result = 0;
    if (x->needs_grad)
        result = onednn_product((Factor){dy, s->Co, false}, (Factor){weight->data, s->Ci, false},
                                rows, s->Co, s->Ci, 1, x->has_grad, x->grad->data, s->Ci);
    if (result == 0 && weight->needs_grad)
        result = onednn_product((Factor){dy, s->Co, true}, (Factor){x->data, s->Ci, false}, s->Co,
                                rows, s->Ci, 1, weight->has_grad, weight->grad->data, s->Ci);
    return result;
}

// The two gradients of one call; `wide` has room for the upsampled x or its gradient, and is NULL
// without upsampling.
typedef struct {
    bool input, weight, add_input, add_weight; // wanted; added in the pass itself
    bool winograd_input, winograd_weight;
    float *wide;
} Passes;

static int input_backward(const conv2d_args *args, const ConvShape *s, const Passes *p) {
    const Tensor *x = args->x;
    int result =
        run_pass(CONV_INPUT_GRADIENT, s, p->winograd_input, p->add_input,
                 p->wide ? p->wide : x->grad->data, args->weight->data, args->y->grad->data);
    if (result == 0 && p->wide) sum_pixels(s, p->wide, x->grad->data, x->has_grad);
    return result;
}

static int weight_backward(const conv2d_args *args, const ConvShape *s, const Passes *p) {
    if (p->wide) upsample(s, args->x->data, p->wide);
    return run_pass(CONV_WEIGHT_GRADIENT, s, p->winograd_weight, p->add_weight,
                    p->wide ? p->wide : args->x->data, args->weight->grad->data,
                    args->y->grad->data);
}

static int window_backward(const conv2d_args *args, const ConvShape *s) {
    bool upsamples = args->options.upsample2x;
    Passes p = {.input = args->x->needs_grad,
                .weight = args->weight->needs_grad,
                .add_input = args->x->has_grad && !upsamples,
                .add_weight = args->weight->has_grad};
    if ((p.input && !choose(CONV_INPUT_GRADIENT, s, p.add_input, false, &p.winograd_input)) ||
        (p.weight && !choose(CONV_WEIGHT_GRADIENT, s, p.add_weight, false, &p.winograd_weight)))
        return FAST_DECLINES;
    if (!p.input && !p.weight) return 0;
    p.wide = upsamples ? memory_alloc(upsampled_bytes(s)) : NULL;
    if (upsamples && !p.wide) return error_int("conv2d: out of memory");
    int result = p.input ? input_backward(args, s, &p) : 0;
    if (result == 0 && p.weight) result = weight_backward(args, s, &p);
    memory_free(p.wide, upsamples ? upsampled_bytes(s) : 0);
    return result;
}

int ISA(fast_conv2d_backward)(const conv2d_args *args) {
    ConvShape s = shape_of(args);
    int result = is_pointwise(&s, args->options.upsample2x) ? pointwise_backward(args, &s)
                                                            : window_backward(args, &s);
    return result == 0 ? ISA(fast_rows_backward)(args->y, args->bias, args->residual) : result;
}
