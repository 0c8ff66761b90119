// SPDX-License-Identifier: MIT
// Joint bilateral filter on a padded copy that holds guide and source side by side, so that a tap
// is one address; with AVX2 eight pixels at once. Bits depend on the order of the taps and on no
// contraction of a*b+c (the build sets -ffp-contract=off). See joint_bilateral.h.
#include "eval/joint_bilateral.h"

#include "base/error.h"
#include "base/isa.h"
#include "base/memory.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

enum { RADIUS = 4, TAPS = 49, COLORS = 3 * 255 + 1 };

// A smaller image is done before the other threads have started.
enum { PARALLEL_ROWS = 128 };
#define SIGMA 75.0

typedef struct {
    float space[TAPS];
    ptrdiff_t offset[TAPS]; // in bytes of the padded copy
    float color[COLORS];
} Window;

// stride: bytes of a padded row.
static void window_set(Window *window, ptrdiff_t stride) {
    const double factor = -0.5 / (SIGMA * SIGMA);
    int tap = 0;
    for (int i = -RADIUS; i <= RADIUS; i++)
        for (int j = -RADIUS; j <= RADIUS; j++) {
            if (i * i + j * j > RADIUS * RADIUS) continue;
            window->space[tap] = (float)exp((i * i + j * j) * factor);
            window->offset[tap++] = i * stride + j * 4;
        }
    for (int a = 0; a < COLORS; a++) window->color[a] = (float)exp((double)a * a * factor);
}

// Mirrors without repeating the edge, as often as a small side needs.
static int reflect(int i, int side) {
    if (side == 1) return 0;
    while (i < 0 || i >= side) i = i < 0 ? -i : 2 * (side - 1) - i;
    return i;
}

// padded: [H + 2 RADIUS, W + 2 RADIUS, 4], R G B source.
static void pad_rows(const Image *guide, const uint8_t *source, uint8_t *padded) {
    const int width = guide->width, height = guide->height;
#pragma omp parallel for schedule(static) if (height >= PARALLEL_ROWS)
    for (int y = -RADIUS; y < height + RADIUS; y++) {
        size_t row = (size_t)reflect(y, height) * (size_t)width;
        uint8_t *to = padded + (size_t)(y + RADIUS) * (size_t)(width + 2 * RADIUS) * 4;
        for (int x = -RADIUS; x < width + RADIUS; x++, to += 4) {
            size_t from = row + (size_t)reflect(x, width);
            for (int c = 0; c < 3; c++) to[c] = guide->pixels[3 * from + (size_t)c];
            to[3] = source[from];
        }
    }
}

static uint8_t filter_pixel(const Window *window, const uint8_t *center) {
    float numerator = 0, denominator = 0;
    for (int k = 0; k < TAPS; k++) {
        const uint8_t *tap = center + window->offset[k];
        int a = abs(center[0] - tap[0]) + abs(center[1] - tap[1]) + abs(center[2] - tap[2]);
        float weight = window->space[k] * window->color[a];
        numerator += weight * (float)tap[3];
        denominator += weight;
    }
    // OpenCV multiplies by the reciprocal; a division rounds otherwise.
    float value = rintf(numerator * (1.0f / denominator));
    return (uint8_t)(value > 255.0f ? 255.0f : value);
}

#if defined(__x86_64__)
// Eight neighbours, each as filter_pixel.
__attribute__((target("avx2"))) static void filter_eight(const Window *window,
                                                         const uint8_t *center, uint8_t *out) {
    const __m256i here = _mm256_loadu_si256((const void *)center);
    const __m256i colors = _mm256_set1_epi32(0x010101), ones = _mm256_set1_epi16(1);
    __m256 numerator = _mm256_setzero_ps(), denominator = numerator;
    for (int k = 0; k < TAPS; k++) {
        const __m256i tap = _mm256_loadu_si256((const void *)(center + window->offset[k]));
        const __m256i apart =
            _mm256_or_si256(_mm256_subs_epu8(here, tap), _mm256_subs_epu8(tap, here));
        const __m256i a = _mm256_madd_epi16(_mm256_maddubs_epi16(apart, colors), ones);
        const __m256 weight = _mm256_mul_ps(_mm256_set1_ps(window->space[k]),
                                            _mm256_i32gather_ps(window->color, a, 4));
        const __m256 source = _mm256_cvtepi32_ps(_mm256_srli_epi32(tap, 24));
        numerator = _mm256_add_ps(numerator, _mm256_mul_ps(weight, source));
        denominator = _mm256_add_ps(denominator, weight);
    }
    const __m256 reciprocal = _mm256_div_ps(_mm256_set1_ps(1), denominator);
    const __m256 value = _mm256_min_ps(_mm256_mul_ps(numerator, reciprocal), _mm256_set1_ps(255));
    const __m256i rounded = _mm256_cvtps_epi32(value);
    const __m128i words =
        _mm_packus_epi32(_mm256_castsi256_si128(rounded), _mm256_extracti128_si256(rounded, 1));
    _mm_storel_epi64((void *)out, _mm_packus_epi16(words, words));
}
#endif

static void filter_row(const Window *window, const uint8_t *center, int width, uint8_t *out) {
    int x = 0;
#if defined(__x86_64__)
    if (isa_in_use() >= ISA_AVX2)
        for (; x + 8 <= width; x += 8) filter_eight(window, center + 4 * x, out + x);
#endif
    for (; x < width; x++) out[x] = filter_pixel(window, center + 4 * x);
}

int joint_bilateral(const Image *guide, const uint8_t *source, uint8_t *out) {
    const int width = guide->width, height = guide->height;
    if (guide->channels != 3)
        return error_int("joint_bilateral: the guide needs 3 channels, found %d", guide->channels);
    const size_t stride = (size_t)(width + 2 * RADIUS) * 4;
    uint8_t *padded = array_new((size_t)(height + 2 * RADIUS), stride);
    if (!padded) return -1;
    pad_rows(guide, source, padded);
    Window window;
    window_set(&window, (ptrdiff_t)stride);
#pragma omp parallel for schedule(static) if (height >= PARALLEL_ROWS)
    for (int y = 0; y < height; y++)
        filter_row(&window, padded + (size_t)(y + RADIUS) * stride + RADIUS * 4, width,
                   out + (size_t)y * (size_t)width);
    free(padded);
    return 0;
}
