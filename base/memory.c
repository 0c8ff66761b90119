// SPDX-License-Identifier: MIT
// Checked allocation. See memory.h.
#include "base/memory.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

static _Thread_local int64_t fail_at;

static bool fails_now(void) {
    if (fail_at == 0) return false;
    fail_at--;
    return fail_at == 0;
}

int size_multiply(size_t a, size_t b, size_t *product) {
    if (b != 0 && a > SIZE_MAX / b) return error_int("size overflow: %zu times %zu bytes", a, b);
    *product = a * b;
    return 0;
}

static void *allocate(size_t count, size_t size, bool zeroed) {
    size_t bytes;
    if (size_multiply(count, size, &bytes)) return NULL;
    const size_t least = bytes ? bytes : 1;
    void *memory = fails_now() ? NULL : zeroed ? calloc(least, 1) : malloc(least);
    if (!memory) return error_null("out of memory: %zu bytes asked for", bytes);
    return memory;
}

void *array_new(size_t count, size_t size) {
    return allocate(count, size, true);
}

void *array_new_unset(size_t count, size_t size) {
    return allocate(count, size, false);
}

void *array_resize(void *array, size_t count, size_t size) {
    size_t bytes;
    if (size_multiply(count, size, &bytes)) return NULL;
    void *memory = fails_now() ? NULL : realloc(array, bytes ? bytes : 1);
    if (!memory) return error_null("out of memory: %zu bytes asked for", bytes);
    return memory;
}

int array_grow(void *array, size_t *capacity, size_t count, size_t size) {
    if (count < *capacity) return 0;
    size_t doubled = *capacity ? 0 : 16;
    if (*capacity && size_multiply(*capacity, 2, &doubled)) return -1;
    void *memory;
    memcpy(&memory, array, sizeof memory);
    memory = array_resize(memory, doubled, size);
    if (!memory) return -1;
    memcpy(array, &memory, sizeof memory);
    *capacity = doubled;
    return 0;
}

char *string_copy(const char *text) {
    if (!text) return NULL;
    size_t size = strlen(text) + 1;
    char *copy = array_new(size, 1);
    if (copy) memcpy(copy, text, size);
    return copy;
}

void memory_keep_freed(void) {
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 32 << 20);
    mallopt(M_TRIM_THRESHOLD, 64 << 20);
#endif
}

void memory_return_freed(void) {
#ifdef __GLIBC__
    malloc_trim(0);
#endif
}

void memory_fail_at(int64_t n) {
    fail_at = n;
}
