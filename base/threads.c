// SPDX-License-Identifier: MIT
// The pipeline: a ring of slots under one mutex. Item i lives in slot i % ahead; a worker claims
// the next index once its slot has been emptied by the consumer. See threads.h.
#include "base/threads.h"

#include "base/error.h"
#include "base/memory.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { AHEAD_MAX = 65536 };

typedef struct {
    bool ready;
    void *item;    // NULL when making it failed
    char *message; // why, owned; NULL when there was no memory for it
} Slot;

struct Pipeline {
    PipelineMake make;
    PipelineDiscard discard;
    void *context;
    int64_t end;
    int64_t claimed; // next index for a worker
    int64_t taken;   // next index for the consumer
    bool stopping;
    Slot *slots; // [ahead]
    int64_t ahead;
    pthread_mutex_t mutex;
    pthread_cond_t item_ready, slot_free;
    pthread_t *threads; // [workers]
    int workers;        // started
};

static Slot *slot_of(Pipeline *pipeline, int64_t index) {
    return &pipeline->slots[index % pipeline->ahead];
}

// Waits for an index to work on; -1 when there is no more work. Called with the mutex held.
static int64_t claim(Pipeline *pipeline) {
    while (!pipeline->stopping && pipeline->claimed < pipeline->end &&
           pipeline->claimed >= pipeline->taken + pipeline->ahead)
        pthread_cond_wait(&pipeline->slot_free, &pipeline->mutex);
    if (pipeline->stopping || pipeline->claimed >= pipeline->end) return -1;
    return pipeline->claimed++;
}

static void *work(void *argument) {
    Pipeline *pipeline = argument;
    pthread_mutex_lock(&pipeline->mutex);
    for (;;) {
        int64_t index = claim(pipeline);
        if (index < 0) break;
        pthread_mutex_unlock(&pipeline->mutex);
        Slot made = {.ready = true};
        made.item = pipeline->make(pipeline->context, index);
        const char *message = error_take();
        if (!made.item) made.message = string_copy(message);
        error_take(); // of string_copy
        pthread_mutex_lock(&pipeline->mutex);
        *slot_of(pipeline, index) = made;
        pthread_cond_signal(&pipeline->item_ready);
    }
    pthread_mutex_unlock(&pipeline->mutex);
    return NULL;
}

static int start_threads(Pipeline *pipeline, int workers) {
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = 0;
    while (!failed && pipeline->workers < workers) {
        failed = pthread_create(&pipeline->threads[pipeline->workers], NULL, work, pipeline);
        if (!failed) pipeline->workers++;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (failed)
        return error_int("cannot start worker thread %d: %s", pipeline->workers, strerror(failed));
    return 0;
}

static int allocate(Pipeline *pipeline, int workers) {
    pthread_mutex_init(&pipeline->mutex, NULL);
    pthread_cond_init(&pipeline->item_ready, NULL);
    pthread_cond_init(&pipeline->slot_free, NULL);
    pipeline->slots = array_new((size_t)pipeline->ahead, sizeof *pipeline->slots);
    pipeline->threads = array_new((size_t)workers, sizeof *pipeline->threads);
    return pipeline->slots && pipeline->threads ? 0 : -1;
}

Pipeline *pipeline_start(int workers, int ahead, int64_t first, int64_t end, PipelineMake make,
                         PipelineDiscard discard, void *context) {
    if (workers < 0 || workers > PIPELINE_MOST_WORKERS)
        return error_null("found %d worker threads, expected 0 to %d", workers,
                          PIPELINE_MOST_WORKERS);
    if (ahead < 1 || ahead > AHEAD_MAX)
        return error_null("found %d items of prefetch, expected 1 to %d", ahead, AHEAD_MAX);
    if (first < 0) return error_null("found the first item %lld, expected >= 0", (long long)first);
    Pipeline *pipeline = array_new(1, sizeof *pipeline);
    if (!pipeline) return NULL;
    pipeline->make = make;
    pipeline->discard = discard;
    pipeline->context = context;
    pipeline->end = end;
    pipeline->claimed = pipeline->taken = first;
    pipeline->ahead = ahead;
    if (allocate(pipeline, workers) || start_threads(pipeline, workers)) {
        pipeline_stop(pipeline);
        return NULL;
    }
    return pipeline;
}

void *pipeline_next(Pipeline *pipeline) {
    if (pipeline->taken >= pipeline->end) return NULL;
    if (pipeline->workers == 0) {
        void *item = pipeline->make(pipeline->context, pipeline->taken++);
        return item ? item : error_null("an item could not be made");
    }
    pthread_mutex_lock(&pipeline->mutex);
    Slot *slot = slot_of(pipeline, pipeline->taken);
    while (!slot->ready) pthread_cond_wait(&pipeline->item_ready, &pipeline->mutex);
    Slot made = *slot;
    *slot = (Slot){0};
    pipeline->taken++;
    pthread_cond_signal(&pipeline->slot_free);
    pthread_mutex_unlock(&pipeline->mutex);
    if (!made.item)
        error_int("%s",
                  made.message && made.message[0] ? made.message : "an item could not be made");
    free(made.message);
    return made.item;
}

void pipeline_stop(Pipeline *pipeline) {
    if (!pipeline) return;
    pthread_mutex_lock(&pipeline->mutex);
    pipeline->stopping = true;
    pthread_cond_broadcast(&pipeline->slot_free);
    pthread_mutex_unlock(&pipeline->mutex);
    for (int i = 0; i < pipeline->workers; i++) pthread_join(pipeline->threads[i], NULL);
    for (int64_t i = 0; pipeline->slots && i < pipeline->ahead; i++) {
        if (pipeline->slots[i].item) pipeline->discard(pipeline->context, pipeline->slots[i].item);
        free(pipeline->slots[i].message);
    }
    pthread_cond_destroy(&pipeline->slot_free);
    pthread_cond_destroy(&pipeline->item_ready);
    pthread_mutex_destroy(&pipeline->mutex);
    free(pipeline->threads);
    free(pipeline->slots);
    free(pipeline);
}
