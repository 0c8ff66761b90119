// SPDX-License-Identifier: MIT
// What the kernels of the coloring loss share: which pixels of an image form a region, its mean,
// and the weights of its terms. All three forms are the same sums over regions:
//
//   variance    region.variance   * sum over own pixels of Huber(p - mean), three channels
//   separation  region.separation * sum over valid pixels outside of 1 / (1 + |p - mean|^2)
//   mean        pair_weight       * sum over pairs of regions of 1 / (1 + |mean - mean'|^2)
//
// times `scale`. A black region has the constant mean 0.
#ifndef CPU_COLORING_REGIONS_H
#define CPU_COLORING_REGIONS_H

#include "autograd/ops.h"

enum { REGION_OTHER = -1, REGION_IGNORED = -2 }; // valid without a region; in no sum

typedef struct {
    double mean[3], dmean[3]; // dloss/dmean, before `scale`
    double variance, separation;
    int64_t size; // pixels
    bool black;
} ColoringRegion;

typedef struct {
    ColoringRegion *regions;
    int32_t *region_of; // of label -1, 0, 1, ..., most: region_of[label + 1]
    int64_t count;
    double pair_weight, scale;
} ColoringImage;

// Describes one image of the batch; fails on a label out of range. Free with coloring_image_free.
int coloring_image_init(ColoringImage *image, const coloring_loss_args *args, int64_t index);
void coloring_image_free(ColoringImage *image);

// The mean term, its gradient added to dmean.
double coloring_mean_term(ColoringImage *image);

static inline int32_t coloring_region(const ColoringImage *image, int32_t label) {
    return image->region_of[label + 1];
}

// The terms of pixels [begin, end) but the mean term: returns their sum, writes their gradients,
// and adds those of the means to dmeans, all before `scale`.
typedef double cpu_coloring_sweep_f32(const ColoringImage *image, const int32_t *labels,
                                      const float *prediction, float *dprediction, int64_t begin,
                                      int64_t end, double (*dmeans)[3]);
typedef double cpu_coloring_sweep_f64(const ColoringImage *image, const int32_t *labels,
                                      const double *prediction, double *dprediction, int64_t begin,
                                      int64_t end, double (*dmeans)[3]);

// The forward of the loss with that sweep.
int cpu_coloring_loss_by_f32(const coloring_loss_args *args, cpu_coloring_sweep_f32 *sweep);
int cpu_coloring_loss_by_f64(const coloring_loss_args *args, cpu_coloring_sweep_f64 *sweep);

#endif
