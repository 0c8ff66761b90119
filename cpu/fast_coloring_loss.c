// SPDX-License-Identifier: MIT
// The sweep of the coloring loss in float: tiles of pixels in planes, swept once by every region;
// all sums that cross tiles are double. The rest is that of coloring_loss.c.
#include "cpu/coloring_regions.h"
#include "cpu/fast_kernel.h"
#include "cpu/fast_vector.h"

#include <math.h>

enum { TILE = 256 };

typedef struct {
    float p[3][TILE], dp[3][TILE];
    int32_t own[TILE];
} Tile;

// Separation of one tile from one region; the sums of 1 / (1 + d^2) and of the gradient.
static void separate(Tile *tile, int32_t region, const float *mean, float weight, float *sums) {
    float loss = 0, push0 = 0, push1 = 0, push2 = 0;
#pragma omp simd reduction(+ : loss, push0, push1, push2)
    for (int i = 0; i < TILE; i++) {
        float d0 = tile->p[0][i] - mean[0], d1 = tile->p[1][i] - mean[1];
        float d2 = tile->p[2][i] - mean[2];
        float q = 1.0f / (1.0f + d0 * d0 + d1 * d1 + d2 * d2);
        q = tile->own[i] == region ? 0.0f : q;
        float g = -2.0f * weight * q * q;
        loss += q;
        tile->dp[0][i] += g * d0;
        tile->dp[1][i] += g * d1;
        tile->dp[2][i] += g * d2;
        push0 += g * d0;
        push1 += g * d1;
        push2 += g * d2;
    }
    sums[0] = loss;
    sums[1] = push0;
    sums[2] = push1;
    sums[3] = push2;
}

// Pixels that take no part lie so far away that they add nothing.
static void fill_tile(Tile *tile, const ColoringImage *image, const int32_t *labels,
                      const float *prediction, int64_t count) {
    for (int64_t i = 0; i < TILE; i++) {
        int32_t own = i < count ? coloring_region(image, labels[i]) : REGION_IGNORED;
        tile->own[i] = own;
        for (int c = 0; c < 3; c++) {
            tile->p[c][i] = own == REGION_IGNORED ? 1e18f : prediction[3 * i + c];
            tile->dp[c][i] = 0;
        }
    }
}

static double variance_terms(Tile *tile, const ColoringImage *image, double (*dmeans)[3]) {
    double loss = 0;
    for (int64_t i = 0; i < TILE; i++) {
        int32_t own = tile->own[i];
        if (own < 0) continue;
        const ColoringRegion *region = &image->regions[own];
        for (int c = 0; c < 3; c++) {
            double d = (double)tile->p[c][i] - region->mean[c], size = fabs(d);
            double slope = region->variance * fmin(fmax(d, -1), 1);
            loss += region->variance * (size < 1 ? 0.5 * d * d : size - 0.5);
            tile->dp[c][i] += (float)slope;
            dmeans[own][c] -= slope;
        }
    }
    return loss;
}

static double sweep(const ColoringImage *image, const int32_t *labels, const float *prediction,
                    float *dprediction, int64_t begin, int64_t end, double (*dmeans)[3]) {
    double loss = 0;
    Tile tile;
    for (int64_t start = begin; start < end; start += TILE) {
        int64_t count = end - start < TILE ? end - start : TILE;
        fill_tile(&tile, image, labels + start, prediction + 3 * start, count);
        for (int64_t r = 0; r < image->count; r++) {
            const ColoringRegion *region = &image->regions[r];
            if (region->separation == 0) continue;
            float sums[4], mean[3];
            for (int c = 0; c < 3; c++) mean[c] = (float)region->mean[c];
            separate(&tile, (int32_t)r, mean, (float)region->separation, sums);
            loss += region->separation * (double)sums[0];
            for (int c = 0; c < 3; c++) dmeans[r][c] -= (double)sums[1 + c];
        }
        loss += variance_terms(&tile, image, dmeans);
        for (int64_t i = 0; i < count; i++)
            for (int c = 0; c < 3; c++) dprediction[3 * (start + i) + c] = tile.dp[c][i];
    }
    return loss;
}

int ISA(fast_coloring_loss_forward)(const coloring_loss_args *args) {
    return cpu_coloring_loss_by_f32(args, sweep);
}

int ISA(fast_coloring_loss_backward)(const coloring_loss_args *args) {
    (void)args; // one pass over memory: the reference kernel is bound by it too
    return FAST_DECLINES;
}
