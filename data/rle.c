// SPDX-License-Identifier: MIT
// COCO run lengths. In the compressed string a number is a count, from the fourth on less the count
// two before, in groups of 5 bits, lowest first, two's complement; 32 marks that a group follows.
#include "data/rle.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65535, MAX_GROUPS = 7, FIRST_CHARACTER = 48 };

static int rle_new(Rle *rle, size_t length, int width, int height) {
    *rle = (Rle){0};
    if (width < 1 || width > MAX_SIDE || height < 1 || height > MAX_SIDE)
        return error_int("run-length mask of %dx%d: sides must be 1 to %d", width, height,
                         MAX_SIDE);
    rle->counts = array_new(length, sizeof *rle->counts);
    if (!rle->counts) return -1;
    rle->width = width;
    rle->height = height;
    return 0;
}

void rle_free(Rle *rle) {
    if (!rle) return;
    free(rle->counts);
    *rle = (Rle){0};
}

static int64_t pixel_count(const Rle *rle) {
    return (int64_t)rle->width * rle->height;
}

// Appends a count; `sum` is of the counts before it.
static int append(Rle *rle, int64_t count, int64_t *sum) {
    if (count < 0)
        return error_int("run %zu has the negative length %lld", rle->length, (long long)count);
    if (count > pixel_count(rle) - *sum)
        return error_int("runs end behind the mask of %dx%d at run %zu", rle->width, rle->height,
                         rle->length);
    rle->counts[rle->length++] = (uint32_t)count;
    *sum += count;
    return 0;
}

static int finish(Rle *rle, int64_t sum) {
    if (sum == pixel_count(rle)) return 0;
    return error_int("runs sum to %lld, expected %lld for a mask of %dx%d", (long long)sum,
                     (long long)pixel_count(rle), rle->width, rle->height);
}

int rle_from_counts(const int64_t *counts, size_t length, int width, int height, Rle *rle) {
    if (rle_new(rle, length, width, height)) return -1;
    int64_t sum = 0;
    int status = 0;
    for (size_t i = 0; status == 0 && i < length; i++) status = append(rle, counts[i], &sum);
    if (status == 0) status = finish(rle, sum);
    if (status) rle_free(rle);
    return status;
}

// Reads one number at *text and moves behind it.
static int read_number(const char **text, int64_t *number) {
    int64_t value = 0;
    for (int group = 0; group < MAX_GROUPS; group++) {
        const int bits = (unsigned char)*(*text)++ - FIRST_CHARACTER;
        if (bits < 0 || bits > 63)
            return error_int("run-length string ends inside a number or has a foreign character");
        value += (int64_t)(bits & 31) << (5 * group);
        if (bits & 32) continue;
        *number = bits & 16 ? value - (INT64_C(1) << (5 * (group + 1))) : value;
        return 0;
    }
    return error_int("run-length string has a number of more than %d groups", MAX_GROUPS);
}

int rle_from_string(const char *text, int width, int height, Rle *rle) {
    if (rle_new(rle, strlen(text), width, height)) return -1;
    int64_t sum = 0;
    int status = 0;
    while (status == 0 && *text) {
        int64_t number = 0;
        status = read_number(&text, &number);
        if (status == 0 && rle->length > 2) number += rle->counts[rle->length - 2];
        if (status == 0) status = append(rle, number, &sum);
    }
    if (status == 0) status = finish(rle, sum);
    if (status) rle_free(rle);
    return status;
}

// Walks the mask column by column; counts the runs, and writes them when counts is given.
static size_t walk_runs(const uint8_t *mask, int width, int height, uint32_t *counts) {
    size_t runs = 0;
    uint32_t length = 0;
    int current = 0;
    for (int x = 0; x < width; x++) {
        for (int y = 0; y < height; y++) {
            const int pixel = mask[(size_t)y * (size_t)width + (size_t)x] != 0;
            if (pixel != current) {
                if (counts) counts[runs] = length;
                runs++;
                length = 0;
                current = pixel;
            }
            length++;
        }
    }
    if (counts) counts[runs] = length;
    return runs + 1;
}

int rle_from_mask(const uint8_t *mask, int width, int height, Rle *rle) {
    const size_t length = walk_runs(mask, width, height, NULL);
    if (rle_new(rle, length, width, height)) return -1;
    rle->length = walk_runs(mask, width, height, rle->counts);
    return 0;
}

static char *write_number(char *to, int64_t number) {
    for (;;) {
        const int bits = (int)(number & 31);
        // Floor division by 32, also of negative numbers.
        number = (number - bits) / 32;
        const int more = bits & 16 ? number != -1 : number != 0;
        *to++ = (char)(bits + (more ? 32 : 0) + FIRST_CHARACTER);
        if (!more) return to;
    }
}

char *rle_to_string(const Rle *rle) {
    char *text = array_new(rle->length + 1, MAX_GROUPS);
    if (!text) return NULL;
    char *end = text;
    for (size_t i = 0; i < rle->length; i++)
        end = write_number(end, (int64_t)rle->counts[i] - (i > 2 ? rle->counts[i - 2] : 0));
    *end = '\0';
    return text;
}

void rle_paint(const Rle *rle, uint8_t *mask) {
    const size_t width = (size_t)rle->width, height = (size_t)rle->height;
    size_t at = 0;
    for (size_t run = 0; run < rle->length; at += rle->counts[run++]) {
        if (run % 2 == 0) continue;
        for (size_t i = at; i < at + rle->counts[run]; i++)
            mask[i % height * width + i / height] = 1;
    }
}
