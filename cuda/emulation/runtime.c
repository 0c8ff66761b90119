// SPDX-License-Identifier: MIT
// The device as memory of the host: what is asked of it is done at once. See cuda/runtime.h.
#include "cuda/runtime.h"

#include <stdlib.h>
#include <string.h>

int device_open(void) {
    return 0;
}

// Exact sizes, so that a sanitizer sees one byte too many; NaN patterns, so that reads of what was
// never written show.
void *device_take(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, 256, bytes ? bytes : 1) != 0) return NULL;
    memset(memory, 0xff, bytes);
    return memory;
}

void device_give(void *memory) {
    free(memory);
}

void *pinned_take(size_t bytes) {
    return malloc(bytes);
}

int device_copy(Stream stream, void *to, const void *from, size_t bytes, CopyDirection direction) {
    (void)stream, (void)direction;
    memcpy(to, from, bytes);
    return 0;
}

int device_set(void *to, int byte, size_t bytes) {
    memset(to, byte, bytes);
    return 0;
}

int stream_follow(Stream later, Stream earlier) {
    (void)later, (void)earlier;
    return 0;
}

int stream_wait(Stream stream) {
    (void)stream;
    return 0;
}

int mark_set(int mark, Stream stream) {
    (void)mark, (void)stream;
    return 0;
}

int mark_wait(int mark) {
    (void)mark;
    return 0;
}

void *device_stream(Stream stream) {
    (void)stream;
    return NULL;
}

int device_launched(const char *kernel) {
    (void)kernel;
    return 0;
}
