// SPDX-License-Identifier: MIT
// Plans of the libraries, made once for each problem and kept until the process ends.
#ifndef CUDA_PLAN_CACHE_H
#define CUDA_PLAN_CACHE_H

#include <stddef.h>

enum { PLAN_CACHE_BUCKETS = 1024 };

typedef struct PlanEntry PlanEntry;
typedef struct {
    PlanEntry *buckets[PLAN_CACHE_BUCKETS];
} PlanCache;
#define PLAN_CACHE_EMPTY \
    {                    \
        { NULL }         \
    }

// The plan for a key, compared as bytes (no padding in its struct). The first time plan_new makes
// it; NULL from there is an error, is kept too, and gives its message again.
void *plan_cache_find(PlanCache *cache, const void *key, size_t size,
                      void *(*plan_new)(const void *key));

#endif
