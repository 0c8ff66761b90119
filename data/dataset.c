// SPDX-License-Identifier: MIT
// The list of data sets, and the thin layer that checks indices and adds names to errors.
#include "data/dataset.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

struct Dataset {
    const DatasetType *type;
    void *set;
};

#define ROW(name) &dataset_##name,
static const DatasetType *const types[] = {DATASET_LIST(ROW)};
#undef ROW

#define NAME(name) " " #name
static const char known_names[] = DATASET_LIST(NAME);
#undef NAME

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
    return set->type->count(set->set);
}

int dataset_read(const Dataset *set, int64_t index, Sample *sample) {
    *sample = (Sample){0};
    const int64_t count = dataset_count(set);
    if (index < 0 || index >= count)
        return error_int("data set %s: sample %lld of %lld", set->type->name, (long long)index,
                         (long long)count);
    if (set->type->read(set->set, index, sample) == 0) return 0;
    sample_free(sample);
    return -1;
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
    free(set);
}
