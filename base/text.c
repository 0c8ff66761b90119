// SPDX-License-Identifier: MIT
// Text buffers, strict parsing, nearest words. See text.h.
#include "base/text.h"

#include "base/error.h"
#include "base/memory.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { WORD_MAX = 127 };

static int reserve(Text *text, size_t more) {
    if (text->failed) return -1;
    if (more > SIZE_MAX / 4 - text->length) {
        text->failed = true;
        return error_int("text of more than %zu bytes", SIZE_MAX / 4);
    }
    size_t needed = text->length + more + 1;
    if (needed <= text->capacity) return 0;
    size_t capacity = text->capacity ? text->capacity : 64;
    while (capacity < needed) capacity *= 2;
    char *data = array_resize(text->data, capacity, 1);
    if (!data) {
        text->failed = true;
        return -1;
    }
    text->data = data;
    text->capacity = capacity;
    return 0;
}

static int add_formatted(Text *text, const char *format, va_list args) {
    va_list measured;
    va_copy(measured, args);
    int length = vsnprintf(NULL, 0, format, measured);
    va_end(measured);
    if (length < 0) {
        text->failed = true;
        return error_int("text cannot be formatted with \"%s\"", format);
    }
    if (reserve(text, (size_t)length)) return -1;
    vsnprintf(text->data + text->length, (size_t)length + 1, format, args);
    text->length += (size_t)length;
    return 0;
}

int text_add(Text *text, const char *format, ...) {
    va_list args;
    va_start(args, format);
    int result = add_formatted(text, format, args);
    va_end(args);
    return result;
}

int text_add_bytes(Text *text, const void *bytes, size_t size) {
    if (reserve(text, size)) return -1;
    if (size) memcpy(text->data + text->length, bytes, size);
    text->length += size;
    text->data[text->length] = '\0';
    return 0;
}

const char *text_string(const Text *text) {
    return text->data ? text->data : "";
}

char *text_take(Text *text) {
    char *data = NULL;
    if (reserve(text, 0) == 0) {
        text->data[text->length] = '\0';
        data = text->data;
        text->data = NULL;
    }
    text_free(text);
    return data;
}

void text_free(Text *text) {
    free(text->data);
    *text = (Text){0};
}

char *text_format(const char *format, ...) {
    Text text = {0};
    va_list args;
    va_start(args, format);
    add_formatted(&text, format, args);
    va_end(args);
    return text_take(&text);
}

char *text_trim(char *text) {
    while (isspace((unsigned char)*text)) text++;
    size_t length = strlen(text);
    while (length && isspace((unsigned char)text[length - 1])) length--;
    text[length] = '\0';
    return text;
}

bool text_starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

bool text_ends_with(const char *text, const char *end) {
    size_t length = strlen(text), tail = strlen(end);
    return length >= tail && memcmp(text + length - tail, end, tail) == 0;
}

// Length of the UTF-8 sequence that starts here, 0 when it is none. Stops at the NUL.
static int utf8_length(const unsigned char *c) {
    if (c[0] < 0x80) return 1;
    int length = c[0] >= 0xF0 ? 4 : c[0] >= 0xE0 ? 3 : 2;
    if (c[0] < 0xC2 || c[0] > 0xF4) return 0;
    for (int i = 1; i < length; i++)
        if ((c[i] & 0xC0) != 0x80) return 0;
    if ((c[0] == 0xE0 && c[1] < 0xA0) || (c[0] == 0xED && c[1] > 0x9F)) return 0;
    if ((c[0] == 0xF0 && c[1] < 0x90) || (c[0] == 0xF4 && c[1] > 0x8F)) return 0;
    return length;
}

bool text_is_utf8(const char *text) {
    while (*text) {
        int length = utf8_length((const unsigned char *)text);
        if (length == 0) return false;
        text += length;
    }
    return true;
}

static size_t least(size_t a, size_t b) {
    return a < b ? a : b;
}

static bool same_letter(char a, char b) {
    return tolower((unsigned char)a) == tolower((unsigned char)b);
}

// Optimal string alignment; three rows of the table suffice, as a swap looks back two rows.
size_t text_distance(const char *a, const char *b) {
    size_t rows[3][WORD_MAX + 1];
    size_t la = strlen(a), lb = strlen(b);
    if (la > WORD_MAX || lb > WORD_MAX) return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++) rows[0][j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i - 1) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t replace = above[j - 1] + (same_letter(a[i - 1], b[j - 1]) ? 0 : 1);
            row[j] = least(replace, least(above[j], row[j - 1]) + 1);
            if (i > 1 && j > 1 && same_letter(a[i - 1], b[j - 2]) &&
                same_letter(a[i - 2], b[j - 1]))
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[la % 3][lb];
}

const char *text_nearest(const char *word, const char *const *first, size_t count, size_t stride) {
    const char *best = NULL;
    size_t length = strlen(word);
    size_t limit = length < 4 ? 1 : least(2 + length / 6, 5);
    for (size_t i = 0; i < count; i++) {
        const char *known = *(const char *const *)(const void *)((const char *)first + i * stride);
        size_t distance = text_distance(word, known);
        const char *tail = strrchr(known, '.');
        if (tail && !strchr(word, '.')) distance = least(distance, text_distance(word, tail + 1));
        if (distance > limit || (best && distance == limit)) continue;
        best = known;
        limit = distance;
    }
    return best;
}

int text_to_int64(const char *text, int64_t min, int64_t max, int64_t *value) {
    char *end;
    errno = 0;
    long long parsed = strtoll(text, &end, 10);
    if (end == text || *end != '\0' || isspace((unsigned char)*text))
        return error_int("found \"%s\", expected an integer", text);
    if (errno == ERANGE || parsed < min || parsed > max)
        return error_int("found %s, expected an integer in [%lld, %lld]", text, (long long)min,
                         (long long)max);
    *value = parsed;
    return 0;
}

int text_to_double(const char *text, double min, double max, double *value) {
    char *end;
    double parsed = strtod(text, &end);
    if (end == text || *end != '\0' || isspace((unsigned char)*text) || strpbrk(text, "xX"))
        return error_int("found \"%s\", expected a number", text);
    if (!isfinite(parsed)) return error_int("found %s, expected a number that is finite", text);
    if (parsed < min || parsed > max)
        return error_int("found %s, expected a number in [%g, %g]", text, min, max);
    *value = parsed;
    return 0;
}

int text_to_bool(const char *text, bool *value) {
    bool yes = strcmp(text, "true") == 0;
    if (!yes && strcmp(text, "false") != 0)
        return error_int("found \"%s\", expected true or false", text);
    *value = yes;
    return 0;
}
