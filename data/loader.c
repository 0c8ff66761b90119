// SPDX-License-Identifier: MIT
// Batches for training. See loader.h.
#include "data/loader.h"

#include "autograd/rng.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/threads.h"
#include "data/transform.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { REPLACEMENT_TRIES = 100, DAMAGED_FREE = 10, DAMAGED_SHARE = 100 };

struct Loader {
    const Dataset *set;
    LoaderOptions options;
    int64_t samples;
    Pipeline *pipeline;
    pthread_mutex_t lock;
    int64_t drawn, damaged;
};

// A four-round Feistel network over the next even power of two, walked until it lands inside.
int64_t sample_order(uint64_t seed, uint64_t epoch, int64_t n, int64_t position) {
    int half = 1;
    while ((int64_t)1 << (2 * half) < n) half++;
    uint64_t mask = ((uint64_t)1 << half) - 1, at = (uint64_t)position;
    do {
        uint64_t left = at >> half, right = at & mask;
        for (uint64_t round = 0; round < 4; round++) {
            Rng rng = rng_stream(seed, "order", epoch, round << 48 | right);
            uint64_t mixed = left ^ (rng_u32(&rng) & mask);
            left = right;
            right = mixed;
        }
        at = left << half | right;
    } while (at >= (uint64_t)n);
    return (int64_t)at;
}

// Counts a damaged sample; an error once there are too many.
static int note_damage(Loader *loader, int64_t index) {
    char message[512];
    snprintf(message, sizeof message, "%s", error_take());
    pthread_mutex_lock(&loader->lock);
    int64_t damaged = ++loader->damaged, drawn = loader->drawn;
    pthread_mutex_unlock(&loader->lock);
    fprintf(stderr, "skipped sample %lld (%lld unreadable so far): %s\n", (long long)index,
            (long long)damaged, message);
    if (damaged > DAMAGED_FREE && damaged * DAMAGED_SHARE > drawn)
        return error_int("%lld of %lld samples could not be read; the last: %s", (long long)damaged,
                         (long long)drawn, message);
    return 0;
}

// Reads the sample of a position, or the first usable of its replacements.
static int draw(Loader *loader, int64_t position, Sample *sample) {
    uint64_t seed = loader->options.seed, epoch = (uint64_t)(position / loader->samples);
    int64_t index = sample_order(seed, epoch, loader->samples, position % loader->samples);
    Rng rng = rng_stream(seed, "replacement", (uint64_t)position, 0);
    for (int attempt = 0; attempt < REPLACEMENT_TRIES; attempt++) {
        pthread_mutex_lock(&loader->lock);
        loader->drawn++;
        pthread_mutex_unlock(&loader->lock);
        int result = dataset_read(loader->set, index, sample);
        if (result == 0 && sample->instance_count > 0) return 0;
        if (result != 0 && note_damage(loader, index) != 0) return -1;
        if (result == 0) sample_free(sample);
        *sample = (Sample){0};
        index = (int64_t)rng_below(&rng, (uint64_t)loader->samples);
    }
    return error_int("%d samples in turn have no instances", REPLACEMENT_TRIES);
}

static void place(const Sample *sample, Batch *batch, int slot) {
    size_t pixels = (size_t)batch->height * (size_t)batch->width, at = (size_t)slot * pixels;
    for (size_t i = 0; i < 3 * pixels; i++)
        batch->image[3 * at + i] = (float)sample->image.pixels[i] / 255 * 2 - 1;
    for (size_t i = 0; i < pixels; i++)
        batch->labels[at + i] = sample->ignore && sample->ignore[i] ? -1 : sample->labels.ids[i];
    batch->no_background[slot] = sample->no_background;
    batch->instances[slot] = sample->instance_count;
    memcpy(batch->names[slot], sample->name, sizeof batch->names[slot]);
}

static int fill(Loader *loader, Batch *batch, int slot) {
    const LoaderOptions *options = &loader->options;
    int64_t position = batch->index * options->batch + slot;
    Sample sample = {0};
    if (draw(loader, position, &sample) != 0) return -1;
    Rng rng = rng_stream(options->seed, "flip", (uint64_t)position, 0);
    if (options->flip && rng_uniform(&rng) < 0.5) sample_flip(&sample);
    int result = sample_resize(&sample, options->width, options->height);
    if (result == 0) place(&sample, batch, slot);
    sample_free(&sample);
    return result;
}

Batch *batch_new(int count, int height, int width) {
    size_t images = (size_t)count, pixels = images * (size_t)height * (size_t)width;
    Batch *batch = array_new(1, sizeof *batch);
    if (!batch) return NULL;
    *batch = (Batch){.count = count,
                     .height = height,
                     .width = width,
                     .image = array_new(3 * pixels, sizeof *batch->image),
                     .labels = array_new(pixels, sizeof *batch->labels),
                     .no_background = array_new(images, sizeof *batch->no_background),
                     .instances = array_new(images, sizeof *batch->instances),
                     .names = array_new(images, sizeof *batch->names)};
    if (batch->image && batch->labels && batch->no_background && batch->instances && batch->names)
        return batch;
    batch_free(batch);
    return NULL;
}

void batch_free(Batch *batch) {
    if (!batch) return;
    free(batch->image);
    free(batch->labels);
    free(batch->no_background);
    free(batch->instances);
    free(batch->names);
    free(batch);
}

static void *make(void *context, int64_t index) {
    Loader *loader = context;
    const LoaderOptions *options = &loader->options;
    Batch *batch = batch_new(options->batch, options->height, options->width);
    if (batch) batch->index = index;
    for (int slot = 0; batch && slot < batch->count; slot++) {
        if (fill(loader, batch, slot) == 0) continue;
        batch_free(batch);
        return NULL;
    }
    return batch;
}

static void discard(void *context, void *item) {
    (void)context;
    batch_free(item);
}

Loader *loader_open(const Dataset *set, const LoaderOptions *options) {
    int64_t samples = dataset_count(set);
    if (samples <= 0) return error_null("the data set %s is empty", dataset_type(set));
    Loader *loader = array_new(1, sizeof *loader);
    if (!loader) return NULL;
    loader->set = set;
    loader->options = *options;
    loader->samples = samples;
    pthread_mutex_init(&loader->lock, NULL);
    loader->pipeline = pipeline_start(options->workers, options->ahead, options->first,
                                      options->end, make, discard, loader);
    if (loader->pipeline) return loader;
    loader_close(loader);
    return NULL;
}

Batch *loader_next(Loader *loader) {
    return pipeline_next(loader->pipeline);
}

void loader_close(Loader *loader) {
    if (!loader) return;
    pipeline_stop(loader->pipeline);
    pthread_mutex_destroy(&loader->lock);
    free(loader);
}
