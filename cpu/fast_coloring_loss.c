// SPDX-License-Identifier: MIT
// The sweep of the coloring loss in float: tiles of pixels in planes, swept once by every region;
// all sums that cross tiles are double. The rest is that of coloring_loss.c.
#include "cpu/coloring_regions.h"
#include "cpu/fast_kernel.h"
#include "cpu/fast_vec.h"

#include <math.h>
#include <string.h>

// Regions swept together read and write a tile's gradient once.
enum { TILE = 512, TOGETHER = 2, PRESENT = 1024 };

typedef struct {
    float p[3][TILE], dp[3][TILE];
    int32_t own[TILE];
    bool present[PRESENT]; // whether a pixel's region is this one, modulo PRESENT
} Tile;

typedef struct {
    float mean[3], slope; // slope: -2 * weight
    int32_t index;
} Separation;

// Separation of one tile from some regions; sums[k]: the sum of 1 / (1 + d^2), and of the
// gradient's three channels. own: pixels may lie in one of them.
INLINED void separate_some(Tile *tile, const Separation *regions, int together, bool own,
                           float (*sums)[4]) {
    const Vec one = vec_all(1);
    Vec loss[TOGETHER], push0[TOGETHER], push1[TOGETHER], push2[TOGETHER];
    UNROLL(2)
    for (int k = 0; k < together; k++) loss[k] = push0[k] = push1[k] = push2[k] = vec_all(0);
    for (int i = 0; i < TILE; i += LANES) {
        const Vec p0 = vec_load(tile->p[0] + i), p1 = vec_load(tile->p[1] + i);
        const Vec p2 = vec_load(tile->p[2] + i);
        Vec dp0 = vec_load(tile->dp[0] + i), dp1 = vec_load(tile->dp[1] + i);
        Vec dp2 = vec_load(tile->dp[2] + i);
        UNROLL(2)
        for (int k = 0; k < together; k++) {
            const Vec d0 = p0 - vec_all(regions[k].mean[0]), d1 = p1 - vec_all(regions[k].mean[1]);
            const Vec d2 = p2 - vec_all(regions[k].mean[2]);
            const Vec rest = vec_multiply_add(d0, d0, one);
            Vec q = vec_reciprocal(vec_multiply_add(d2, d2, vec_multiply_add(d1, d1, rest)));
            if (own) q = vec_where_other(tile->own + i, regions[k].index, q);
            const Vec g = vec_all(regions[k].slope) * q * q;
            loss[k] += q;
            dp0 = vec_multiply_add(g, d0, dp0);
            dp1 = vec_multiply_add(g, d1, dp1);
            dp2 = vec_multiply_add(g, d2, dp2);
            push0[k] = vec_multiply_add(g, d0, push0[k]);
            push1[k] = vec_multiply_add(g, d1, push1[k]);
            push2[k] = vec_multiply_add(g, d2, push2[k]);
        }
        vec_store(tile->dp[0] + i, dp0);
        vec_store(tile->dp[1] + i, dp1);
        vec_store(tile->dp[2] + i, dp2);
    }
    for (int k = 0; k < together; k++) {
        sums[k][0] = vec_sum(loss[k]);
        sums[k][1] = vec_sum(push0[k]);
        sums[k][2] = vec_sum(push1[k]);
        sums[k][3] = vec_sum(push2[k]);
    }
}

static void separate(Tile *tile, const Separation *regions, int together, float (*sums)[4]) {
    bool own = false;
    for (int k = 0; k < together; k++) own = own || tile->present[regions[k].index % PRESENT];
    if (together == TOGETHER && own)
        separate_some(tile, regions, TOGETHER, true, sums);
    else if (together == TOGETHER)
        separate_some(tile, regions, TOGETHER, false, sums);
    else
        separate_some(tile, regions, 1, true, sums);
}

// Pixels that take no part lie so far away that they add nothing.
static void fill_tile(Tile *tile, const ColoringImage *image, const int32_t *labels,
                      const float *prediction, int64_t count) {
    memset(tile->present, 0, sizeof tile->present);
    for (int64_t i = 0; i < TILE; i++) {
        int32_t own = i < count ? coloring_region(image, labels[i]) : REGION_IGNORED;
        tile->own[i] = own;
        if (own >= 0) tile->present[own % PRESENT] = true;
        for (int c = 0; c < 3; c++) {
            tile->p[c][i] = own == REGION_IGNORED ? 1e18f : prediction[3 * i + c];
            tile->dp[c][i] = 0;
        }
    }
}

// One channel of neighbouring pixels of one region; returns their loss, adds to *slopes.
static double variance_run(const float *p, float *dp, int64_t count, double mean, double weight,
                           double *slopes) {
    double loss = 0, sum = 0;
#pragma omp simd reduction(+ : loss, sum)
    for (int64_t i = 0; i < count; i++) {
        const double d = (double)p[i] - mean, below = d > 1 ? 1 : d;
        const double clipped = below < -1 ? -1 : below;
        loss += clipped * (d - 0.5 * clipped);
        sum += clipped;
        dp[i] += (float)(weight * clipped);
    }
    *slopes += weight * sum;
    return weight * loss;
}

static double variance_terms(Tile *tile, const ColoringImage *image, double (*dmeans)[3]) {
    double loss = 0;
    for (int64_t end, i = 0; i < TILE; i = end) {
        const int32_t own = tile->own[i];
        for (end = i + 1; end < TILE && tile->own[end] == own;) end++;
        if (own < 0) continue;
        const ColoringRegion *region = &image->regions[own];
        for (int c = 0; c < 3; c++) {
            double slopes = 0;
            loss += variance_run(tile->p[c] + i, tile->dp[c] + i, end - i, region->mean[c],
                                 region->variance, &slopes);
            dmeans[own][c] -= slopes;
        }
    }
    return loss;
}

// Every region's separation from a tile: returns their sum, adds to dmeans.
static double separation_terms(Tile *tile, const ColoringImage *image, double (*dmeans)[3]) {
    double loss = 0;
    Separation regions[TOGETHER];
    int together = 0;
    for (int64_t r = 0; r < image->count; r++) {
        const ColoringRegion *region = &image->regions[r];
        if (region->separation != 0) {
            Separation *next = &regions[together++];
            for (int c = 0; c < 3; c++) next->mean[c] = (float)region->mean[c];
            next->slope = (float)(-2 * region->separation);
            next->index = (int32_t)r;
        }
        if (together == 0 || (together < TOGETHER && r + 1 < image->count)) continue;
        float sums[TOGETHER][4];
        separate(tile, regions, together, sums);
        for (int k = 0; k < together; k++) {
            const int32_t index = regions[k].index;
            loss += image->regions[index].separation * (double)sums[k][0];
            for (int c = 0; c < 3; c++) dmeans[index][c] -= (double)sums[k][1 + c];
        }
        together = 0;
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
        loss += separation_terms(&tile, image, dmeans);
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
