// SPDX-License-Identifier: MIT
// p2s prepare: walks a data set once, reads every sample, and writes what it found as an index;
// writes the built-in world as files; completes a downloaded model folder, or halves one.
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/device.h"

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/threads.h"
#include "data/clean.h"
#include "data/export.h"
#include "eval/predict_settings.h"
#include "nn/empty_prompt.h"
#include "nn/model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: p2s prepare TYPE PATH [--split S] [--subset S] [--out FILE] [--drop FILE]\n"
    "       p2s prepare scenes DIR [--split S] [--seed N] [--size PIXELS] [--count N]\n"
    "       p2s prepare prompt MODEL\n"
    "       p2s prepare half MODEL --out DIR\n\n"
    "Reads every sample of a set once and writes an index (JSON) that training opens: names, "
    "sizes,\n"
    "instance counts, checksums of pixels and labels, and what was dropped and why: samples that\n"
    "are damaged, that have no instance, that --drop lists, or, in hypersim, that lie in a scene\n"
    "with fewer objects than --min-objects. Each damaged sample is named; exit code 1 when there\n"
    "was one. The built-in scenes are written to DIR as files instead: images/, labels/,\n"
    "annotations/instances.json. prompt asks a model folder's text_encoder/ and tokenizer/ for\n"
    "the empty prompt, once, and writes MODEL/empty_prompt.safetensors. half writes a model with\n"
    "its weights rounded to 16 bits (F16), half the size, to DIR, new or empty.\n\n"
    "  --split S, --subset S   as the set names them; an unknown one is refused with the known\n"
    "  --out FILE              of the index (default PATH/index[-SPLIT][-SUBSET].json)\n"
    "  --drop FILE             names of samples, or what they begin with up to a /, one a line\n"
    "  --min-objects N         hypersim: of a scene (default 10, as in the paper)\n"
    "  --workers N             threads that read, up to 256 (default: all processors)\n"
    "  --seed N                scenes: 0 to 4294967295 (default 0)\n"
    "  --size PIXELS           scenes: side of the images (default 64)\n"
    "  --count N               scenes: number of images\n"
    "  --quiet                 no progress line\n\n"
    "p2s info data lists the types, and what PATH, --split and --subset mean for each.\n\n"
    "  p2s prepare hypersim /data/hypersim --drop configs/hypersim-broken.txt\n"
    "  p2s prepare scenes runs/shapes --split shapes --count 200\n"
    "  p2s prepare prompt models/gen2seg-sd\n";

enum { MIN_OBJECTS = 10 };

typedef struct {
    const char *type, *path, *split, *subset, *out, *drop;
    int64_t workers, seed, size, count, min_objects;
    bool quiet;
} PrepareArguments;

// What a worker makes of a sample.
typedef struct {
    IndexEntry entry;
    char *damage; // why it could not be read; NULL when it could
} Found;

static void found_free(void *context, void *item) {
    Found *found = item;
    (void)context;
    if (!found) return;
    free(found->entry.name);
    free(found->entry.ids);
    free(found->damage);
    free(found);
}

// A damaged sample is an item too, so that its message is kept.
static void *find(void *context, int64_t index) {
    Found *found = array_new(1, sizeof *found);
    if (!found) return NULL;
    Sample sample = {0};
    if (dataset_read(context, index, &sample) == 0 && index_entry_fill(&found->entry, &sample) == 0)
        found->damage = NULL;
    else
        found->damage = string_copy(error_take());
    sample_free(&sample);
    return found;
}

// ---- the index ----------------------------------------------------------------------------------

typedef struct {
    int64_t damaged, empty, listed, scenes, by_frames;
} Drops;

// Moves what was found into the index.
static void add(Index *index, int64_t at, Found *found, Drops *drops) {
    IndexEntry *entry = &index->entries[at];
    if (found->damage) {
        fprintf(stderr, "p2s prepare: sample %lld: %s\n", (long long)at, found->damage);
        drops->damaged++;
        entry->dropped = found->damage;
        found->damage = NULL;
        return;
    }
    *entry = found->entry;
    found->entry = (IndexEntry){0};
}

static int walk(const PrepareArguments *arguments, Dataset *set, Index *index, Drops *drops) {
    const int workers = (int)arguments->workers;
    Progress progress;
    Pipeline *pipeline =
        pipeline_start(workers, 4 * workers + 1, 0, index->count, find, found_free, set);
    int result = pipeline ? 0 : -1;
    int64_t done = 0;
    progress_begin(&progress, "prepare", "sample", 0, index->count, 10, arguments->quiet);
    while (result == 0 && done < index->count) {
        Found *found = pipeline_next(pipeline);
        if (found)
            add(index, done++, found, drops);
        else
            result = -1;
        found_free(NULL, found);
        progress_update(&progress, done, NULL);
        if (interrupt_requested()) result = error_int("interrupted; no index was written");
    }
    progress_end(&progress, done, NULL);
    pipeline_stop(pipeline);
    return result;
}

static int clean(const PrepareArguments *arguments, Index *index, Drops *drops) {
    if (arguments->drop && (drops->listed = clean_listed(index, arguments->drop)) < 0) return -1;
    if ((drops->empty = clean_empty(index)) < 0) return -1;
    if (strcmp(arguments->type, "hypersim") != 0) return 0;
    drops->scenes = clean_scenes(index, arguments->path, arguments->min_objects, &drops->by_frames);
    return drops->scenes < 0 ? -1 : 0;
}

static void say(const PrepareArguments *arguments, const Index *index, const Drops *drops,
                const char *path) {
    int64_t instances = 0, kept = 0;
    for (int64_t i = 0; i < index->count; i++) {
        const IndexEntry *entry = &index->entries[i];
        kept += !entry->dropped;
        if (!entry->dropped) instances += entry->instances - entry->crowds;
    }
    printf("%s\n%s: %lld of %lld samples kept, with %lld instances; dropped: %lld damaged, %lld "
           "without instances",
           index->description, path, (long long)kept, (long long)index->count, (long long)instances,
           (long long)drops->damaged, (long long)drops->empty);
    if (arguments->drop) printf(", %lld listed in %s", (long long)drops->listed, arguments->drop);
    if (strcmp(arguments->type, "hypersim") == 0)
        printf(", %lld of scenes with fewer than %lld objects (counted in frames for %lld scenes "
               "without a mesh table)",
               (long long)drops->scenes, (long long)arguments->min_objects,
               (long long)drops->by_frames);
    printf("\n");
}

// Returns the number of damaged samples, -1 on failure.
static int64_t make_index(const PrepareArguments *arguments, const DatasetOptions *options,
                          Dataset *set) {
    Drops drops = {0};
    Index *index = index_new(set, options);
    char *path = arguments->out ? string_copy(arguments->out)
                                : index_path(options->path, options->split, options->subset);
    FileWrite *write = path && index ? file_write_begin(path) : NULL; // before hours of reading
    int result = write ? interrupt_watch() : -1;
    if (result == 0) result = walk(arguments, set, index, &drops);
    if (result == 0) result = clean(arguments, index, &drops);
    if (result == 0)
        result = index_write(index, write);
    else
        file_write_abandon(write);
    if (result == 0) say(arguments, index, &drops, path);
    index_free(index);
    free(path);
    return result == 0 ? drops.damaged : -1;
}

// ---- the command --------------------------------------------------------------------------------

static int export_scenes(const PrepareArguments *arguments, const Dataset *set) {
    if (dataset_export(set, arguments->path) != 0) return -1;
    printf("%s: %lld images\n", arguments->path, (long long)dataset_count(set));
    return 0;
}

static int prepare_prompt(const char *model) {
    EmptyPrompt made;
    if (device_use("cpu", 0) || empty_prompt_write(model, &made)) return command_failed();
    printf("%s/" EMPTY_PROMPT_FILE
           ": train [%lld,%lld], infer [2,%lld], tokens %d %d, padding %d\n",
           model, (long long)made.positions, (long long)made.width, (long long)made.width,
           made.begin, made.end, made.pad);
    return EXIT_OK;
}

static int write_half(const char *folder, const char *out) {
    const ModelOptions options = {.dtype = F32};
    PredictSettings settings;
    Model *model = predict_settings_read(&settings, folder) ? NULL : model_open(folder, &options);
    char *aside = model ? folder_replace_begin(out) : NULL;
    int result = aside ? model_save_half(model, aside) : -1;
    if (result == 0) result = predict_settings_write(&settings, aside);
    if (result == 0)
        result = folder_replace_commit(aside, out);
    else if (aside)
        folder_remove(aside);
    free(aside);
    model_free(model);
    return result;
}

static int prepare_half(const PrepareArguments *arguments) {
    if (!arguments->out) return arguments_wrong("prepare", "half needs --out DIR");
    if (device_use("cpu", 0) || folder_check_new(arguments->out) ||
        write_half(arguments->path, arguments->out))
        return command_failed();
    printf("%s: weights as F16\n", arguments->out);
    return EXIT_OK;
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
    const int64_t damaged =
        scenes ? export_scenes(arguments, set) : make_index(arguments, &options, set);
    dataset_close(set);
    if (damaged < 0) return command_failed();
    return damaged == 0 ? EXIT_OK : EXIT_FAILED;
}

int cmd_prepare(int argc, char **argv) {
    const long processors = sysconf(_SC_NPROCESSORS_ONLN);
    PrepareArguments arguments = {.workers = processors > 0 ? processors : 1,
                                  .min_objects = MIN_OBJECTS};
    if (arguments.workers > PIPELINE_MOST_WORKERS) arguments.workers = PIPELINE_MOST_WORKERS;
    Words words = {0};
    int code = EXIT_OK;
    const Argument table[] = {
        ARG_TEXT("--split", arguments.split),
        ARG_TEXT("--subset", arguments.subset),
        ARG_TEXT("--out", arguments.out),
        ARG_TEXT("--drop", arguments.drop),
        ARG_RANGE("--min-objects", INTEGER, arguments.min_objects, 0, 1000000),
        ARG_RANGE("--workers", INTEGER, arguments.workers, 0, PIPELINE_MOST_WORKERS),
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
        return arguments_wrong("prepare",
                               "expected the type of a data set, prompt or half, and a path");
    arguments.type = words.items[0];
    arguments.path = words.items[1];
    if (strcmp(arguments.type, "prompt") == 0) return prepare_prompt(arguments.path);
    if (strcmp(arguments.type, "half") == 0) return prepare_half(&arguments);
    return prepare(&arguments);
}
