// SPDX-License-Identifier: MIT
// Device memory: freed blocks wait in lists by size class. See memory.h. In sanitizer builds every
// block comes from and goes back to the device layer.
#include "cuda/memory.h"

#include "base/error.h"
#include "base/size_class.h"
#include "cuda/cuda.h"
#include "cuda/fault.h"
#include "cuda/record.h"
#include "cuda/rounded.h"
#include "cuda/runtime.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#ifdef P2S_SANITIZED
enum { CACHING = 0 };
#else
enum { CACHING = 1 };
#endif

// A list's blocks; device memory cannot hold the links itself.
typedef struct {
    void **blocks;
    size_t count, room;
} FreeList;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static FreeList lists[SIZE_CLASSES];
static BackendStats stats;
static bool poison;

// ---- blocks -------------------------------------------------------------------------------------

static void *take(size_t bytes) {
    size_t size;
    int class = size_class(bytes, &size);
    if (class >= SIZE_CLASSES) return NULL;
    FreeList *list = &lists[class];
    if (list->count > 0) return list->blocks[--list->count];
    if (!CACHING) size = bytes ? bytes : 1;
    void *memory = device_take(size);
    stats.allocations++;
    if (memory) stats.held += size;
    return memory;
}

static void give_back(void *memory, size_t size) {
    record_lose(memory);
    stats.held -= size;
    device_give(memory);
}

static void give(void *memory, size_t bytes) {
    size_t size;
    if (record_give(memory, bytes)) return;
    FreeList *list = &lists[size_class(bytes, &size)];
    if (!CACHING) {
        give_back(memory, bytes ? bytes : 1);
        return;
    }
    if (list->count == list->room) {
        size_t room = list->room ? 2 * list->room : 16;
        void **blocks = realloc(list->blocks, room * sizeof *blocks);
        if (!blocks) {
            give_back(memory, size);
            return;
        }
        list->blocks = blocks;
        list->room = room;
    }
    list->blocks[list->count++] = memory;
}

static void trim(void) {
    for (int class = 0; class < SIZE_CLASSES; class ++) {
        FreeList *list = &lists[class];
        while (list->count > 0) give_back(list->blocks[--list->count], size_class_bytes(class));
        free(list->blocks);
        *list = (FreeList){0};
    }
}

void *cuda_alloc(size_t bytes) {
    pthread_mutex_lock(&lock);
    void *memory = take(bytes);
    if (!memory) {
        trim();
        memory = take(bytes);
    }
    if (memory) {
        record_take(memory);
        stats.live += bytes;
        if (stats.live > stats.peak) stats.peak = stats.live;
    }
    bool fill = poison;
    pthread_mutex_unlock(&lock);
    if (memory && fill && bytes > 0) device_set(memory, 0xff, bytes);
    return memory;
}

void cuda_free(void *memory, size_t bytes) {
    if (!memory) return;
    rounded_drop(memory);
    pthread_mutex_lock(&lock);
    stats.live -= bytes;
    give(memory, bytes);
    pthread_mutex_unlock(&lock);
}

bool cuda_memory_is_cached(void) {
    return CACHING;
}

void cuda_memory_release(void *memory, size_t bytes) {
    pthread_mutex_lock(&lock);
    give_back(memory, bytes ? bytes : 1);
    pthread_mutex_unlock(&lock);
}

void *cuda_scratch(const char *op, size_t bytes) {
    void *memory = cuda_alloc(bytes);
    if (!memory)
        error_null("%s: out of device memory for %.1f MB of scratch", op, (double)bytes / 1e6);
    return memory;
}

void cuda_trim(void) {
    pthread_mutex_lock(&lock);
    trim();
    pthread_mutex_unlock(&lock);
}

BackendStats cuda_stats(void) {
    pthread_mutex_lock(&lock);
    BackendStats copy = stats;
    pthread_mutex_unlock(&lock);
    copy.replays = record_replays();
    copy.room = device_room();
    return copy;
}

void cuda_reset_stats(void) {
    pthread_mutex_lock(&lock);
    stats.peak = stats.live;
    stats.flops = 0;
    pthread_mutex_unlock(&lock);
}

void cuda_poison_memory(bool on) {
    pthread_mutex_lock(&lock);
    poison = on;
    pthread_mutex_unlock(&lock);
}

// ---- staged copies ------------------------------------------------------------------------------

// Uploads go through page-locked parts in turn, each with a mark: as many as the batches of a step
// need, so that the host prepares a step while the device computes the one before.
enum { UPLOADS = 32, STAGE_BYTES = 4 << 20, MARK_FETCH = UPLOADS };
typedef char has_enough_marks[(int)MARK_COUNT >= UPLOADS + FETCH_SLOTS ? 1 : -1];

// What a fetch brings.
typedef struct {
    Fault fault;
    char bytes[FETCH_BYTES];
} Fetch;

// One part more is for downloads; then the note of the last fault and its copy.
static pthread_mutex_t staging = PTHREAD_MUTEX_INITIALIZER;
static char *uploads[UPLOADS], *download;
static Fault *fault, *fault_copy;
static Fetch *fetches[FETCH_SLOTS];
static int turn;

static void *pinned(size_t bytes) {
    stats.allocations++;
    return pinned_take(bytes);
}

static int make_stages(void) {
    if (fault) return 0;
    bool made = true;
    for (int i = 0; i < UPLOADS; i++) made = made && (uploads[i] = pinned(STAGE_BYTES));
    for (int i = 0; i < FETCH_SLOTS; i++) made = made && (fetches[i] = pinned(sizeof **fetches));
    made = made && (download = pinned(STAGE_BYTES)) && (fault_copy = pinned(sizeof *fault_copy));
    Fault *note = device_take(sizeof *note);
    stats.allocations++;
    if (!made || !note)
        return error_int("out of page-locked memory for copies between host and device");
    fault = note;
    return device_set(fault, 0, sizeof *fault);
}

Fault *cuda_fault(void) {
    pthread_mutex_lock(&staging);
    int result = make_stages();
    pthread_mutex_unlock(&staging);
    return result == 0 ? fault : NULL;
}

static int upload(char *to, const char *host, size_t bytes) {
    if (make_stages() != 0 || stream_follow(STREAM_COPY, STREAM_COMPUTE) != 0) return -1;
    for (size_t at = 0, part; at < bytes; at += part) {
        part = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        turn = (turn + 1) % UPLOADS;
        if (mark_wait(turn) != 0) return -1;
        memcpy(uploads[turn], host + at, part);
        if (device_copy(STREAM_COPY, to + at, uploads[turn], part, COPY_TO_DEVICE) != 0 ||
            mark_set(turn, STREAM_COPY) != 0)
            return -1;
    }
    return stream_follow(STREAM_COMPUTE, STREAM_COPY);
}

int cuda_write(void *to, const void *host, size_t bytes) {
    if (record_forbids("a tensor is written") != 0) return -1;
    pthread_mutex_lock(&staging);
    int result = upload(to, host, bytes);
    pthread_mutex_unlock(&staging);
    return result == 0 ? rounded_renew(to) : -1;
}

static int check_fault(void) {
    int result = cuda_fault_check(fault_copy);
    if (result != 0) device_set(fault, 0, sizeof *fault);
    return result;
}

static int fetch(char *host, const char *from, size_t bytes) {
    if (make_stages() != 0) return -1;
    if (device_copy(STREAM_COMPUTE, fault_copy, fault, sizeof *fault, COPY_FROM_DEVICE) != 0)
        return -1;
    for (size_t at = 0, part; at < bytes; at += part) {
        part = bytes - at < STAGE_BYTES ? bytes - at : STAGE_BYTES;
        if (device_copy(STREAM_COMPUTE, download, from + at, part, COPY_FROM_DEVICE) != 0 ||
            stream_wait(STREAM_COMPUTE) != 0)
            return -1;
        stats.waits++;
        memcpy(host + at, download, part);
    }
    return bytes > 0 ? check_fault() : 0;
}

int cuda_read(void *host, const void *from, size_t bytes) {
    if (record_forbids("a tensor is read") != 0) return -1;
    pthread_mutex_lock(&staging);
    int result = fetch(host, from, bytes);
    pthread_mutex_unlock(&staging);
    return result;
}

int cuda_copy(void *to, const void *from, size_t bytes) {
    if (bytes == 0) return 0;
    if (device_copy(STREAM_COMPUTE, to, from, bytes, COPY_WITHIN_DEVICE) != 0) return -1;
    return rounded_renew(to);
}

// ---- reads that wait for nothing later ----------------------------------------------------------

static int begin_fetch(Fetch *fetch, int mark, const void *from, size_t bytes) {
    if (device_copy(STREAM_COMPUTE, &fetch->fault, fault, sizeof *fault, COPY_FROM_DEVICE) != 0 ||
        device_copy(STREAM_COMPUTE, fetch->bytes, from, bytes, COPY_FROM_DEVICE) != 0)
        return -1;
    return mark_set(mark, STREAM_COMPUTE);
}

int cuda_fetch_begin(int slot, const void *from, size_t bytes) {
    if (bytes > FETCH_BYTES || slot < 0 || slot >= FETCH_SLOTS)
        return error_int("fetch: %zu bytes in slot %d, at most %d in 0..%d", bytes, slot,
                         FETCH_BYTES, FETCH_SLOTS - 1);
    pthread_mutex_lock(&staging);
    int result = make_stages();
    if (result == 0) result = begin_fetch(fetches[slot], MARK_FETCH + slot, from, bytes);
    pthread_mutex_unlock(&staging);
    return result;
}

int cuda_fetch_end(int slot, void *host, size_t bytes) {
    if (mark_wait(MARK_FETCH + slot) != 0) return -1;
    memcpy(host, fetches[slot]->bytes, bytes);
    if (cuda_fault_check(&fetches[slot]->fault) == 0) return 0;
    device_set(fault, 0, sizeof *fault);
    return -1;
}
