// SPDX-License-Identifier: MIT
// Convolution as its definition says: y(oy, ox) sums weight(ky, kx) x(oy stride + ky - pad_top,
// ...) over the kernel; an upsampled x is read at half the coordinates.
#include "autograd/backend.h"
#include "cpu/kernel.h"
#include "cpu/product.h"

// Where in x [N,rows,columns,Ci] (or dx) the pixel lies that weight position (ky, kx) meets at
// output (oy, ox); -1 in the padding. x: its shape; rows may be H or, upsampled, H / 2.
static int64_t input_offset(const ConvShape *s, const int64_t *x, int64_t n, int64_t oy, int64_t ox,
                            int64_t ky, int64_t kx) {
    int64_t row = oy * s->stride + ky - s->top, column = ox * s->stride + kx - s->left;
    if (row < 0 || row >= s->H || column < 0 || column >= s->W) return -1;
    return ((n * x[1] + row * x[1] / s->H) * x[2] + column * x[2] / s->W) * s->Ci;
}

static void forward_pixel(const ConvShape *s, const int64_t *sides, const real *x,
                          const real *weight, int64_t n, int64_t oy, int64_t ox, real *y) {
    for (int64_t ky = 0; ky < s->kh; ky++)
        for (int64_t kx = 0; kx < s->kw; kx++) {
            int64_t offset = input_offset(s, sides, n, oy, ox, ky, kx);
            if (offset < 0) continue;
            for (int64_t co = 0; co < s->Co; co++)
                y[co] += dot(x + offset, weight + ((co * s->kh + ky) * s->kw + kx) * s->Ci, s->Ci);
        }
}

int CPU(conv2d_forward)(const conv2d_args *args) {
    ConvShape s = conv_shape(args);
    const real *x = values(args->x), *weight = values(args->weight);
    const real *bias = args->bias == NONE ? NULL : values(args->bias);
    const real *residual = args->residual == NONE ? NULL : values(args->residual);
    real *y = values(args->y);
#pragma omp parallel for schedule(static)
    for (int64_t pixel = 0; pixel < s.N * s.Ho * s.Wo; pixel++) {
        real *to = y + pixel * s.Co;
        for (int64_t co = 0; co < s.Co; co++)
            to[co] = (bias ? bias[co] : 0) + (residual ? residual[pixel * s.Co + co] : 0);
        forward_pixel(&s, args->x->shape, x, weight, pixel / (s.Wo * s.Ho), pixel / s.Wo % s.Ho,
                      pixel % s.Wo, to);
    }
    return 0;
}

// One input image's gradient: every output pixel is sent back to where it came from.
static void backward_image(const ConvShape *s, const int64_t *sides, const real *dy,
                           const real *weight, int64_t n, real *dx) {
    for (int64_t oy = 0; oy < s->Ho; oy++)
        for (int64_t ox = 0; ox < s->Wo; ox++)
            for (int64_t ky = 0; ky < s->kh; ky++)
                for (int64_t kx = 0; kx < s->kw; kx++) {
                    int64_t offset = input_offset(s, sides, n, oy, ox, ky, kx);
                    if (offset < 0) continue;
                    const real *from = dy + ((n * s->Ho + oy) * s->Wo + ox) * s->Co;
                    for (int64_t co = 0; co < s->Co; co++)
                        add_scaled(dx + offset, weight + ((co * s->kh + ky) * s->kw + kx) * s->Ci,
                                   from[co], s->Ci);
                }
}

// One output channel's weights.
static void backward_channel(const ConvShape *s, const int64_t *sides, const real *dy,
                             const real *x, int64_t co, real *dweight) {
    for (int64_t n = 0; n < s->N; n++)
        for (int64_t oy = 0; oy < s->Ho; oy++)
            for (int64_t ox = 0; ox < s->Wo; ox++)
                for (int64_t ky = 0; ky < s->kh; ky++)
                    for (int64_t kx = 0; kx < s->kw; kx++) {
                        int64_t offset = input_offset(s, sides, n, oy, ox, ky, kx);
                        if (offset < 0) continue;
                        add_scaled(dweight + ((co * s->kh + ky) * s->kw + kx) * s->Ci, x + offset,
                                   dy[((n * s->Ho + oy) * s->Wo + ox) * s->Co + co], s->Ci);
                    }
}

int CPU(conv2d_backward)(const conv2d_args *args) {
    ConvShape s = conv_shape(args);
    const real *dy = gradient(args->y);
    if (args->x->needs_grad) {
        real *dx = gradient(args->x);
        if (!args->x->has_grad) set_zero(dx, tensor_numel(args->x));
#pragma omp parallel for schedule(static)
        for (int64_t n = 0; n < s.N; n++)
            backward_image(&s, args->x->shape, dy, values(args->weight), n, dx);
    }
    if (args->weight->needs_grad) {
        real *dweight = gradient(args->weight);
        if (!args->weight->has_grad) set_zero(dweight, tensor_numel(args->weight));
#pragma omp parallel for schedule(static)
        for (int64_t co = 0; co < s.Co; co++)
            backward_channel(&s, args->x->shape, dy, values(args->x), co, dweight);
    }
    bias_backward(args->bias, args->y);
    residual_backward(args->residual, args->y);
    return 0;
}
