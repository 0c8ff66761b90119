// SPDX-License-Identifier: MIT
// Data sets of a run. See run_data.h.
#include "train/run_data.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "data/dataset_text.h"
#include "data/index.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_FILE = 1 << 20 };

static const char *root_of_type(const TrainConfig *config, const char *type) {
    const struct {
        const char *type, *root;
    } roots[] = {{"hypersim", config->data_hypersim},
                 {"vkitti2", config->data_vkitti2},
                 {"coco", config->data_coco},
                 {"clevrtex", config->data_clevrtex}};
    for (size_t i = 0; i < sizeof roots / sizeof *roots; i++)
        if (strcmp(type, roots[i].type) == 0 && roots[i].root[0]) return roots[i].root;
    return config->data_path;
}

// What the line leaves open comes from the other keys.
static void complete(const TrainConfig *config, DatasetText *item) {
    DatasetOptions *options = &item->options;
    if (item->weight == 0) item->weight = 1;
    if (item->height == 0) item->height = (int)config->height;
    if (item->width == 0) item->width = (int)config->width;
    if (!item->index) item->index = config->data_index;
    if (!options->path) options->path = root_of_type(config, item->type);
    if (options->seed == 0) options->seed = (uint64_t)config->seed;
    options->no_categories = true;
    if (options->size == 0) options->size = item->height > item->width ? item->height : item->width;
}

// The n-th set of the config; dataset_text_free it.
static int parse(const TrainConfig *config, size_t n, DatasetText *item) {
    if (config->data_sets.count > 0) {
        if (dataset_text_parse(config->data_sets.items[n], true, item)) return -1;
    } else {
        *item = (DatasetText){.type = config->data_set,
                              .fit = config->data_fit ? FIT_CROP : FIT_RESIZE,
                              .options = {.split = config->data_split,
                                          .subset = config->data_subset,
                                          .count = config->data_count}};
    }
    complete(config, item);
    return 0;
}

static size_t count_of(const TrainConfig *config) {
    return config->data_sets.count > 0 ? config->data_sets.count : 1;
}

static void say_index(const DatasetText *item, const Dataset *set, const char *path) {
    if (strcmp(item->type, "scenes") == 0) return;
    if (path)
        fprintf(stderr, "%s: %lld samples kept by %s\n", item->type, (long long)dataset_count(set),
                path);
    else
        fprintf(stderr,
                "%s: %lld samples, none of them checked or left out, for want of an index: "
                "p2s prepare %s %s\n",
                item->type, (long long)dataset_count(set), item->type, item->options.path);
}

static int open_set(const DatasetText *item, bool quiet, RunData *data) {
    Dataset *set = dataset_open(item->type, &item->options);
    if (!set) return -1;
    data->sets[data->count++] =
        (LoaderSet){set, item->weight, item->height, item->width, item->fit};
    char *path;
    if (dataset_use_index(set, &item->options, item->index, &path)) return -1;
    if (!quiet) say_index(item, set, path);
    free(path);
    return 0;
}

int run_data_open(const TrainConfig *config, bool quiet, RunData *data) {
    *data = (RunData){0};
    const size_t count = count_of(config);
    if (count > LOADER_MOST_SETS)
        return error_int("data.sets: %zu sets, expected at most %d", count, LOADER_MOST_SETS);
    for (size_t i = 0; i < count; i++) {
        DatasetText item;
        int status = parse(config, i, &item);
        if (status == 0) {
            status = open_set(&item, quiet, data);
            dataset_text_free(&item);
        }
        if (status)
            return config->data_sets.count > 0
                       ? error_context("data.sets, %s", config->data_sets.items[i])
                       : error_context("data.set %s", config->data_set);
    }
    return 0;
}

char *run_data_text(const RunData *data) {
    Text text = {0};
    text_add(&text, "[");
    for (int i = 0; i < data->count; i++) {
        const LoaderSet *set = &data->sets[i];
        text_add(
            &text,
            "%s\n {\"type\": \"%s\", \"samples\": %lld, \"crc32\": \"%08x\", \"weight\": %lld, "
            "\"height\": %d, \"width\": %d, \"fit\": \"%s\"}",
            i ? "," : "", dataset_type(set->set), (long long)dataset_count(set->set),
            dataset_fingerprint(set->set), (long long)set->weight, set->height, set->width,
            set->fit == FIT_CROP ? "crop" : "resize");
    }
    text_add(&text, "\n]\n");
    return text_take(&text);
}

static int compare(const char *path, const char *now) {
    char *before = file_read(path, MAX_FILE, NULL);
    if (!before) return -1;
    const bool same = strcmp(before, now) == 0;
    if (!same)
        error_int(
            "%s: the run began with\n%sand would draw from\n%sIt would not continue to the same "
            "bits; remove the file to go on all the same",
            path, before, now);
    free(before);
    return same ? 0 : -1;
}

int run_data_check(const RunData *data, const char *run, bool goes_on) {
    char *path = path_join(run, "data.json"), *now = path ? run_data_text(data) : NULL;
    int status = now ? 0 : -1;
    if (status == 0 && goes_on && file_exists(path))
        status = compare(path, now);
    else if (status == 0)
        status = file_write(path, now, strlen(now));
    free(now);
    free(path);
    return status;
}

void run_data_close(RunData *data) {
    for (int i = 0; i < data->count; i++) dataset_close((Dataset *)data->sets[i].set);
    *data = (RunData){0};
}

int run_data_largest(const TrainConfig *config, int64_t *height, int64_t *width) {
    *height = *width = 0;
    for (size_t i = 0; i < count_of(config); i++) {
        DatasetText item;
        if (parse(config, i, &item)) return error_context("data.sets");
        if ((int64_t)item.height * item.width > *height * *width) {
            *height = item.height;
            *width = item.width;
        }
        dataset_text_free(&item);
    }
    return 0;
}
