// SPDX-License-Identifier: MIT
// The list of data sets, and the thin layer that checks numbers, adds names to errors and, where a
// set has an index, shows only the samples that it keeps.
#include "data/dataset.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/index.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

struct Dataset {
    const DatasetType *type;
    void *set;
    Index *index;       // NULL: all samples as they are
    int64_t *kept;      // [kept_count], numbers in the whole set
    int64_t kept_count; // with an index
};

#define ROW(name) &dataset_##name,
static const DatasetType *const types[] = {DATASET_LIST(ROW)};
#undef ROW

#define NAME(name) " " #name
static const char known_names[] = DATASET_LIST(NAME);
#undef NAME

const DatasetType *dataset_type_at(int number) {
    const bool known = number >= 0 && (size_t)number < sizeof types / sizeof *types;
    return known ? types[number] : NULL;
}

static const DatasetType *find_type(const char *name) {
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(types[i]->name, name) == 0) return types[i];
    return error_null("unknown data set type \"%s\"; known are:%s", name, known_names);
}

Dataset *dataset_open(const char *type, const DatasetOptions *options) {
    const DatasetType *found = find_type(type);
    if (!found) return NULL;
    Dataset *dataset = array_new(1, sizeof *dataset);
    if (!dataset) return NULL;
    dataset->type = found;
    dataset->set = found->open(options);
    if (dataset->set) return dataset;
    free(dataset);
    error_context("data set %s", type);
    return NULL;
}

int64_t dataset_count(const Dataset *set) {
    return set->index ? set->kept_count : set->type->count(set->set);
}

static int check_entry(const IndexEntry *entry, const Sample *sample) {
    if (strcmp(entry->name, sample->name) == 0 && entry->width == sample->image.width &&
        entry->height == sample->image.height && entry->instances == sample->instance_count)
        return 0;
    return error_int("the index is stale: it says %s, %dx%d, %d instances, but found is %s, %dx%d, "
                     "%d instances; run p2s prepare again",
                     entry->name, entry->width, entry->height, entry->instances, sample->name,
                     sample->image.width, sample->image.height, sample->instance_count);
}

int dataset_read(const Dataset *set, int64_t index, Sample *sample) {
    *sample = (Sample){0};
    const int64_t count = dataset_count(set);
    if (index < 0 || index >= count)
        return error_int("data set %s: sample %lld of %lld", set->type->name, (long long)index,
                         (long long)count);
    const int64_t at = set->index ? set->kept[index] : index;
    int status = set->type->read(set->set, at, sample);
    if (status == 0 && set->index) status = check_entry(&set->index->entries[at], sample);
    if (status) sample_free(sample);
    return status;
}

const char *dataset_type(const Dataset *set) {
    return set->type->name;
}

const char *dataset_describe(const Dataset *set) {
    return set->type->describe(set->set);
}

void dataset_close(Dataset *set) {
    if (!set) return;
    set->type->close(set->set);
    index_free(set->index);
    free(set->kept);
    free(set);
}

// ---- the index ----------------------------------------------------------------------------------

// The file to take; *path NULL: none.
static int find_index(const Dataset *set, const DatasetOptions *options, const char *choice,
                      char **path) {
    const bool required = strcmp(choice, "required") == 0;
    *path = NULL;
    const bool anywhere = *option_or(options->path, "") != '\0'; // generated sets have no folder
    if (strcmp(choice, "none") == 0 || (!*choice && !anywhere)) return 0;
    *path = *choice && !required ? string_copy(choice)
                                 : index_path(options->path, options->split, options->subset);
    if (!*path) return -1;
    if (file_exists(*path)) return 0;
    if (*choice)
        error_int("%s: there is no such index; make it with p2s prepare %s %s", *path,
                  set->type->name, option_or(options->path, "."));
    free(*path);
    *path = NULL;
    return *choice ? -1 : 0;
}

static int check_index(const Dataset *set, const DatasetOptions *options, const Index *index) {
    const char *split = option_or(options->split, ""), *subset = option_or(options->subset, "");
    if (strcmp(index->type, set->type->name) != 0 || strcmp(index->split, split) != 0 ||
        strcmp(index->subset, subset) != 0)
        return error_int("the index is of %s, split \"%s\", subset \"%s\", expected %s, \"%s\", "
                         "\"%s\"",
                         index->type, index->split, index->subset, set->type->name, split, subset);
    const int64_t count = set->type->count(set->set);
    if (index->count == count) return 0;
    return error_int("the index is stale: it was made of %lld samples, found are %lld; run p2s "
                     "prepare again",
                     (long long)index->count, (long long)count);
}

static int check_contents(const Dataset *set, int64_t index) {
    Sample sample;
    if (dataset_read(set, index, &sample)) return -1;
    const bool same = sample_checksum(&sample) == set->index->entries[set->kept[index]].checksum;
    if (!same)
        error_int("the index is stale: pixels or labels of %s have changed; run p2s prepare again",
                  sample.name);
    sample_free(&sample);
    return same ? 0 : -1;
}

static int take_index(Dataset *set, Index *index) {
    set->index = index;
    set->kept = array_new((size_t)index->count, sizeof *set->kept);
    if (!set->kept) return -1;
    for (int64_t i = 0; i < index->count; i++)
        if (!index->entries[i].dropped) set->kept[set->kept_count++] = i;
    if (set->kept_count == 0) return error_int("the index keeps none of the samples");
    const int64_t last = set->kept_count - 1, looked[] = {0, last / 2, last};
    for (int i = 0; i < 3; i++)
        if (check_contents(set, looked[i])) return -1;
    return 0;
}

uint32_t dataset_fingerprint(const Dataset *set) {
    uLong sum = 0;
    for (int64_t i = 0; set->index && i < set->kept_count; i++) {
        const IndexEntry *entry = &set->index->entries[set->kept[i]];
        sum = crc32_z(sum, (const Bytef *)entry->name, strlen(entry->name));
        sum = crc32_z(sum, (const Bytef *)&entry->checksum, sizeof entry->checksum);
    }
    return (uint32_t)sum;
}

int dataset_use_index(Dataset *set, const DatasetOptions *options, const char *choice,
                      char **path) {
    char *file;
    if (path) *path = NULL;
    if (find_index(set, options, option_or(choice, ""), &file)) return -1;
    if (!file) return 0;
    Index *index = index_read(file);
    int status = index ? check_index(set, options, index) : -1;
    if (index && status) index_free(index);
    if (status == 0) status = take_index(set, index);
    if (index && status) error_context("%s", file);
    if (status == 0 && path)
        *path = file;
    else
        free(file);
    return status;
}
