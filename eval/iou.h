// SPDX-License-Identifier: MIT
// Scores: intersection over union, size buckets, means, bootstrap intervals.
#ifndef EVAL_IOU_H
#define EVAL_IOU_H

#include <stddef.h>
#include <stdint.h>

// |prediction and truth| / |prediction or truth| over the pixels where ignore (may be NULL) is 0;
// 1 when both are empty there. Masks: `count` pixels, non-zero = inside.
double iou_score(const uint8_t *prediction, const uint8_t *truth, const uint8_t *ignore,
                 size_t count);

// COCO's classes by the annotated area in pixels: small < 32^2 <= medium <= 96^2 < large.
typedef enum { BUCKET_SMALL, BUCKET_MEDIUM, BUCKET_LARGE, BUCKET_COUNT } SizeBucket;
SizeBucket size_bucket(double area);

// "small", "medium" or "large".
const char *size_bucket_name(SizeBucket bucket);

// NAN when there are none.
double mean_of(const double *values, size_t count);

// The 95 % bootstrap interval of the mean of all values when images are drawn with replacement:
// the 2.5 and 97.5 % quantiles (linearly interpolated) over `resamples` draws of image_count
// images. values, images: [count], images[i] in 0..image_count-1 is the image of value i, and each
// image has at least one value. Draws depend on (seed, image_count) only, so intervals of two
// systems on the same images are paired; for the interval of a difference give the differences.
// Fails when out of memory or when there are no values.
int bootstrap_interval(const double *values, const uint32_t *images, size_t count,
                       size_t image_count, int resamples, uint64_t seed, double interval[2]);

#endif
