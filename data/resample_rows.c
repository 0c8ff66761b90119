// SPDX-License-Identifier: MIT
// Weighted sums of bytes. Horizontally with AVX2: a weight is a 2^15 + b, both parts of 16 bits, so
// that one instruction multiplies two neighbours of each channel; two rows of the image share a
// register. Sums wrap around at 32 bits like the plain ones would.
#include "data/resample_rows.h"

#include "base/isa.h"
#include "base/memory.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define AVX2 __attribute__((target("avx2")))
#endif

#include <stdlib.h>
#include <string.h>

enum { HALF = 1 << (FRACTION_BITS - 1), LOW_BITS = 15, TAPS = 4, COLUMNS = 256 };

static uint8_t to_byte(int32_t sum) {
    if (sum < 0) return 0; // never shifted: >> of a negative number is the compiler's choice
    sum >>= FRACTION_BITS;
    return (uint8_t)(sum > 255 ? 255 : sum);
}

static void pixel_grey(const uint8_t *in, const Windows *windows, int x, uint8_t *out) {
    const int32_t *weights = windows->weights + (size_t)x * (size_t)windows->stride;
    const uint8_t *from = in + windows->first[x];
    int32_t sum = HALF;
    for (int k = 0; k < windows->count[x]; k++) sum += from[k] * weights[k];
    out[x] = to_byte(sum);
}

static void pixel_rgb(const uint8_t *in, const Windows *windows, int x, uint8_t *out) {
    const int32_t *weights = windows->weights + (size_t)x * (size_t)windows->stride;
    const uint8_t *from = in + 3 * (size_t)windows->first[x];
    int32_t red = HALF, green = HALF, blue = HALF;
    for (int k = 0; k < windows->count[x]; k++) {
        red += from[3 * k] * weights[k];
        green += from[3 * k + 1] * weights[k];
        blue += from[3 * k + 2] * weights[k];
    }
    out[3 * x] = to_byte(red);
    out[3 * x + 1] = to_byte(green);
    out[3 * x + 2] = to_byte(blue);
}

#if defined(__x86_64__)
static size_t groups_of(int taps) {
    return (size_t)(taps + TAPS - 1) / TAPS;
}

// For every 4 taps of an output: the high and the low parts of the first two weights, then of the
// next two, as pairs of 16 bits; 0 beyond the window. [width, groups_of(windows), 4]
static int32_t *split_weights(const Windows *windows, int width) {
    const size_t row = TAPS * groups_of(windows->stride);
    int32_t *split = array_new((size_t)width, row * sizeof *split);
    for (int x = 0; split && x < width; x++) {
        const int32_t *weights = windows->weights + (size_t)x * (size_t)windows->stride;
        for (int k = 0; k < windows->count[x]; k++) {
            int32_t *pair = split + (size_t)x * row + k / 2 * 2;
            const uint32_t high = (uint32_t)(weights[k] >> LOW_BITS) & 0xFFFF;
            const uint32_t low = (uint32_t)weights[k] & ((1u << LOW_BITS) - 1);
            pair[0] = (int32_t)((uint32_t)pair[0] | high << (k % 2 * 16));
            pair[1] = (int32_t)((uint32_t)pair[1] | low << (k % 2 * 16));
        }
    }
    return split;
}

// Pixel x of two rows. Reads 16 bytes of each row for every 4 taps.
AVX2 static inline __m256i two_pixels(const uint8_t *upper, const uint8_t *lower,
                                      const int32_t *weights, size_t groups) {
    // Red, green and blue of two neighbours, as 16 bits each: of the first two, of the next two.
    const __m256i first_two = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(0, -1, 3, -1, 1, -1, 4, -1, 2, -1, 5, -1, -1, -1, -1, -1));
    const __m256i next_two = _mm256_broadcastsi128_si256(
        _mm_setr_epi8(6, -1, 9, -1, 7, -1, 10, -1, 8, -1, 11, -1, -1, -1, -1, -1));
    __m256i high = _mm256_setzero_si256(), low = _mm256_set1_epi32(HALF);
    for (size_t i = 0; i < groups; i++, weights += TAPS, upper += 3 * TAPS, lower += 3 * TAPS) {
        const __m256i bytes =
            _mm256_inserti128_si256(_mm256_castsi128_si256(_mm_loadu_si128((const void *)upper)),
                                    _mm_loadu_si128((const void *)lower), 1);
        const __m256i front = _mm256_shuffle_epi8(bytes, first_two);
        const __m256i back = _mm256_shuffle_epi8(bytes, next_two);
        high = _mm256_add_epi32(high, _mm256_madd_epi16(front, _mm256_set1_epi32(weights[0])));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(front, _mm256_set1_epi32(weights[1])));
        high = _mm256_add_epi32(high, _mm256_madd_epi16(back, _mm256_set1_epi32(weights[2])));
        low = _mm256_add_epi32(low, _mm256_madd_epi16(back, _mm256_set1_epi32(weights[3])));
    }
    const __m256i sum = _mm256_add_epi32(_mm256_slli_epi32(high, LOW_BITS), low);
    const __m256i words = _mm256_packs_epi32(_mm256_srai_epi32(sum, FRACTION_BITS), sum);
    return _mm256_packus_epi16(words, words);
}

AVX2 static int rows_rgb_avx2(const uint8_t *in, int in_width, int height, const Windows *windows,
                              int out_width, uint8_t *out) {
    const size_t in_row = 3 * (size_t)in_width, out_row = 3 * (size_t)out_width;
    const size_t split_row = TAPS * groups_of(windows->stride);
    int32_t *split = split_weights(windows, out_width);
    for (int y = 0; split && y < height; y += 2) {
        const uint8_t *upper = in + (size_t)y * in_row;
        const size_t next = y + 1 < height ? 1 : 0; // the last of an odd number is done twice
        const uint8_t *lower = upper + next * in_row;
        uint8_t *to_upper = out + (size_t)y * out_row, *to_lower = to_upper + next * out_row;
        for (int x = 0; x < out_width; x++) {
            const size_t at = 3 * (size_t)windows->first[x], groups = groups_of(windows->count[x]);
            if (at + 3 * TAPS * groups + 4 > in_row) { // would read beyond the row
                pixel_rgb(upper, windows, x, to_upper);
                pixel_rgb(lower, windows, x, to_lower);
                continue;
            }
            const __m256i both =
                two_pixels(upper + at, lower + at, split + (size_t)x * split_row, groups);
            const int32_t high = _mm256_extract_epi32(both, 0);
            const int32_t low = _mm256_extract_epi32(both, 4);
            memcpy(to_upper + 3 * x, &high, 3);
            memcpy(to_lower + 3 * x, &low, 3);
        }
    }
    const int status = split ? 0 : -1;
    free(split);
    return status;
}

AVX2 static size_t column_avx2(const uint8_t *in, size_t row, const int32_t *weights, int count,
                               uint8_t *out) {
    size_t x = 0;
    for (; x + 16 <= row; x += 16) {
        __m256i left = _mm256_set1_epi32(HALF), right = left;
        const uint8_t *from = in + x;
        for (int k = 0; k < count; k++, from += row) {
            const __m256i weight = _mm256_set1_epi32(weights[k]);
            const __m256i low = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)from));
            const __m256i high = _mm256_cvtepu8_epi32(_mm_loadl_epi64((const void *)(from + 8)));
            left = _mm256_add_epi32(left, _mm256_mullo_epi32(low, weight));
            right = _mm256_add_epi32(right, _mm256_mullo_epi32(high, weight));
        }
        const __m256i words =
            _mm256_permute4x64_epi64(_mm256_packs_epi32(_mm256_srai_epi32(left, FRACTION_BITS),
                                                        _mm256_srai_epi32(right, FRACTION_BITS)),
                                     0xD8);
        const __m128i bytes =
            _mm_packus_epi16(_mm256_castsi256_si128(words), _mm256_extracti128_si256(words, 1));
        _mm_storeu_si128((void *)(out + x), bytes);
    }
    return x;
}
#endif

int resample_rows(const uint8_t *in, int in_width, int height, int channels, const Windows *windows,
                  int out_width, uint8_t *out) {
#if defined(__x86_64__)
    if (channels == 3 && isa_in_use() >= ISA_AVX2)
        return rows_rgb_avx2(in, in_width, height, windows, out_width, out);
#endif
    const size_t in_row = (size_t)in_width * (size_t)channels;
    const size_t out_row = (size_t)out_width * (size_t)channels;
    for (int y = 0; y < height; y++, in += in_row, out += out_row)
        for (int x = 0; x < out_width; x++) {
            if (channels == 1)
                pixel_grey(in, windows, x, out);
            else
                pixel_rgb(in, windows, x, out);
        }
    return 0;
}

void resample_column(const uint8_t *in, size_t row, const int32_t *weights, int count,
                     uint8_t *out) {
    size_t x = 0;
#if defined(__x86_64__)
    if (isa_in_use() >= ISA_AVX2) x = column_avx2(in, row, weights, count, out);
#endif
    for (size_t width; x < row; x += width) {
        int32_t sums[COLUMNS];
        width = row - x < COLUMNS ? row - x : COLUMNS;
        for (size_t i = 0; i < width; i++) sums[i] = HALF;
        for (int k = 0; k < count; k++)
            for (size_t i = 0; i < width; i++) sums[i] += in[(size_t)k * row + x + i] * weights[k];
        for (size_t i = 0; i < width; i++) out[x + i] = to_byte(sums[i]);
    }
}
