// SPDX-License-Identifier: MIT
// A hash table from a weight's memory to its copy. See rounded.h.
#include "cuda/rounded.h"

#include "base/error.h"
#include "cuda/kernels.h"
#include "cuda/memory.h"
#include "cuda/record.h"

#include <pthread.h>
#include <stdlib.h>

enum { BUCKET_BITS = 10, BUCKETS = 1 << BUCKET_BITS };

typedef struct Rounded Rounded;
struct Rounded {
    Rounded *next;
    const void *memory;
    void *copy;
    int64_t count;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Rounded *buckets[BUCKETS];

// The upper bits of a product: blocks begin at multiples of 256 bytes, large ones of 2 MB.
static Rounded **bucket_of(const void *memory) {
    return &buckets[(uintptr_t)memory * UINT64_C(0x9e3779b97f4a7c15) >> (64 - BUCKET_BITS)];
}

// A copy of the entry; all zero when there is none.
static Rounded look_up(const void *memory) {
    Rounded found = {0};
    pthread_mutex_lock(&lock);
    for (const Rounded *entry = *bucket_of(memory); entry; entry = entry->next)
        if (entry->memory == memory) found = *entry;
    pthread_mutex_unlock(&lock);
    return found;
}

void *rounded_find(const void *memory) {
    return look_up(memory).copy;
}

static void add(Rounded *entry) {
    pthread_mutex_lock(&lock);
    Rounded **bucket = bucket_of(entry->memory);
    entry->next = *bucket;
    *bucket = entry;
    pthread_mutex_unlock(&lock);
}

void *rounded_values(const Tensor *tensor) {
    void *found = rounded_find(tensor->data);
    if (found || record_is_open()) return found;
    int64_t count = tensor_numel(tensor);
    Rounded *entry = malloc(sizeof *entry);
    if (!entry) return error_null("out of memory");
    size_t bytes = (size_t)count * sizeof(uint16_t);
    *entry = (Rounded){.memory = tensor->data, .count = count};
    entry->copy = cuda_scratch("a bf16 copy of a weight", bytes);
    if (entry->copy && cuda_cast(tensor->data, F32, entry->copy, BF16, count) == 0) {
        add(entry);
        return entry->copy;
    }
    cuda_free(entry->copy, bytes);
    free(entry);
    return NULL;
}

int rounded_renew(const void *memory) {
    Rounded found = look_up(memory);
    return found.copy ? cuda_cast(memory, F32, found.copy, BF16, found.count) : 0;
}

void rounded_drop(const void *memory) {
    Rounded *dropped = NULL;
    pthread_mutex_lock(&lock);
    for (Rounded **at = bucket_of(memory); *at && !dropped;) {
        if ((*at)->memory == memory) {
            dropped = *at;
            *at = dropped->next;
        } else {
            at = &(*at)->next;
        }
    }
    pthread_mutex_unlock(&lock);
    if (dropped) cuda_free(dropped->copy, (size_t)dropped->count * sizeof(uint16_t));
    free(dropped);
}
