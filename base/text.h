// SPDX-License-Identifier: MIT
// Text: a growing buffer, strict number parsing, and the nearest known word for hints.
#ifndef BASE_TEXT_H
#define BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// A growing buffer; start with a zeroed struct. `data` is NULL while empty, else NUL-terminated.
typedef struct {
    char *data;
    size_t length, capacity;
    bool failed; // an addition failed; the buffer takes no more
} Text;

// Appends printf-formatted text. Returns 0, or -1 and an error; after a failure every further
// addition fails too, so a caller may add much and check once.
int text_add(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

// Appends size bytes.
int text_add_bytes(Text *text, const void *bytes, size_t size);

// The text so far, "" when nothing was added. Valid until the next change.
const char *text_string(const Text *text);

// Hands the string over to the caller, who frees it, and empties the buffer. NULL when an addition
// failed.
char *text_take(Text *text);

void text_free(Text *text);

// A new string, printf-formatted, owned by the caller. NULL and an error when memory is out.
char *text_format(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Removes white space from both ends: moves the end and returns the first character that stays.
char *text_trim(char *text);

bool text_starts_with(const char *text, const char *start);
bool text_ends_with(const char *text, const char *end);

// Whether the bytes are UTF-8: no overlong forms, no surrogates, at most U+10FFFF.
bool text_is_utf8(const char *text);

// Number of insertions, deletions, replacements and swaps of neighbours that turn a into b, without
// regard to case. SIZE_MAX when either is longer than 127 bytes.
size_t text_distance(const char *a, const char *b);

// The word nearest to `word`, NULL when none is near enough to be a likely mistype. A dotted word
// is also found by its last part ("lr" finds "train.lr"). `first` is the address of the first
// word's pointer, the next stands `stride` bytes on: sizeof(char *) for a plain array, the size of
// the struct for a table.
const char *text_nearest(const char *word, const char *const *first, size_t count, size_t stride);

// Strict parsing: the whole text, without blanks around it, must be one decimal value in
// [min, max]. Doubles must be finite. Bools are true or false. On failure *value stays as it was
// and -1 and an error that says what was found and expected comes back.
int text_to_int64(const char *text, int64_t min, int64_t max, int64_t *value);
int text_to_double(const char *text, double min, double max, double *value);
int text_to_bool(const char *text, bool *value);

#endif
