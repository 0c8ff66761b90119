// SPDX-License-Identifier: MIT
// p2s prepare: walks a data set once, reads every sample, and writes what it found as an index; or
// writes the built-in world as files.
#include "cli/arguments.h"
#include "cli/command.h"

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/text.h"
#include "base/threads.h"
#include "data/export.h"

#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

static const char help[] =
    "usage: p2s prepare hypersim|coco|folder PATH [--split S] [--subset S] [--out FILE]\n"
    "       p2s prepare scenes DIR [--split S] [--seed N] [--size PIXELS] [--count N]\n\n"
    "Reads every sample of a set once and writes an index (JSON): names, sizes, instance counts,\n"
    "checksums of pixels and labels, and what was dropped and why. Each damaged sample is named;\n"
    "exit code 1 when there was one. The built-in scenes are written to DIR as files instead:\n"
    "images/, labels/, annotations/instances.json.\n\n"
    "  --split S, --subset S   as the set names them; an unknown one is refused with the known\n"
    "  --out FILE              of the index (default PATH/index.json)\n"
    "  --workers N             threads that read (default: all processors)\n"
    "  --seed N                scenes: 0 to 4294967295 (default 0)\n"
    "  --size PIXELS           scenes: side of the images (default 64)\n"
    "  --count N               scenes: number of images\n"
    "  --quiet                 no progress line\n\n"
    "  p2s prepare hypersim /data/hypersim\n"
    "  p2s prepare scenes runs/shapes --split shapes --count 200\n";

typedef struct {
    const char *type, *path, *split, *subset, *out;
    int64_t workers, seed, size, count;
    bool quiet;
} PrepareArguments;

// What is kept of a sample once it has been read.
typedef struct {
    char name[256];
    char *damage; // why it could not be read; NULL when it could
    int width, height, instances, crowds, left_out;
    int64_t ignored; // pixels
    uint32_t checksum;
} Entry;

static void entry_free(void *context, void *item) {
    Entry *entry = item;
    (void)context;
    if (entry) free(entry->damage);
    free(entry);
}

static void summarize(const Sample *sample, Entry *entry) {
    const size_t pixels = (size_t)sample->image.width * (size_t)sample->image.height;
    snprintf(entry->name, sizeof entry->name, "%s", sample->name);
    entry->width = sample->image.width;
    entry->height = sample->image.height;
    entry->instances = sample->instance_count;
    entry->left_out = sample->left_out;
    for (int i = 0; i < sample->instance_count; i++) entry->crowds += sample->instances[i].crowd;
    for (size_t i = 0; sample->ignore && i < pixels; i++) entry->ignored += sample->ignore[i] != 0;
    uLong sum = crc32_z(0, sample->image.pixels, 3 * pixels);
    sum = crc32_z(sum, (const Bytef *)sample->labels.ids, pixels * sizeof *sample->labels.ids);
    entry->checksum = (uint32_t)sum;
}

// A damaged sample is an entry too, so that its message is kept.
static void *read_entry(void *context, int64_t index) {
    Entry *entry = array_new(1, sizeof *entry);
    if (!entry) return NULL;
    Sample sample = {0};
    if (dataset_read(context, index, &sample) == 0)
        summarize(&sample, entry);
    else
        entry->damage = string_copy(error_take());
    sample_free(&sample);
    return entry;
}

// ---- the index ----------------------------------------------------------------------------------

typedef struct {
    json_t *samples, *dropped;
    int64_t read, damaged, empty, instances;
} Index;

static int drop(Index *index, int64_t at, const char *name, const char *reason) {
    return json_array_append_new(index->dropped,
                                 json_pack("{s:I,s:s*,s:s}", "index", (json_int_t)at, "name",
                                           *name ? name : NULL, "reason", reason));
}

static int add(Index *index, int64_t at, const Entry *entry) {
    char checksum[16];
    if (entry->damage) {
        index->damaged++;
        fprintf(stderr, "p2s prepare: sample %lld: %s\n", (long long)at, entry->damage);
        return drop(index, at, entry->name, entry->damage);
    }
    index->read++;
    index->instances += entry->instances;
    snprintf(checksum, sizeof checksum, "%08x", entry->checksum);
    int result = json_array_append_new(
        index->samples,
        json_pack("{s:I,s:s,s:i,s:i,s:i,s:i,s:i,s:I,s:s}", "index", (json_int_t)at, "name",
                  entry->name, "width", entry->width, "height", entry->height, "instances",
                  entry->instances, "crowds", entry->crowds, "left_out", entry->left_out,
                  "ignored_pixels", (json_int_t)entry->ignored, "crc32", checksum));
    if (result == 0 && entry->instances == 0) {
        index->empty++;
        result = drop(index, at, entry->name, "it has no instances");
    }
    return result;
}

static int walk(const PrepareArguments *arguments, Dataset *set, Index *index) {
    const int64_t count = dataset_count(set);
    const int workers = (int)arguments->workers;
    Progress progress;
    Pipeline *pipeline =
        pipeline_start(workers, 4 * workers + 1, 0, count, read_entry, entry_free, set);
    int result = pipeline ? 0 : -1;
    progress_begin(&progress, "prepare", "sample", 0, count, 10, arguments->quiet);
    for (int64_t i = 0; result == 0 && i < count; i++) {
        Entry *entry = pipeline_next(pipeline);
        result = entry ? add(index, i, entry) : -1;
        entry_free(NULL, entry);
        progress_update(&progress, i + 1, NULL);
        if (interrupt_requested()) result = error_int("interrupted; no index was written");
    }
    progress_end(&progress, index->read + index->damaged, NULL);
    pipeline_stop(pipeline);
    return result;
}

static char *index_path(const PrepareArguments *arguments) {
    return arguments->out ? string_copy(arguments->out) : path_join(arguments->path, "index.json");
}

static int write_index(const PrepareArguments *arguments, const Dataset *set, const Index *index,
                       const char *path) {
    json_t *root = json_pack(
        "{s:s,s:s,s:s*,s:s*,s:s,s:I,s:I,s:I,s:I,s:I,s:O,s:O}", "type", arguments->type, "path",
        arguments->path, "split", arguments->split, "subset", arguments->subset, "description",
        dataset_describe(set), "count", (json_int_t)dataset_count(set), "read",
        (json_int_t)index->read, "damaged", (json_int_t)index->damaged, "without_instances",
        (json_int_t)index->empty, "instances", (json_int_t)index->instances, "dropped",
        index->dropped, "samples", index->samples);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    const int result = text ? file_write(path, text, strlen(text))
                            : error_int("%s: the index cannot be put into JSON", path);
    free(text);
    json_decref(root);
    return result;
}

// Returns the number of damaged samples, -1 on failure.
static int64_t make_index(const PrepareArguments *arguments, Dataset *set) {
    Index index = {.samples = json_array(), .dropped = json_array()};
    char *path = index_path(arguments);
    int result = path && index.samples && index.dropped ? interrupt_watch() : -1;
    if (result == 0) result = walk(arguments, set, &index);
    if (result == 0) result = write_index(arguments, set, &index, path);
    if (result == 0)
        printf("%s\n%s: %lld samples, %lld instances, %lld damaged, %lld without instances\n",
               dataset_describe(set), path, (long long)index.read, (long long)index.instances,
               (long long)index.damaged, (long long)index.empty);
    json_decref(index.samples);
    json_decref(index.dropped);
    free(path);
    return result == 0 ? index.damaged : -1;
}

// ---- the command --------------------------------------------------------------------------------

static int export_scenes(const PrepareArguments *arguments, const Dataset *set) {
    if (dataset_export(set, arguments->path) != 0) return -1;
    printf("%s: %lld images\n", arguments->path, (long long)dataset_count(set));
    return 0;
}

static int prepare(const PrepareArguments *arguments) {
    const bool scenes = strcmp(arguments->type, "scenes") == 0;
    const DatasetOptions options = {.path = scenes ? NULL : arguments->path,
                                    .split = arguments->split,
                                    .subset = arguments->subset,
                                    .seed = (uint64_t)arguments->seed,
                                    .size = (int)arguments->size,
                                    .count = arguments->count};
    Dataset *set = dataset_open(arguments->type, &options);
    if (!set) return command_failed();
    const int64_t damaged = scenes ? export_scenes(arguments, set) : make_index(arguments, set);
    dataset_close(set);
    if (damaged < 0) return command_failed();
    return damaged == 0 ? EXIT_OK : EXIT_FAILED;
}

int cmd_prepare(int argc, char **argv) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    PrepareArguments arguments = {.workers = processors > 0 ? processors : 1};
    Words words = {0};
    int code = EXIT_OK;
    const Argument table[] = {
        ARG_TEXT("--split", arguments.split),
        ARG_TEXT("--subset", arguments.subset),
        ARG_TEXT("--out", arguments.out),
        ARG_RANGE("--workers", INTEGER, arguments.workers, 0, 256),
        ARG_RANGE("--seed", INTEGER, arguments.seed, 0, 4294967295.0),
        ARG_RANGE("--size", INTEGER, arguments.size, 1, 65535),
        ARG_RANGE("--count", INTEGER, arguments.count, 1, 100000000),
        ARG_FLAG("--quiet", arguments.quiet),
    };
    const Arguments known = {.help = help,
                             .options = table,
                             .option_count = ARGUMENTS_COUNT(table),
                             .words = &words,
                             .max_words = 2};
    if (!arguments_read(&known, argc, argv, &code)) return code;
    if (words.count < 2)
        return arguments_wrong("prepare", "expected hypersim, coco, folder or scenes, and a path");
    arguments.type = words.items[0];
    arguments.path = words.items[1];
    return prepare(&arguments);
}
