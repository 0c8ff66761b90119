// SPDX-License-Identifier: MIT
// Packed large blocks. See arena.h.
//
// One range of addresses as large as the machine's memory is reserved; pages come with the first
// touch. Blocks of every size share huge pages, so that none of them has a half-used one of its
// own, as separate blocks do (0.7 GB in a Stable Diffusion 2 step). Where so many addresses are not
// to be had, ranges that fit the wish take its place.
#define _DEFAULT_SOURCE // madvise, MAP_ANONYMOUS
#include "cpu/arena.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HUGE_PAGE ((size_t)2 << 20)

typedef struct {
    char *at;
    size_t size;
} Span;

// Free places below `reach`, by address; beyond it nothing was touched up to `end`.
static Span *spans;
static size_t count, room, held;
static char *reach, *end;

static size_t page_size(void) {
    static size_t size;
    if (size == 0) size = (size_t)sysconf(_SC_PAGESIZE);
    return size;
}

// `bytes` as whole pages; 0 when that overflows.
static size_t in_pages(size_t bytes) {
    size_t page = page_size();
    return bytes > SIZE_MAX - page ? 0 : (bytes + page - 1) / page * page;
}

static void remove_span(size_t i) {
    count--;
    memmove(spans + i, spans + i + 1, (count - i) * sizeof *spans);
}

static bool make_room(void) {
    if (count < room) return true;
    size_t wanted = room ? 2 * room : 64;
    Span *bigger = realloc(spans, wanted * sizeof *spans);
    if (!bigger) return false;
    spans = bigger;
    room = wanted;
    return true;
}

// Joins the free place with those that it touches. Without memory for the list it is lost.
static void add_span(Span span) {
    size_t i = 0;
    while (i < count && spans[i].at < span.at) i++;
    bool before = i > 0 && spans[i - 1].at + spans[i - 1].size == span.at;
    bool after = i < count && span.at + span.size == spans[i].at;
    if (before && after) {
        spans[i - 1].size += span.size + spans[i].size;
        remove_span(i);
    } else if (before) {
        spans[i - 1].size += span.size;
    } else if (after) {
        spans[i] = (Span){span.at, span.size + spans[i].size};
    } else if (make_room()) {
        memmove(spans + i + 1, spans + i, (count - i) * sizeof *spans);
        spans[i] = span;
        count++;
    }
}

static char *reserve(size_t bytes) {
    void *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

// Makes a new range the place beyond `reach`; what is left of the old one is a free place.
static bool begin_range(size_t bytes) {
    size_t size = (size_t)sysconf(_SC_PHYS_PAGES) * page_size() + HUGE_PAGE;
    char *memory = size > bytes + HUGE_PAGE ? reserve(size) : NULL;
    if (!memory) memory = bytes < SIZE_MAX - HUGE_PAGE ? reserve(size = bytes + HUGE_PAGE) : NULL;
    if (!memory) return false;
    if (reach < end) {
        held += (size_t)(end - reach);
        add_span((Span){reach, (size_t)(end - reach)});
    }
    reach = memory + (HUGE_PAGE - (uintptr_t)memory % HUGE_PAGE) % HUGE_PAGE;
    end = memory + size;
    madvise(reach, (size_t)(end - reach), MADV_HUGEPAGE);
    return true;
}

// The free place that ends where untouched memory begins; `count` when there is none.
static size_t last_span(void) {
    size_t i = 0;
    while (i < count && spans[i].at + spans[i].size != reach) i++;
    return i;
}

static void *take_beyond(size_t bytes) {
    size_t last = last_span();
    char *at = last < count ? spans[last].at : reach;
    if ((size_t)(end - at) < bytes) {
        if (!begin_range(bytes)) return NULL;
        at = reach;
    } else if (last < count) {
        remove_span(last);
    }
    held += (size_t)(at + bytes - reach);
    reach = at + bytes;
    return at;
}

void *arena_take(size_t bytes) {
    bytes = in_pages(bytes);
    if (bytes == 0) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (spans[i].size < bytes) continue;
        char *at = spans[i].at;
        spans[i] = (Span){at + bytes, spans[i].size - bytes};
        if (spans[i].size == 0) remove_span(i);
        return at;
    }
    return take_beyond(bytes);
}

void arena_give(void *memory, size_t bytes) {
    add_span((Span){memory, in_pages(bytes)});
}

void arena_trim(void) {
    for (size_t i = 0; i < count; i++) madvise(spans[i].at, spans[i].size, MADV_DONTNEED);
    size_t last = last_span();
    if (last == count) return;
    held -= spans[last].size;
    reach = spans[last].at;
    remove_span(last);
}

size_t arena_held(void) {
    return held;
}
