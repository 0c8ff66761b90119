// SPDX-License-Identifier: MIT
// Scores. The bootstrap works on sums per image, so a draw costs one addition an image. See iou.h.
#include "eval/iou.h"

#include "autograd/rng.h"
#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

double iou_score(const uint8_t *prediction, const uint8_t *truth, const uint8_t *ignore,
                 size_t count) {
    size_t both = 0, either = 0;
    for (size_t i = 0; i < count; i++) {
        if (ignore && ignore[i]) continue;
        both += prediction[i] && truth[i];
        either += prediction[i] || truth[i];
    }
    return either ? (double)both / (double)either : 1;
}

SizeBucket size_bucket(double area) {
    if (area < 32 * 32) return BUCKET_SMALL;
    return area > 96 * 96 ? BUCKET_LARGE : BUCKET_MEDIUM;
}

const char *size_bucket_name(SizeBucket bucket) {
    static const char *const names[BUCKET_COUNT] = {"small", "medium", "large"};
    return names[bucket];
}

double mean_of(const double *values, size_t count) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) sum += values[i];
    return count ? sum / (double)count : NAN;
}

typedef struct {
    double sum;
    size_t count;
} ImageSum;

// The mean over images drawn with replacement.
static double resampled_mean(const ImageSum *images, size_t image_count, uint64_t seed,
                             int resample) {
    Rng rng = rng_stream(seed, "bootstrap", (uint64_t)resample, image_count);
    double sum = 0;
    size_t count = 0;
    for (size_t i = 0; i < image_count; i++) {
        const ImageSum *image = &images[rng_below(&rng, image_count)];
        sum += image->sum;
        count += image->count;
    }
    return sum / (double)count;
}

static int ascending(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double quantile(const double *sorted, int count, double share) {
    double at = share * (count - 1);
    int below = (int)at;
    int above = below + 1 < count ? below + 1 : below;
    return sorted[below] + (at - below) * (sorted[above] - sorted[below]);
}

int bootstrap_interval(const double *values, const uint32_t *images, size_t count,
                       size_t image_count, int resamples, uint64_t seed, double interval[2]) {
    if (count == 0 || image_count == 0 || resamples < 1)
        return error_int("bootstrap: %zu values in %zu images, %d resamples", count, image_count,
                         resamples);
    ImageSum *sums = array_new(image_count, sizeof *sums);
    double *means = sums ? array_new((size_t)resamples, sizeof *means) : NULL;
    if (means) {
        for (size_t i = 0; i < count; i++) {
            sums[images[i]].sum += values[i];
            sums[images[i]].count++;
        }
        for (int r = 0; r < resamples; r++) means[r] = resampled_mean(sums, image_count, seed, r);
        qsort(means, (size_t)resamples, sizeof *means, ascending);
        interval[0] = quantile(means, resamples, 0.025);
        interval[1] = quantile(means, resamples, 0.975);
    }
    int result = means ? 0 : -1;
    free(means);
    free(sums);
    return result;
}
