// SPDX-License-Identifier: MIT
// See bench.h.
#include "cli/bench.h"

#include "autograd/backend.h"
#include "autograd/rng.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_seconds(const char *key) {
    return text_ends_with(key, "seconds") || strcmp(key, "forward") == 0 ||
           strcmp(key, "backward") == 0;
}

static bool is_bytes(const char *key) {
    return text_ends_with(key, "_rss") || text_ends_with(key, "_bytes") ||
           strcmp(key, "rss_growth") == 0;
}

// "key value", with units that people read.
static void print_value(const char *key, const json_t *value) {
    if (json_is_string(value)) {
        printf("  %s", json_string_value(value));
        return;
    }
    const double number = json_number_value(value);
    if (is_seconds(key))
        printf("  %s %.3f ms", key, number * 1e3);
    else if (is_bytes(key))
        printf("  %s %.1f MB", key, number / 1e6);
    else if (strcmp(key, "share") == 0)
        printf("  %.0f %% of peak", number * 100);
    else
        printf("  %s %.6g", key, number);
}

static void print_text(json_t *row) {
    const char *key;
    json_t *value;
    printf("%-16s", json_string_value(json_object_get(row, "case")));
    json_object_foreach(row, key, value) if (strcmp(key, "case") != 0) print_value(key, value);
    putchar('\n');
}

int bench_say(const BenchOptions *options, json_t *row) {
    if (!row) return error_int("a measured value is not finite, or memory is out");
    if (options->json) {
        char *text = json_dumps(row, JSON_REAL_PRECISION(9));
        if (text) puts(text);
        free(text);
    } else {
        print_text(row);
    }
    json_decref(row);
    return fflush(stdout) == 0 ? 0 : error_int("cannot write to standard output");
}

static int ascending(const void *left, const void *right) {
    const double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

double bench_median(BenchWork work, void *context, double seconds, int least) {
    enum { MOST = 50 };
    double took[MOST], sum = 0;
    int count = 0;
    if (work(context) < 0) return -1;
    while (count < least || (sum < seconds && count < MOST)) {
        took[count] = work(context);
        if (took[count] < 0) return -1;
        sum += took[count++];
    }
    qsort(took, (size_t)count, sizeof *took, ascending);
    return (took[(count - 1) / 2] + took[count / 2]) / 2;
}

int bench_wait(const Tensor *tensor) {
    char bytes[8];
    return tensor_bytes(tensor) == 0
               ? 0
               : backend_current()->read(bytes, tensor->data, dtype_size(tensor->dtype));
}

int bench_voronoi(int64_t n, int64_t height, int64_t width, uint64_t seed, int32_t *labels) {
    float *points = array_new((size_t)n * 2, sizeof *points);
    if (!points) return -1;
    Rng rng = rng_stream(seed, "voronoi", (uint64_t)n, 0);
    for (int64_t k = 0; k < n; k++) {
        points[2 * k] = (float)(rng_uniform(&rng) * (double)height);
        points[2 * k + 1] = (float)(rng_uniform(&rng) * (double)width);
    }
#pragma omp parallel for schedule(static)
    for (int64_t y = 0; y < height; y++)
        for (int64_t x = 0; x < width; x++) {
            float best = INFINITY;
            for (int64_t k = 0; k < n; k++) {
                const float dy = (float)y - points[2 * k], dx = (float)x - points[2 * k + 1];
                const float distance = dy * dy + dx * dx;
                if (distance < best) labels[y * width + x] = (int32_t)k, best = distance;
            }
        }
    free(points);
    return 0;
}
