// SPDX-License-Identifier: MIT
// The coloring loss, forward and gradient in one sweep over pixels x regions. Pixels are swept in a
// fixed number of blocks, each with its own sums, so that the result does not depend on the number
// of threads. See coloring_regions.h for the terms; the fast kernel brings its own sweep.
#include "cpu/coloring_regions.h"
#include "cpu/kernel.h"

#include <math.h>
#include <stdlib.h>

enum { BLOCKS = 16 };

typedef CPU(coloring_sweep) Sweep;

static double clip(double x) {
    return x < -1 ? -1 : x > 1 ? 1 : x;
}

static double huber(double x) {
    return fabs(x) < 1 ? 0.5 * x * x : fabs(x) - 0.5;
}

// The terms of one pixel; adds its gradient to dp and its part of every dmean to dmeans.
static double pixel_terms(const ColoringImage *image, int32_t own, const real *pixel, double *dp,
                          double (*dmeans)[3]) {
    double loss = 0;
    for (int64_t r = 0; r < image->count; r++) {
        const ColoringRegion *region = &image->regions[r];
        double d[3], q = 1;
        if (r == own || region->separation == 0) continue;
        for (int c = 0; c < 3; c++) {
            d[c] = (double)pixel[c] - region->mean[c];
            q += d[c] * d[c];
        }
        q = 1 / q;
        loss += region->separation * q;
        for (int c = 0; c < 3; c++) {
            double slope = -2 * region->separation * q * q * d[c];
            dp[c] += slope;
            dmeans[r][c] -= slope;
        }
    }
    if (own == REGION_OTHER) return loss;
    const ColoringRegion *region = &image->regions[own];
    for (int c = 0; c < 3; c++) {
        double d = (double)pixel[c] - region->mean[c];
        loss += region->variance * huber(d);
        dp[c] += region->variance * clip(d);
        dmeans[own][c] -= region->variance * clip(d);
    }
    return loss;
}

// Sums of one block of pixels.
static double sweep(const ColoringImage *image, const int32_t *labels, const real *prediction,
                    real *dprediction, int64_t begin, int64_t end, double (*dmeans)[3]) {
    double loss = 0;
    for (int64_t i = begin; i < end; i++) {
        double dp[3] = {0, 0, 0};
        int32_t own = coloring_region(image, labels[i]);
        if (own != REGION_IGNORED) loss += pixel_terms(image, own, prediction + 3 * i, dp, dmeans);
        for (int c = 0; c < 3; c++) dprediction[3 * i + c] = (real)dp[c];
    }
    return loss;
}

// Adds what reaches a pixel through its region's mean, and scales. Leaves each pixel's share in
// dmean.
static void finish(const ColoringImage *image, const int32_t *labels, real *dprediction,
                   int64_t pixels) {
    for (int64_t r = 0; r < image->count; r++)
        for (int c = 0; c < 3 && image->regions[r].size > 0; c++)
            image->regions[r].dmean[c] /= (double)image->regions[r].size;
#pragma omp parallel for schedule(static) if (pixels > 1 << 14)
    for (int64_t i = 0; i < pixels; i++) {
        int32_t own = coloring_region(image, labels[i]);
        const ColoringRegion *region = own >= 0 ? &image->regions[own] : NULL;
        for (int c = 0; c < 3; c++) {
            double d = (double)dprediction[3 * i + c];
            if (region && !region->black) d += region->dmean[c];
            dprediction[3 * i + c] = (real)(image->scale * d);
        }
    }
}

// The loss of one image, `scale` included. Neighbouring blocks go to one thread: two that touch a
// fresh huge page at once both clear one.
static double image_loss(const coloring_loss_args *args, Sweep *sweep_block, ColoringImage *image,
                         int64_t index, double (*dmeans)[3]) {
    int64_t pixels = args->labels->shape[1] * args->labels->shape[2];
    const int32_t *labels = (const int32_t *)args->labels->data + index * pixels;
    const real *prediction = values(args->prediction) + 3 * index * pixels;
    real *dprediction = values(args->dprediction) + 3 * index * pixels;
    double losses[BLOCKS], loss = coloring_mean_term(image);
#pragma omp parallel for schedule(static) if (pixels * (image->count + 8) > 1 << 17)
    for (int64_t block = 0; block < BLOCKS; block++)
        losses[block] = sweep_block(image, labels, prediction, dprediction, block * pixels / BLOCKS,
                                    (block + 1) * pixels / BLOCKS, dmeans + block * image->count);
    for (int64_t block = 0; block < BLOCKS; block++) {
        loss += losses[block];
        for (int64_t r = 0; r < image->count; r++)
            for (int c = 0; c < 3; c++)
                image->regions[r].dmean[c] += dmeans[block * image->count + r][c];
    }
    finish(image, labels, dprediction, pixels);
    return image->scale * loss;
}

int CPU(coloring_loss_by)(const coloring_loss_args *args, Sweep *sweep_block) {
    double loss = 0;
    for (int64_t index = 0; index < args->labels->shape[0]; index++) {
        ColoringImage image;
        if (coloring_image_init(&image, args, index) != 0) return -1;
        double(*dmeans)[3] = calloc(BLOCKS * (size_t)image.count + 1, sizeof *dmeans);
        if (dmeans) loss += image_loss(args, sweep_block, &image, index, dmeans);
        coloring_image_free(&image);
        if (!dmeans) return error_int("coloring_loss: out of memory");
        free(dmeans);
    }
    values(args->loss)[0] = (real)loss;
    return 0;
}

int CPU(coloring_loss_forward)(const coloring_loss_args *args) {
    return CPU(coloring_loss_by)(args, sweep);
}

int CPU(coloring_loss_backward)(const coloring_loss_args *args) {
    if (!args->prediction->needs_grad) return 0;
    real dloss = gradient(args->loss)[0];
    const real *dprediction = values(args->dprediction);
    real *dx = gradient(args->prediction);
    bool add = args->prediction->has_grad;
    int64_t count = tensor_numel(args->prediction);
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t i = 0; i < count; i++) accumulate(dx + i, dloss * dprediction[i], add);
    return 0;
}
