// SPDX-License-Identifier: MIT
// Convolution as a product with patches. See fast_patches.h.
#include "cpu/fast_patches.h"

#include "cpu/fast_kernel.h"
#include "base/error.h"
#include "cpu/memory.h"

#include <string.h>

static int64_t rows_of(const ConvShape *s) {
    return s->N * s->Ho * s->Wo;
}

static int64_t patch_of(const ConvShape *s) {
    return s->kh * s->kw * s->Ci;
}

// One result pixel's patch of x; zero outside the image.
static void gather_patch(const ConvShape *s, const float *x, int64_t row, float *patch) {
    int64_t column = row % s->Wo, line = row / s->Wo % s->Ho, image = row / s->Wo / s->Ho;
    for (int64_t i = 0; i < s->kh * s->kw; i++, patch += s->Ci) {
        int64_t h = line * s->stride - s->top + i / s->kw;
        int64_t w = column * s->stride - s->left + i % s->kw;
        if (h < 0 || h >= s->H || w < 0 || w >= s->W)
            memset(patch, 0, (size_t)s->Ci * sizeof *patch);
        else
            memcpy(patch, x + ((image * s->H + h) * s->W + w) * s->Ci,
                   (size_t)s->Ci * sizeof *patch);
    }
}

static void gather(const ConvShape *s, const float *x, float *patches) {
    int64_t rows = rows_of(s), size = patch_of(s);
#pragma omp parallel for schedule(static)
    for (int64_t row = 0; row < rows; row++) gather_patch(s, x, row, patches + row * size);
}

// What the patches hold for one pixel of x, added to it.
static void collect_pixel(const ConvShape *s, const float *patches, int64_t pixel, float *dx) {
    int64_t w = pixel % s->W, h = pixel / s->W % s->H, image = pixel / s->W / s->H;
    for (int64_t i = 0; i < s->kh * s->kw; i++) {
        int64_t line = h + s->top - i / s->kw, column = w + s->left - i % s->kw;
        if (line < 0 || column < 0 || line % s->stride || column % s->stride) continue;
        line /= s->stride, column /= s->stride;
        if (line >= s->Ho || column >= s->Wo) continue;
        int64_t row = (image * s->Ho + line) * s->Wo + column;
        const float *from = patches + row * patch_of(s) + i * s->Ci;
#pragma omp simd
        for (int64_t c = 0; c < s->Ci; c++) dx[c] += from[c];
    }
}

static void collect(const ConvShape *s, const float *patches, bool add, float *dx) {
    int64_t pixels = s->N * s->H * s->W;
#pragma omp parallel for schedule(static)
    for (int64_t pixel = 0; pixel < pixels; pixel++) {
        float *to = dx + pixel * s->Ci;
        if (!add) memset(to, 0, (size_t)s->Ci * sizeof *to);
        collect_pixel(s, patches, pixel, to);
    }
}

int ISA(patches_conv)(ConvPass pass, const ConvShape *s, bool add, float *x, float *weight,
                      float *y) {
    int64_t rows = rows_of(s), size = patch_of(s), Co = s->Co;
    size_t bytes = (size_t)(rows * size) * sizeof(float);
    float *patches = memory_alloc(bytes);
    if (!patches) return error_int("conv2d: out of memory");
    int result;
    if (pass != CONV_INPUT_GRADIENT) gather(s, x, patches);
    if (pass == CONV_FORWARD)
        result = onednn_product((Factor){patches, size, false}, (Factor){weight, size, true}, rows,
                                size, Co, 1, add, y, Co);
    else if (pass == CONV_WEIGHT_GRADIENT)
        result = onednn_product((Factor){y, Co, true}, (Factor){patches, size, false}, Co, rows,
                                size, 1, add, weight, size);
    else
        result = onednn_product((Factor){y, Co, false}, (Factor){weight, size, false}, rows, Co,
                                size, 1, false, patches, size);
    if (result == 0 && pass == CONV_INPUT_GRADIENT) collect(s, patches, add, x);
    memory_free(patches, bytes);
    return result == 0 ? 0 : error_context("conv2d");
}
