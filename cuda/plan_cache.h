// SPDX-License-Identifier: MIT
// Plans of the libraries, made once for each problem and kept until the process ends. That there is
// none for a problem is kept too; a failure to find out is not.
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

// Makes the plan for a key: 0, with *plan NULL when there is none and never will be, or -1 and an
// error.
typedef int (*PlanNew)(const void *key, void **plan);

// The plan for a key, compared as bytes (no padding in its struct), which plan_new makes the first
// time: returns as it does.
int plan_cache_find(PlanCache *cache, const void *key, size_t size, PlanNew plan_new, void **plan);

#endif
