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

typedef struct {
    LoaderSet how;
    int64_t samples;
    int64_t share; // batches of an epoch; only of mixed sets
} Part;

// Where a batch comes from: its samples stand from `first` on in an epoch's order of the part.
typedef struct {
    const Part *part;
    uint64_t epoch;
    int64_t first;
} Source;

struct Loader {
    LoaderOptions options;
    Part parts[LOADER_MOST_SETS];
    int part_count;
    int64_t epoch; // batches; only of mixed sets
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
static int note_damage(Loader *loader, const Part *part, int64_t index) {
    char message[512];
    snprintf(message, sizeof message, "%s", error_take());
    pthread_mutex_lock(&loader->lock);
    int64_t damaged = ++loader->damaged, drawn = loader->drawn;
    pthread_mutex_unlock(&loader->lock);
    fprintf(stderr, "skipped %s sample %lld (%lld unreadable so far): %s\n",
            dataset_type(part->how.set), (long long)index, (long long)damaged, message);
    if (damaged > DAMAGED_FREE && damaged * DAMAGED_SHARE > drawn)
        return error_int("%lld of %lld samples could not be read; the last: %s", (long long)damaged,
                         (long long)drawn, message);
    return 0;
}

// Batches run across the epochs of a single set. The order of mixed sets numbers all batches of an
// epoch, part after part, and permutes them: which one it is says the part and its place there.
static Source find_source(const Loader *loader, int64_t batch) {
    const Part *part = loader->parts;
    if (loader->part_count == 1)
        return (Source){.part = part, .first = batch * loader->options.batch};
    const uint64_t epoch = (uint64_t)(batch / loader->epoch), plan = epoch | UINT64_C(1) << 63;
    int64_t at = sample_order(loader->options.seed, plan, loader->epoch, batch % loader->epoch);
    for (; at >= part->share; part++) at -= part->share;
    return (Source){part, epoch, at * loader->options.batch};
}

static int64_t find_sample(const Loader *loader, const Source *source, int slot) {
    const int64_t at = source->first + slot, samples = source->part->samples;
    const uint64_t seed = loader->options.seed;
    if (loader->part_count == 1)
        return sample_order(seed, (uint64_t)(at / samples), samples, at % samples);
    const uint64_t number = (uint64_t)(source->part - loader->parts);
    return sample_order(seed, source->epoch | number << 48, samples, at % samples);
}

// Mirrors the sample by chance and brings it to the size of its set's batches.
static int fit(const Loader *loader, const LoaderSet *how, int64_t position, Sample *sample) {
    Rng chance = rng_stream(loader->options.seed, "flip", (uint64_t)position, 0);
    if (loader->options.flip && rng_uniform(&chance) < 0.5) sample_flip(sample);
    if (how->fit == FIT_RESIZE) return sample_resize(sample, how->width, how->height);
    Rng rng = rng_stream(loader->options.seed, "crop", (uint64_t)position, 0);
    if (sample_crop_random(sample, how->width, how->height, &rng) != 0) return -1;
    return sample_drop_vanished(sample) < 0 ? -1 : 0;
}

// Reads and fits the sample of a slot, or the first usable of its replacements.
static int draw(Loader *loader, const Source *source, int64_t position, int slot, Sample *sample) {
    const Part *part = source->part;
    int64_t index = find_sample(loader, source, slot);
    Rng rng = rng_stream(loader->options.seed, "replacement", (uint64_t)position, 0);
    for (int attempt = 0; attempt < REPLACEMENT_TRIES; attempt++) {
        pthread_mutex_lock(&loader->lock);
        loader->drawn++;
        pthread_mutex_unlock(&loader->lock);
        int result = dataset_read(part->how.set, index, sample);
        const bool empty = result == 0 && sample_objects(sample) == 0;
        if (result == 0 && !empty) result = fit(loader, &part->how, position, sample);
        if (result == 0 && !empty) return 0;
        sample_free(sample);
        *sample = (Sample){0};
        if (result != 0 && note_damage(loader, part, index) != 0) return -1;
        index = (int64_t)rng_below(&rng, (uint64_t)part->samples);
    }
    return error_int("%s: %d samples in turn have no instances", dataset_type(part->how.set),
                     REPLACEMENT_TRIES);
}

static void place(const Sample *sample, Batch *batch, int slot) {
    size_t pixels = (size_t)batch->height * (size_t)batch->width, at = (size_t)slot * pixels;
    float level[256];
    for (int i = 0; i < 256; i++) level[i] = (float)i / 255 * 2 - 1;
    for (size_t i = 0; i < 3 * pixels; i++)
        batch->image[3 * at + i] = level[sample->image.pixels[i]];
    for (size_t i = 0; i < pixels; i++)
        batch->labels[at + i] = sample->ignore && sample->ignore[i] ? -1 : sample->labels.ids[i];
    batch->no_background[slot] = sample->no_background;
    batch->instances[slot] = sample->instance_count;
    memcpy(batch->names[slot], sample->name, sizeof batch->names[slot]);
}

static int fill(Loader *loader, const Source *source, Batch *batch, int slot) {
    const int whole = batch->first + slot;
    int64_t position = batch->index * loader->options.batch + whole;
    Sample sample = {0};
    if (draw(loader, source, position, whole, &sample) != 0) return -1;
    place(&sample, batch, slot);
    sample_free(&sample);
    return 0;
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

// The n-th batch of those that the loader's share of the work has.
static void *make(void *context, int64_t n) {
    Loader *loader = context;
    const LoaderShare *share = &loader->options.share;
    const int64_t index = n * share->turns + share->turn;
    const Source source = find_source(loader, index);
    const LoaderSet *how = &source.part->how;
    Batch *batch = batch_new(loader->options.batch / share->slices, how->height, how->width);
    if (batch) {
        batch->index = index;
        batch->first = share->slice * batch->count;
    }
    for (int slot = 0; batch && slot < batch->count; slot++) {
        if (fill(loader, &source, batch, slot) == 0) continue;
        batch_free(batch);
        return NULL;
    }
    return batch;
}

static void discard(void *context, void *item) {
    (void)context;
    batch_free(item);
}

// The order of the operations is that of the released loader.
void mixed_shares(const int64_t *batches, const int64_t *weights, int count, int64_t *shares) {
    for (int i = 0; i < count; i++) {
        double fraction = 1;
        for (int j = 0; j < count; j++) {
            const double most = ((double)batches[j] / (double)batches[i]) *
                                ((double)weights[i] / (double)weights[j]);
            if (j != i && most < fraction) fraction = most;
        }
        shares[i] = (int64_t)((double)batches[i] * fraction);
    }
}

static int set_shares(Loader *loader) {
    int64_t batches[LOADER_MOST_SETS], weights[LOADER_MOST_SETS], shares[LOADER_MOST_SETS];
    const int64_t size = loader->options.batch;
    for (int i = 0; i < loader->part_count; i++) {
        batches[i] = (loader->parts[i].samples + size - 1) / size;
        weights[i] = loader->parts[i].how.weight;
    }
    mixed_shares(batches, weights, loader->part_count, shares);
    for (int i = 0; i < loader->part_count; i++) {
        if (shares[i] < 1)
            return error_int("%s: with the weight %lld it would have no batch in an epoch, so few "
                             "samples have the others",
                             dataset_type(loader->parts[i].how.set), (long long)weights[i]);
        loader->parts[i].share = shares[i];
        loader->epoch += shares[i];
    }
    return 0;
}

static int add_part(Loader *loader, const LoaderSet *how) {
    const int64_t samples = dataset_count(how->set);
    if (samples <= 0) return error_int("the data set %s is empty", dataset_type(how->set));
    loader->parts[loader->part_count++] = (Part){.how = *how, .samples = samples};
    return 0;
}

Loader *loader_open_mixed(const LoaderSet *sets, int count, const LoaderOptions *options) {
    if (count < 1 || count > LOADER_MOST_SETS)
        return error_null("%d data sets, expected 1 to %d", count, LOADER_MOST_SETS);
    Loader *loader = array_new(1, sizeof *loader);
    if (!loader) return NULL;
    loader->options = *options;
    LoaderShare *share = &loader->options.share;
    if (share->turns == 0) *share = (LoaderShare){.turns = 1, .slices = 1};
    pthread_mutex_init(&loader->lock, NULL);
    int status = 0;
    for (int i = 0; status == 0 && i < count; i++) status = add_part(loader, &sets[i]);
    if (status == 0 && count > 1) status = set_shares(loader);
    if (status == 0)
        loader->pipeline =
            pipeline_start(options->workers, options->ahead, options->first / share->turns,
                           options->end / share->turns, make, discard, loader);
    if (loader->pipeline) return loader;
    loader_close(loader);
    return NULL;
}

Loader *loader_open(const Dataset *set, const LoaderOptions *options) {
    const LoaderSet only = {
        .set = set, .weight = 1, .height = options->height, .width = options->width};
    return loader_open_mixed(&only, 1, options);
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
