// SPDX-License-Identifier: MIT
// The index of a data set: what `p2s prepare` found when it read every sample once. Training uses
// the samples that it keeps, and notices when the files are no longer those it was made from.
#ifndef DATA_INDEX_H
#define DATA_INDEX_H

#include "base/file.h"
#include "data/dataset.h"

typedef struct {
    char *name;    // of the sample; NULL when it could not be read
    char *dropped; // why training does not use it; NULL when it does
    int width, height, instances, crowds, left_out;
    int64_t ignored; // pixels
    uint32_t checksum;
    int64_t *ids; // [instances], the set's own ids; only of an entry just filled, not in the file
} IndexEntry;

typedef struct {
    char *type, *split, *subset, *description; // split and subset: "" when none was given
    IndexEntry *entries;                       // [count], one per sample of the set, in its order
    int64_t count;
} Index;

// A new index of `count` zeroed entries for a set that was opened with these options. NULL and an
// error when split or subset are not UTF-8.
Index *index_new(const Dataset *set, const DatasetOptions *options);
void index_free(Index *index);

// Where the index of a set lies unless said otherwise, owned by the caller: index.json in `root`,
// with split and subset in the name when they are given.
char *index_path(const char *root, const char *split, const char *subset);

// JSON: the counts, "samples" (all that could be read) and "dropped" (all that are not used, with
// the reason). Writing commits or abandons `write`. Reading checks every field; errors name the
// file and the entry.
int index_write(const Index *index, FileWrite *write);
Index *index_read(const char *path);

// CRC-32 of pixels and labels, and the entry of a sample that was read (owned strings), which fails
// when its name is not UTF-8.
uint32_t sample_checksum(const Sample *sample);
int index_entry_fill(IndexEntry *entry, const Sample *sample);

// Restricts a set to the samples that its index keeps; from now on reading compares each with its
// entry. `choice`: NULL or "" takes index_path(...) when it is there and the options have a path,
// "required" demands it, "none" takes none, anything else is a file. Fails, saying what to do, when
// the index is missing though demanded, is of another set, or does not agree with the set: number
// of samples, and, read in full, the first, the middle and the last that are kept. *path (may be
// NULL) gets the file taken, owned by the caller, or NULL.
int dataset_use_index(Dataset *set, const DatasetOptions *options, const char *choice, char **path);

#endif
