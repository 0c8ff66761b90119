// SPDX-License-Identifier: MIT
// The device as memory of the host: what is asked of it is done at once, but for what the host
// reads, which is there no sooner than the host has waited for it. See cuda/runtime.h.
#include "cuda/runtime.h"

#include "base/error.h"
#include "cuda/emulation/work.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int device_open(void) {
    return 0;
}

const char *device_text(void) {
    return "emulated";
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

size_t device_room(void) {
    return 0;
}

void *pinned_take(size_t bytes) {
    return malloc(bytes);
}

// ---- copies -------------------------------------------------------------------------------------

// A copy to the host on its way: what it will find there, and the marks set since.
typedef struct Arrival Arrival;
struct Arrival {
    Arrival *next;
    void *to;
    size_t bytes;
    uint64_t marks;
    char values[];
};
static Arrival *arrivals;
typedef char marks_have_bits[(int)MARK_COUNT <= 64 ? 1 : -1];

static int depart(void *to, const void *from, size_t bytes) {
    Arrival **end = &arrivals, *arrival = malloc(sizeof *arrival + bytes);
    if (!arrival) return error_int("emulation: out of memory");
    *arrival = (Arrival){.to = to, .bytes = bytes};
    memcpy(arrival->values, from, bytes);
    while (*end) end = &(*end)->next;
    *end = arrival;
    return 0;
}

// Those that come before a mark; all for mark < 0.
static void arrive(int mark) {
    for (Arrival **at = &arrivals; *at;) {
        Arrival *arrival = *at;
        if (mark >= 0 && !(arrival->marks >> mark & 1)) {
            at = &arrival->next;
            continue;
        }
        memcpy(arrival->to, arrival->values, arrival->bytes);
        *at = arrival->next;
        free(arrival);
    }
}

typedef struct {
    void *to;
    const void *from;
    size_t bytes;
    int byte;
} Bytes;

static int copy_bytes(void *context) {
    const Bytes *b = context;
    memcpy(b->to, b->from, b->bytes);
    return 0;
}

static int set_bytes(void *context) {
    const Bytes *b = context;
    memset(b->to, b->byte, b->bytes);
    return 0;
}

int device_copy(Stream stream, void *to, const void *from, size_t bytes, CopyDirection direction) {
    Bytes b = {.to = to, .from = from, .bytes = bytes};
    if (direction == COPY_WITHIN_DEVICE) return emulate_work(copy_bytes, &b, sizeof b);
    if (emulate_records())
        return error_int("emulation: a copy between host and device in a recording");
    (void)stream;
    if (direction == COPY_TO_DEVICE && emulate_fault(EMULATE_UPLOAD) != 0) return -1;
    return direction == COPY_FROM_DEVICE ? depart(to, from, bytes) : copy_bytes(&b);
}

int device_set(void *to, int byte, size_t bytes) {
    Bytes b = {.to = to, .byte = byte, .bytes = bytes};
    return emulate_work(set_bytes, &b, sizeof b);
}

// ---- order --------------------------------------------------------------------------------------

int stream_follow(Stream later, Stream earlier) {
    (void)later, (void)earlier;
    return 0;
}

int stream_wait(Stream stream) {
    (void)stream;
    arrive(-1);
    return 0;
}

int mark_set(int mark, Stream stream) {
    for (Arrival *arrival = arrivals; arrival && stream == STREAM_COMPUTE; arrival = arrival->next)
        arrival->marks |= UINT64_C(1) << mark;
    return 0;
}

int mark_wait(int mark) {
    arrive(mark);
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
