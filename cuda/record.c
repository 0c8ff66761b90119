// SPDX-License-Identifier: MIT
// Recordings by key, and the blocks that each works with. See record.h.
#include "cuda/record.h"

#include "base/error.h"
#include "base/memory.h"
#include "cuda/memory.h"
#include "cuda/runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_RECORDINGS = 64 };

typedef struct {
    void *memory;
    size_t bytes;
} Kept;

typedef struct {
    RecordKey key;
    void *work;    // NULL: done plainly once, or lost
    bool refused;  // it cannot be recorded
    bool failed;   // the device could not keep or do a recording of it, which is tried once more
    bool lost;     // a block has gone back to the system
    void **blocks; // taken by the work, in order of address
    size_t count, room;
    size_t held; // of those, now in use by others
    Kept *kept;  // blocks that wait here for the end of the recording
    size_t kept_count, kept_room;
} Recording;

// All work on the device is given by one thread; the allocator's lock covers the rest.
static Recording recordings[MOST_RECORDINGS];
static int count;
static Recording *open_one;
static size_t live_before;
static int64_t replays;

bool record_is_open(void) {
    return open_one != NULL;
}

int64_t record_replays(void) {
    return replays;
}

int record_forbids(const char *what) {
    if (!open_one) return 0;
    return error_int("%s by the host, which recorded work cannot repeat", what);
}

// ---- blocks -------------------------------------------------------------------------------------

static int by_address(const void *a, const void *b) {
    const char *left = *(const char *const *)a, *right = *(const char *const *)b;
    return (left > right) - (left < right);
}

static bool works_with(const Recording *recording, const void *memory) {
    return recording->work && bsearch(&memory, recording->blocks, recording->count,
                                      sizeof *recording->blocks, by_address);
}

static void *grow(void *array, size_t used, size_t *room, size_t size) {
    if (used < *room) return array;
    size_t wanted = *room ? 2 * *room : 256;
    void *bigger = realloc(array, wanted * size);
    if (bigger) *room = wanted;
    return bigger;
}

void record_take(void *memory) {
    for (int i = 0; i < count; i++) recordings[i].held += works_with(&recordings[i], memory);
    if (!open_one) return;
    void **blocks = grow(open_one->blocks, open_one->count, &open_one->room, sizeof *blocks);
    if (!blocks) {
        open_one->lost = true; // what is not noted cannot be watched over
        return;
    }
    open_one->blocks = blocks;
    blocks[open_one->count++] = memory;
}

bool record_give(void *memory, size_t bytes) {
    for (int i = 0; i < count; i++) recordings[i].held -= works_with(&recordings[i], memory);
    if (!open_one || cuda_memory_is_cached()) return false;
    Kept *kept = grow(open_one->kept, open_one->kept_count, &open_one->kept_room, sizeof *kept);
    if (!kept) {
        open_one->lost = true;
        return false;
    }
    open_one->kept = kept;
    kept[open_one->kept_count++] = (Kept){memory, bytes};
    return true;
}

void record_lose(const void *memory) {
    if (open_one) open_one->lost = true;
    for (int i = 0; i < count; i++)
        if (works_with(&recordings[i], memory)) recordings[i].lost = true;
}

static void sort_blocks(Recording *recording) {
    size_t left = 0;
    if (recording->count == 0) return; // no array then
    qsort(recording->blocks, recording->count, sizeof *recording->blocks, by_address);
    for (size_t i = 0; i < recording->count; i++)
        if (left == 0 || recording->blocks[left - 1] != recording->blocks[i])
            recording->blocks[left++] = recording->blocks[i];
    recording->count = left;
}

// Forgets the work and lets go of its blocks; the key stays.
static void clear(Recording *recording) {
    device_record_free(recording->work);
    for (size_t i = 0; i < recording->kept_count; i++)
        cuda_memory_release(recording->kept[i].memory, recording->kept[i].bytes);
    free(recording->blocks);
    free(recording->kept);
    *recording = (Recording){
        .key = recording->key, .refused = recording->refused, .failed = recording->failed};
}

// ---- recordings ---------------------------------------------------------------------------------

static Recording *find(const RecordKey *key) {
    for (int i = 0; i < count; i++)
        if (memcmp(&recordings[i].key, key, sizeof *key) == 0) return &recordings[i];
    return NULL;
}

static RecordState replay(const Recording *recording) {
    if (device_replay(recording->work) != 0) return RECORD_FAILED;
    replays++;
    return RECORD_REPLAYED;
}

static bool is_set_to(const char *value) {
    const char *text = getenv("P2S_RECORD");
    return text && strcmp(text, value) == 0;
}

RecordState cuda_record_begin(const RecordKey *key) {
    if (is_set_to("0")) return RECORD_PLAIN;
    Recording *recording = find(key);
    if (!recording && count < MOST_RECORDINGS) recordings[count++] = (Recording){.key = *key};
    if (!recording || recording->refused) return RECORD_PLAIN;
    if (recording->work && recording->held == 0 && !recording->lost) return replay(recording);
    clear(recording);
    live_before = cuda_stats().live;
    if (device_record_begin() != 0) return RECORD_FAILED;
    open_one = recording;
    return RECORD_OPEN;
}

// Whether the work can be repeated; an error says why not.
static bool is_sound(const Recording *recording, bool good) {
    size_t live = cuda_stats().live;
    if (!good) return false;
    if (live != live_before)
        error_int("it leaves %lld bytes of device memory behind",
                  (long long)live - (long long)live_before);
    if (recording->lost) error_int("a block of memory was lost on the way");
    return !error_is_set();
}

// A device that could not keep sound work, or not do it, may have had no room.
static void refuse(Recording *recording, bool sound) {
    recording->refused = !sound || recording->failed;
    recording->failed = true;
    fprintf(stderr, "the step is not recorded, and slower for it%s: %s\n",
            recording->refused ? "" : "; once more at the next one", error_take());
    clear(recording);
    if (!recording->refused) cuda_trim();
}

int cuda_record_end(bool good) {
    Recording *recording = open_one;
    bool sound = is_sound(recording, good);
    void *work = device_record_end();
    open_one = NULL;
    if (sound && work) {
        recording->work = work;
        sort_blocks(recording);
        if (replay(recording) == RECORD_REPLAYED) {
            recording->failed = false;
            return 0;
        }
    } else {
        device_record_free(work);
    }
    refuse(recording, sound);
    return 1;
}

void cuda_record_forget(void) {
    if (is_set_to("say")) fprintf(stderr, "recorded work: %lld replays\n", (long long)replays);
    for (int i = 0; i < count; i++) clear(&recordings[i]);
    count = 0;
}
