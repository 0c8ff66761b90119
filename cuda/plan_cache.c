// SPDX-License-Identifier: MIT
// A hash table of plans. See plan_cache.h.
#include "cuda/plan_cache.h"

#include "base/memory.h"

#include <pthread.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct PlanEntry {
    PlanEntry *next;
    void *key, *plan; // plan NULL: there is none
    size_t size;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

// FNV-1a.
static size_t hash_of(const void *key, size_t size) {
    uint64_t hash = 14695981039346656037u;
    for (size_t i = 0; i < size; i++)
        hash = (hash ^ ((const unsigned char *)key)[i]) * 1099511628211u;
    return (size_t)(hash % PLAN_CACHE_BUCKETS);
}

static PlanEntry *entry_new(const void *key, size_t size, PlanNew plan_new) {
    PlanEntry *entry = array_new(1, sizeof *entry);
    if (entry) entry->key = array_new(1, size);
    if (entry && entry->key) {
        memcpy(entry->key, key, size);
        entry->size = size;
        if (plan_new(key, &entry->plan) == 0) return entry;
    }
    if (entry) free(entry->key);
    free(entry);
    return NULL;
}

static PlanEntry *find(PlanCache *cache, const void *key, size_t size, PlanNew plan_new) {
    PlanEntry **bucket = &cache->buckets[hash_of(key, size)];
    for (PlanEntry *entry = *bucket; entry; entry = entry->next)
        if (entry->size == size && memcmp(entry->key, key, size) == 0) return entry;
    PlanEntry *made = entry_new(key, size, plan_new);
    if (made) {
        made->next = *bucket;
        *bucket = made;
    }
    return made;
}

int plan_cache_find(PlanCache *cache, const void *key, size_t size, PlanNew plan_new, void **plan) {
    pthread_mutex_lock(&lock);
    PlanEntry *entry = find(cache, key, size, plan_new);
    pthread_mutex_unlock(&lock);
    *plan = entry ? entry->plan : NULL;
    return entry ? 0 : -1;
}
