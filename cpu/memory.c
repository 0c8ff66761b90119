// SPDX-License-Identifier: MIT
// A caching allocator: freed blocks wait in lists by size class and are handed out again, so that
// after the first step nothing is asked of the system and no page is touched for the first time.
// Idle ones are given back, the largest first, before a large one of another size is asked for: of
// two idle images of 100 MB and a wish for one of 200, only the wish stays.
// In sanitizer builds every block comes from and goes back to the system.
#define _DEFAULT_SOURCE // madvise
#include "cpu/memory.h"

#include "base/size_class.h"
#include "cpu/cpu.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

enum { ALIGNMENT = 64, GUARD_VALUE = 0xA5 };
#define LARGE ((size_t)32 << 20)     // wishes for which idle blocks go,
#define WORTHWHILE ((size_t)4 << 20) // and the least of these
#define HUGE_PAGE ((size_t)2 << 20)
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
static BackendStats stats;
static size_t idle; // bytes of worthwhile blocks in the lists
static bool poison;
static int64_t damaged;

static void *from_system(size_t bytes) {
    size_t alignment = bytes >= 2 * HUGE_PAGE ? HUGE_PAGE : ALIGNMENT;
    void *memory = NULL;
    if (posix_memalign(&memory, alignment, bytes) != 0) return NULL;
    if (alignment == HUGE_PAGE) madvise(memory, bytes, MADV_HUGEPAGE);
    return memory;
}

// Gives the pages back at once, wherever the C library keeps the addresses. bytes: of a size class,
// which from 4 MB on are whole pages, so that nothing behind the block goes with them.
static void to_system(void *memory, size_t bytes) {
    if (bytes >= 2 * HUGE_PAGE) madvise(memory, bytes, MADV_DONTNEED);
    free(memory);
}

// One block that kernels have in turn.
static struct {
    void *memory;
    size_t bytes;
    bool taken;
} scratch;

static void drop_scratch(void) {
    to_system(scratch.memory, scratch.bytes);
    stats.held -= scratch.bytes;
    scratch.memory = NULL;
    scratch.bytes = 0;
}

// Frees idle blocks, the largest first, until `bytes` are free or none is left; then the scratch.
static void free_idle(size_t bytes) {
    size_t freed = 0;
    for (int class = SIZE_CLASSES - 1; class >= 0 && freed < bytes && idle > 0; class --) {
        const size_t size = size_class_bytes(class);
        while (size >= WORTHWHILE && lists[class] && freed < bytes) {
            FreeBlock *block = lists[class];
            lists[class] = block->next;
            to_system(block, size);
            freed += size, idle -= size, stats.held -= size;
        }
    }
    if (freed < bytes && !scratch.taken) drop_scratch();
}

static void *take(size_t bytes) {
    size_t size;
    int class = size_class(bytes, &size);
    if (class >= SIZE_CLASSES) return NULL;
    FreeBlock *block = lists[class];
    if (block) {
        lists[class] = block->next;
        if (size >= WORTHWHILE) idle -= size;
        return block;
    }
    if (size >= LARGE) free_idle(size);
    if (!CACHING) size = bytes; // exact, so that a sanitizer sees one byte too many
    void *memory = from_system(size);
    if (memory) stats.held += size;
    return memory;
}

static void give(void *memory, size_t bytes) {
    size_t size;
    int class = size_class(bytes, &size);
    if (!CACHING) {
        stats.held -= bytes;
        free(memory);
        return;
    }
    FreeBlock *block = memory;
    block->next = lists[class];
    lists[class] = block;
    if (size >= WORTHWHILE) idle += size;
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

// ---- scratch ------------------------------------------------------------------------------------

// The shared block, grown to `bytes`; NULL when it is taken or there is no memory.
static void *take_scratch(size_t bytes) {
    if (!CACHING || poison || scratch.taken) return NULL;
    if (scratch.bytes < bytes) {
        drop_scratch();
        size_t size;
        size_class(bytes, &size);
        scratch.memory = from_system(size);
        if (!scratch.memory) return NULL;
        scratch.bytes = size;
        stats.held += size;
    }
    scratch.taken = true;
    stats.live += bytes;
    if (stats.live > stats.peak) stats.peak = stats.live;
    return scratch.memory;
}

void *memory_scratch(size_t bytes) {
    pthread_mutex_lock(&lock);
    void *memory = take_scratch(bytes);
    pthread_mutex_unlock(&lock);
    return memory ? memory : memory_alloc(bytes);
}

void memory_scratch_done(void *memory, size_t bytes) {
    pthread_mutex_lock(&lock);
    bool shared = memory && memory == scratch.memory;
    if (shared) {
        scratch.taken = false;
        stats.live -= bytes;
    }
    pthread_mutex_unlock(&lock);
    if (!shared) memory_free(memory, bytes);
}

// -------------------------------------------------------------------------------------------------

void memory_trim(void) {
    pthread_mutex_lock(&lock);
    if (!scratch.taken) drop_scratch();
    for (int class = 0; class < SIZE_CLASSES; class ++) {
        size_t size = size_class_bytes(class);
        while (lists[class]) {
            FreeBlock *block = lists[class];
            lists[class] = block->next;
            stats.held -= size;
            free(block);
        }
    }
    idle = 0;
    pthread_mutex_unlock(&lock);
}

BackendStats memory_stats(void) {
    pthread_mutex_lock(&lock);
    BackendStats copy = stats;
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
