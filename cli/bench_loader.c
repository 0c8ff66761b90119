// SPDX-License-Identifier: MIT
// p2s bench loader: images read, resized and numbered per second.
#include "cli/bench.h"

#include "base/error.h"
#include "base/clock.h"
#include "data/loader.h"

// Reads `count` images in whole batches; returns the seconds, -1 on failure.
static double read_batches(const Dataset *set, const BenchOptions *options, int workers, int batch,
                           int64_t batches) {
    const LoaderOptions how = {.batch = batch,
                               .height = (int)options->height,
                               .width = (int)options->width,
                               .flip = true,
                               .end = batches,
                               .workers = workers,
                               .ahead = 2 * workers + 1};
    const double start = clock_seconds();
    Loader *loader = loader_open(set, &how);
    if (!loader) return -1;
    Batch *made = NULL;
    int64_t count = 0;
    while ((made = loader_next(loader))) {
        count++;
        batch_free(made);
    }
    const double seconds = clock_seconds() - start;
    loader_close(loader);
    return error_is_set() || count != batches ? -1 : seconds;
}

int bench_loader(const BenchOptions *options) {
    const Integers usual = {.items = {0, 1, 2}, .count = 3};
    const Integers *list = options->workers.count > 0 ? &options->workers : &usual;
    const int batch = options->batch > 0 ? (int)options->batch : 2;
    const int64_t batches = (options->count + batch - 1) / batch, images = batches * batch;
    const int64_t side = options->height > options->width ? options->height : options->width;
    const DatasetOptions where = {
        .path = options->path, .split = options->split, .size = (int)side, .no_categories = true};
    Dataset *set = dataset_open(options->data, &where);
    int result = set ? 0 : -1;
    for (int i = 0; result == 0 && i < list->count; i++) {
        const int workers = (int)list->items[i];
        const double seconds = read_batches(set, options, workers, batch, batches);
        result = seconds < 0
                     ? -1
                     : bench_say(options, json_pack("{s:s,s:s,s:i,s:I,s:f}", "case", "loader",
                                                    "data", options->data, "workers", workers,
                                                    "images", (json_int_t)images,
                                                    "images_per_second", (double)images / seconds));
    }
    dataset_close(set);
    return result;
}
