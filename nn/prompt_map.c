// SPDX-License-Identifier: MIT
// Gaussian and confidence prompts as images. See prompt_map.h.
#include "nn/prompt_map.h"

#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static int check(const PromptMapSize *size, int64_t channel) {
    if (size->height < 1 || size->width < 1 || size->padded_height < size->height ||
        size->padded_width < size->width)
        return error_int("prompt map: image of %lld x %lld in a map of %lld x %lld",
                         (long long)size->height, (long long)size->width,
                         (long long)size->padded_height, (long long)size->padded_width);
    if (channel < 0 || channel >= size->channels)
        return error_int("prompt map: channel %lld of %lld", (long long)channel,
                         (long long)size->channels);
    return 0;
}

static float *pixel(const PromptMapSize *size, float *map, int64_t row, int64_t column,
                    int64_t channel) {
    return &map[(row * size->padded_width + column) * size->channels + channel];
}

static void clear(const PromptMapSize *size, int64_t channel, float *map) {
    for (int64_t row = 0; row < size->padded_height; row++)
        for (int64_t column = 0; column < size->padded_width; column++)
            *pixel(size, map, row, column, channel) = 0;
}

// exp(-(i - centre)^2 / (2 (sigma (n-1))^2)) for i = 0..n-1.
static void profile(int64_t n, double centre, double sigma, double *values) {
    double width = sigma * (double)(n > 1 ? n - 1 : 1);
    for (int64_t i = 0; i < n; i++) {
        double distance = ((double)i - centre) / width;
        values[i] = exp(-0.5 * distance * distance);
    }
}

int prompt_map_gaussian(const PromptMapSize *size, const PromptPoint *points, int64_t count,
                        double sigma, int64_t channel, float *map) {
    if (check(size, channel) != 0) return -1;
    if (!(sigma > 0) || !isfinite(sigma)) return error_int("prompt map: sigma is %g", sigma);
    if (count < 1) return error_int("prompt map: no point");
    for (int64_t k = 0; k < count; k++)
        if (!isfinite(points[k].x) || !isfinite(points[k].y))
            return error_int("prompt map: point %lld is not finite", (long long)k);
    double *across = array_new((size_t)size->width, sizeof *across);
    double *down = array_new((size_t)size->height, sizeof *down);
    bool made = across && down;
    if (made) clear(size, channel, map);
    for (int64_t k = 0; k < count && made; k++) {
        profile(size->width, points[k].x, sigma, across);
        profile(size->height, points[k].y, sigma, down);
        for (int64_t row = 0; row < size->height; row++)
            for (int64_t column = 0; column < size->width; column++) {
                float *value = pixel(size, map, row, column, channel);
                *value = fmaxf(*value, (float)(down[row] * across[column]));
            }
    }
    free(across);
    free(down);
    return made ? 0 : -1;
}

// Position of output i among n inputs and the share of the right neighbour.
static int64_t sample_at(int64_t i, int64_t outputs, int64_t inputs, double *share) {
    double at = ((double)i + 0.5) * (double)inputs / (double)outputs - 0.5;
    at = fmin(fmax(at, 0), (double)(inputs - 1));
    int64_t left = (int64_t)at;
    *share = at - (double)left;
    return left;
}

static double sound(float value) {
    return isnan(value) ? 0 : (double)value;
}

int prompt_map_confidence(const PromptMapSize *size, const float *confidence, int64_t rows,
                          int64_t columns, int64_t channel, float *map) {
    if (check(size, channel) != 0) return -1;
    if (rows < 1 || columns < 1)
        return error_int("prompt map: confidence map of %lld x %lld", (long long)rows,
                         (long long)columns);
    clear(size, channel, map);
    for (int64_t row = 0; row < size->height; row++) {
        double below, right;
        int64_t y = sample_at(row, size->height, rows, &below);
        const float *upper = confidence + y * columns;
        const float *lower = y + 1 < rows ? upper + columns : upper;
        for (int64_t column = 0; column < size->width; column++) {
            int64_t x = sample_at(column, size->width, columns, &right);
            int64_t next = x + 1 < columns ? x + 1 : x;
            double top = (1 - right) * sound(upper[x]) + right * sound(upper[next]);
            double bottom = (1 - right) * sound(lower[x]) + right * sound(lower[next]);
            double value = (1 - below) * top + below * bottom;
            *pixel(size, map, row, column, channel) = (float)fmin(fmax(value, 0), 1);
        }
    }
    return 0;
}
