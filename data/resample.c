// SPDX-License-Identifier: MIT
// Two passes with windows of precomputed weights. 8 bit: weights as integers with 22 fractional
// bits, so that sums do not depend on order. A pass whose side does not change is skipped.
#include "data/resample.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/resample_rows.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

static double triangle(double x) {
    x = fabs(x);
    return x < 1.0 ? 1.0 - x : 0.0;
}

static double cubic(double x) {
    const double a = -0.5;
    x = fabs(x);
    if (x < 1.0) return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0;
    if (x < 2.0) return (((x - 5.0) * x + 8.0) * x - 4.0) * a;
    return 0.0;
}

static double sinc(double x) {
    const double pi = 3.14159265358979323846;
    return x == 0.0 ? 1.0 : sin(pi * x) / (pi * x);
}

static double lanczos(double x) {
    return x >= -3.0 && x < 3.0 ? sinc(x) * sinc(x / 3.0) : 0.0;
}

typedef struct {
    double (*weight)(double x);
    double support;
} Filter;

static Filter filter_of(Resample filter) {
    switch (filter) {
    case RESAMPLE_BILINEAR:
        return (Filter){triangle, 1.0};
    case RESAMPLE_BICUBIC:
        return (Filter){cubic, 2.0};
    case RESAMPLE_LANCZOS:
        return (Filter){lanczos, 3.0};
    case RESAMPLE_NEAREST:
        break;
    }
    return (Filter){NULL, 0.0};
}

static void windows_done(Windows *windows) {
    free(windows->first);
    free(windows->weights);
    free(windows->float_weights);
    *windows = (Windows){0};
}

static int windows_init(Windows *windows, int out, double support, bool as_float) {
    *windows = (Windows){.stride = (int)ceil(support) * 2 + 1};
    const size_t row = (size_t)windows->stride;
    windows->first = array_new(2 * (size_t)out, sizeof *windows->first);
    windows->count = windows->first ? windows->first + out : NULL;
    if (as_float)
        windows->float_weights = array_new((size_t)out, row * sizeof *windows->float_weights);
    else
        windows->weights = array_new((size_t)out, row * sizeof *windows->weights);
    if (windows->first && (windows->weights || windows->float_weights)) return 0;
    windows_done(windows);
    return -1;
}

static int32_t to_fixed(double weight) {
    const double scaled = weight * (1 << FRACTION_BITS);
    return (int32_t)(scaled < 0.0 ? scaled - 0.5 : scaled + 0.5);
}

static int windows_fixed(Windows *windows, int in, int out, Filter filter) {
    const double scale = (double)in / out;
    const double stretch = scale < 1.0 ? 1.0 : scale;
    const double support = filter.support * stretch, shrink = 1.0 / stretch;
    if (windows_init(windows, out, support, false)) return -1;
    double *exact = array_new((size_t)windows->stride, sizeof *exact);
    if (!exact) {
        windows_done(windows);
        return -1;
    }
    for (int i = 0; i < out; i++) {
        const double centre = (i + 0.5) * scale;
        const int low = centre - support + 0.5 < 0.0 ? 0 : (int)(centre - support + 0.5);
        const int high = centre + support + 0.5 > in ? in : (int)(centre + support + 0.5);
        double sum = 0.0;
        for (int k = 0; k < high - low; k++) {
            exact[k] = filter.weight((k + low - centre + 0.5) * shrink);
            sum += exact[k];
        }
        windows->first[i] = low;
        windows->count[i] = high - low;
        int32_t *weights = windows->weights + (size_t)i * (size_t)windows->stride;
        for (int k = 0; k < high - low; k++)
            weights[k] = to_fixed(sum != 0.0 ? exact[k] / sum : exact[k]);
    }
    free(exact);
    return 0;
}

static int windows_float(Windows *windows, int in, int out) {
    const float scale = (float)in / (float)out;
    const float support = scale < 1.0f ? 1.0f : scale, shrink = 1.0f / support;
    if (windows_init(windows, out, (double)support, true)) return -1;
    for (int i = 0; i < out; i++) {
        const float centre = scale * ((float)i + 0.5f);
        const float low_edge = centre - support + 0.5f, high_edge = centre + support + 0.5f;
        const int low = low_edge < 0.0f ? 0 : (int)low_edge;
        const int high = high_edge > (float)in ? in : (int)high_edge;
        float *weights = windows->float_weights + (size_t)i * (size_t)windows->stride;
        float sum = 0.0f;
        for (int k = 0; k < high - low; k++) {
            const float x = fabsf(((float)(k + low) - centre + 0.5f) * shrink);
            weights[k] = x < 1.0f ? 1.0f - x : 0.0f;
            sum += weights[k];
        }
        for (int k = 0; k < high - low; k++) weights[k] = sum != 0.0f ? weights[k] / sum : 0.0f;
        windows->first[i] = low;
        windows->count[i] = high - low;
    }
    return 0;
}

static int pass_horizontal(const Image *in, int width, Filter filter, Image *out) {
    Windows windows;
    if (windows_fixed(&windows, in->width, width, filter)) return -1;
    int status = image_new(out, width, in->height, in->channels);
    if (status == 0)
        status = resample_rows(in->pixels, in->width, in->height, in->channels, &windows, width,
                               out->pixels);
    windows_done(&windows);
    return status;
}

static int pass_vertical(const Image *in, int height, Filter filter, Image *out) {
    Windows windows;
    if (windows_fixed(&windows, in->height, height, filter)) return -1;
    const int status = image_new(out, in->width, height, in->channels);
    const size_t row = (size_t)in->width * (size_t)in->channels;
    for (int y = 0; status == 0 && y < height; y++)
        resample_column(in->pixels + (size_t)windows.first[y] * row, row,
                        windows.weights + (size_t)y * (size_t)windows.stride, windows.count[y],
                        out->pixels + (size_t)y * row);
    windows_done(&windows);
    return status;
}

void resample_nearest_indices(int in, int out, int *indices) {
    const double step = (double)in / out;
    double at = 0.5 * step;
    for (int i = 0; i < out; i++, at += step) indices[i] = (int)at < in ? (int)at : in - 1;
}

static inline void pick(const char *from, const int *columns, int width, size_t size, char *to) {
    for (int x = 0; x < width; x++)
        memcpy(to + (size_t)x * size, from + (size_t)columns[x] * size, size);
}

// Copies elements of `size` bytes to the nearest-neighbour places.
static int resize_nearest(const void *in, int in_width, int in_height, size_t size, int width,
                          int height, void *out) {
    int *columns = array_new((size_t)width + (size_t)height, sizeof *columns);
    if (!columns) return -1;
    int *rows = columns + width;
    resample_nearest_indices(in_width, width, columns);
    resample_nearest_indices(in_height, height, rows);
    for (int y = 0; y < height; y++) {
        const char *from = (const char *)in + (size_t)rows[y] * (size_t)in_width * size;
        char *to = (char *)out + (size_t)y * (size_t)width * size;
        if (size == sizeof(int32_t)) // constant, so that a copy is one move
            pick(from, columns, width, sizeof(int32_t), to);
        else
            pick(from, columns, width, size, to);
    }
    free(columns);
    return 0;
}

static int image_copy(const Image *in, Image *out) {
    if (image_new(out, in->width, in->height, in->channels)) return -1;
    memcpy(out->pixels, in->pixels, (size_t)in->width * (size_t)in->height * (size_t)in->channels);
    return 0;
}

static int resize_two_passes(const Image *in, int width, int height, Filter filter, Image *out) {
    if (width == in->width) return pass_vertical(in, height, filter, out);
    if (height == in->height) return pass_horizontal(in, width, filter, out);
    Image between = {0};
    int status = pass_horizontal(in, width, filter, &between);
    if (status == 0) status = pass_vertical(&between, height, filter, out);
    image_free(&between);
    return status;
}

int image_resize(const Image *in, int width, int height, Resample filter, Image *out) {
    *out = (Image){0};
    if (width == in->width && height == in->height) return image_copy(in, out);
    int status;
    if (filter == RESAMPLE_NEAREST) {
        status = image_new(out, width, height, in->channels);
        if (status == 0)
            status = resize_nearest(in->pixels, in->width, in->height, (size_t)in->channels, width,
                                    height, out->pixels);
    } else if (in->channels != 1 && in->channels != 3) {
        status = error_int("resize of an image of %d channels: expected 1 or 3", in->channels);
    } else if (width < 1 || height < 1) {
        status = error_int("resize to %dx%d: sides must be 1 or more", width, height);
    } else {
        status = resize_two_passes(in, width, height, filter_of(filter), out);
    }
    if (status) image_free(out);
    return status;
}

int label_map_resize(const LabelMap *in, int width, int height, LabelMap *out) {
    if (label_map_new(out, width, height)) return -1;
    int status =
        resize_nearest(in->ids, in->width, in->height, sizeof *in->ids, width, height, out->ids);
    if (status) label_map_free(out);
    return status;
}

uint8_t *mask_resize(const uint8_t *in, int in_width, int in_height, int width, int height) {
    if (width < 1 || height < 1) return error_null("resize of a mask to %dx%d", width, height);
    uint8_t *out = array_new((size_t)height, (size_t)width);
    if (out && resize_nearest(in, in_width, in_height, 1, width, height, out) == 0) return out;
    free(out);
    return NULL;
}

static void float_horizontal(const float *in, int in_width, int height, int channels,
                             const Windows *windows, int width, float *out) {
    const size_t depth = (size_t)channels;
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++, out += depth) {
            const float *weights = windows->float_weights + (size_t)x * (size_t)windows->stride;
            const float *from =
                in + ((size_t)y * (size_t)in_width + (size_t)windows->first[x]) * depth;
            for (size_t c = 0; c < depth; c++) {
                float sum = 0.0f;
                for (int k = 0; k < windows->count[x]; k++)
                    sum += from[(size_t)k * depth + c] * weights[k];
                out[c] = sum;
            }
        }
    }
}

static void float_vertical(const float *in, size_t row, const Windows *windows, int height,
                           float *out) {
    for (int y = 0; y < height; y++, out += row) {
        const float *weights = windows->float_weights + (size_t)y * (size_t)windows->stride;
        memset(out, 0, row * sizeof *out);
        for (int k = 0; k < windows->count[y]; k++) {
            const float *from = in + (size_t)(windows->first[y] + k) * row;
            for (size_t x = 0; x < row; x++) out[x] += from[x] * weights[k];
        }
    }
}

int resize_bilinear_float(const float *in, int in_width, int in_height, int channels, int width,
                          int height, float *out) {
    if (in_width < 1 || in_height < 1 || channels < 1 || width < 1 || height < 1)
        return error_int("resize of %dx%dx%d floats to %dx%d: sides must be 1 or more", in_width,
                         in_height, channels, width, height);
    Windows across = {0}, down = {0};
    const size_t row = (size_t)width * (size_t)channels;
    float *between = array_new((size_t)in_height, row * sizeof *between);
    int status = between ? 0 : -1;
    if (status == 0) status = windows_float(&across, in_width, width);
    if (status == 0) status = windows_float(&down, in_height, height);
    if (status == 0) {
        float_horizontal(in, in_width, in_height, channels, &across, width, between);
        float_vertical(between, row, &down, height, out);
    }
    free(between);
    windows_done(&across);
    windows_done(&down);
    return status;
}
