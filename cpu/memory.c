// SPDX-License-Identifier: MIT
// A caching allocator: freed blocks wait to be handed out again, so that after the first step
// nothing is asked of the system and no page is touched for the first time. Small blocks wait in
// lists by size class, large ones in the arena, where free neighbours join to a place for another
// size. In sanitizer builds every block comes from and goes back to the system.
#include "cpu/memory.h"

#include "base/size_class.h"
#include "cpu/arena.h"
#include "cpu/cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { ALIGNMENT = 64, GUARD_VALUE = 0xA5, LARGE = 256 << 10 };
#ifdef P2S_SANITIZED
enum { CACHING = 0, GUARD_BYTES = 0 }; // the sanitizer guards every byte
#else
enum { CACHING = 1, GUARD_BYTES = 64 };
#endif

typedef struct FreeBlock {
    struct FreeBlock *next;
} FreeBlock;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FreeBlock *lists[SIZE_CLASSES];
static BackendStats stats; // without what the arena holds
static bool poison;
static int64_t damaged;

static void *from_system(size_t bytes) {
    void *memory = NULL;
    if (posix_memalign(&memory, ALIGNMENT, bytes) != 0) return NULL;
    stats.held += bytes;
    return memory;
}

static void to_system(void *memory, size_t bytes) {
    stats.held -= bytes;
    free(memory);
}

static void *take(size_t bytes) {
    if (!CACHING) return from_system(bytes); // exact, so that one byte too many is seen
    if (bytes >= LARGE) return arena_take(bytes);
    size_t size;
    int class = size_class(bytes, &size);
    FreeBlock *block = lists[class];
    if (!block) return from_system(size);
    lists[class] = block->next;
    return block;
}

static void give(void *memory, size_t bytes) {
    if (!CACHING) {
        to_system(memory, bytes);
    } else if (bytes >= LARGE) {
        arena_give(memory, bytes);
    } else {
        size_t size;
        int class = size_class(bytes, &size);
        FreeBlock *block = memory;
        block->next = lists[class];
        lists[class] = block;
    }
}

void *memory_alloc(size_t bytes) {
    pthread_mutex_lock(&lock);
    char *memory = take(bytes + GUARD_BYTES);
    if (memory) {
        stats.live += bytes;
        if (stats.live > stats.peak) stats.peak = stats.live;
    }
    bool fill = poison;
    pthread_mutex_unlock(&lock);
    if (memory && fill) memset(memory, 0xFF, bytes);
    if (memory) memset(memory + bytes, GUARD_VALUE, GUARD_BYTES);
    return memory;
}

void memory_free(void *memory, size_t bytes) {
    if (!memory) return;
    const unsigned char *guard = (const unsigned char *)memory + bytes;
    bool broken = false;
    for (int i = 0; i < GUARD_BYTES; i++) broken = broken || guard[i] != GUARD_VALUE;
    pthread_mutex_lock(&lock);
    damaged += broken;
    stats.live -= bytes;
    give(memory, bytes + GUARD_BYTES);
    pthread_mutex_unlock(&lock);
}

void memory_trim(void) {
    pthread_mutex_lock(&lock);
    arena_trim();
    for (int class = 0; class < SIZE_CLASSES; class ++) {
        size_t size = size_class_bytes(class);
        while (lists[class]) {
            FreeBlock *block = lists[class];
            lists[class] = block->next;
            to_system(block, size);
        }
    }
    pthread_mutex_unlock(&lock);
}

BackendStats memory_stats(void) {
    pthread_mutex_lock(&lock);
    BackendStats copy = stats;
    copy.held += arena_held();
    pthread_mutex_unlock(&lock);
    return copy;
}

void memory_reset_stats(void) {
    pthread_mutex_lock(&lock);
    stats.peak = stats.live;
    stats.flops = 0;
    pthread_mutex_unlock(&lock);
}

void cpu_poison_memory(bool on) {
    pthread_mutex_lock(&lock);
    poison = on;
    pthread_mutex_unlock(&lock);
}

int64_t cpu_damaged_blocks(void) {
    pthread_mutex_lock(&lock);
    int64_t count = damaged;
    damaged = 0;
    pthread_mutex_unlock(&lock);
    return count;
}
