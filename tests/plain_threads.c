// SPDX-License-Identifier: MIT
// The pipeline without a test framework, so that it can run under TSan: items arrive in order,
// failures in their place, and stopping at any point is clean.
#include "base/error.h"
#include "base/threads.h"

#include <stdio.h>
#include <stdlib.h>

enum { ITEMS = 200, FAILING = 13 };

static void *make(void *context, int64_t index) {
    (void)context;
    if (index % FAILING == 0) return error_null("item %lld", (long long)index);
    int64_t *item = malloc(sizeof *item);
    if (!item) return error_null("out of memory");
    *item = index;
    return item;
}

static void discard(void *context, void *item) {
    (void)context;
    free(item);
}

static int take(Pipeline *pipeline, int64_t index) {
    int64_t *item = pipeline_next(pipeline);
    int wrong = item ? *item != index : index % FAILING != 0 || !error_is_set();
    error_take();
    free(item);
    if (wrong) fprintf(stderr, "plain_threads: item %lld is wrong\n", (long long)index);
    return wrong;
}

int main(void) {
    for (int64_t stop = 0; stop <= ITEMS; stop += 5) {
        Pipeline *pipeline = pipeline_start(4, 5, 0, ITEMS, make, discard, NULL);
        if (!pipeline) return fprintf(stderr, "plain_threads: %s\n", error_take()), 1;
        int wrong = 0;
        for (int64_t i = 0; i < stop; i++) wrong |= take(pipeline, i);
        pipeline_stop(pipeline);
        if (wrong) return 1;
    }
    return 0;
}
