// SPDX-License-Identifier: MIT
// A data set is five functions and a row in DATASET_LIST. `read` gives one sample: an RGB image,
// dense instance ids, an ignore mask where the set has one, and facts about every instance. A frame
// without instances is a sample with instance_count 0; dropping it is for the caller.
#ifndef DATA_DATASET_H
#define DATA_DATASET_H

#include "data/image.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t id;    // the data set's own id, for messages and reports
    int category;  // the data set's class number, -1 when it has none
    double area;   // in pixels; for polygon annotations the annotated real-valued area
    bool crowd;    // a region of many objects: not scored, ignored in training
    uint8_t *mask; // [H, W] 0/1, owned; NULL when the instance is where labels == index + 1
} Instance;

typedef struct {
    char name[256];      // names the sample in messages and reports, unique in the set
    Image image;         // RGB
    LabelMap labels;     // dense ids 1..instance_count, 0 background; where masks overlap the
                         // smallest; never the id of a crowd
    uint8_t *ignore;     // [H, W], 1 = no loss and no score here; NULL when nothing is ignored
    Instance *instances; // [instance_count], index = id - 1
    int instance_count;
    int left_out;       // annotations without a single pixel, which are not among the instances
    bool no_background; // unlabelled pixels are unknown, not background (gen2seg's no_bg)
} Sample;

// Takes zeroed samples too, and those of which making failed half-way.
void sample_free(Sample *sample);

// How many of the instances are objects, not crowds.
int sample_objects(const Sample *sample);

// Writes 1 where instance `index` (0-based) of the sample is, else 0. mask [H, W].
void sample_mask(const Sample *sample, int index, uint8_t *mask);

// For readers: turns labels from a set's own ids into dense ones and fills the instances. Ids above
// 0 become 1..n in ascending order, all others 0; instances get their own id, their pixel count as
// area, and category -1. Ids up to 2^20 are taken.
int sample_number_instances(Sample *sample);

// Removes the instances that have no pixel (left), as after a crop, and renumbers the others, in
// order. Returns how many were removed, -1 on failure.
int sample_drop_vanished(Sample *sample);

typedef struct {
    const char *path;   // root folder, JSON file, or for generated sets a description
    const char *split;  // data-set specific; NULL or "" = default
    const char *subset; // data-set specific, e.g. "novel" for COCO; NULL or "" = all
    uint64_t seed;      // generated sets
    int size;           // generated sets: side in pixels; 0 = default
    int64_t count;      // generated sets: number of samples; 0 = default
    bool no_categories; // leave categories at -1 where a file must be read for them alone
} DatasetOptions;

typedef struct Dataset Dataset;

typedef struct {
    const char *name;
    const char *help; // one line: what `path`, `split`, `subset` mean
    // NULL and an error that names the path when the folder is not such a data set.
    void *(*open)(const DatasetOptions *options);
    int64_t (*count)(void *set);
    // Fills *sample, which is zeroed before and freed by the caller, also after a failure.
    // Thread-safe: several threads may read one set.
    int (*read)(void *set, int64_t index, Sample *sample);
    // A few lines for people: counts, what was dropped and why. Owned by the set.
    const char *(*describe)(void *set);
    void (*close)(void *set);
} DatasetType;

// A row here, and a file data/<name>.c that defines `const DatasetType dataset_<name>`.
#define DATASET_LIST(SET) \
    SET(hypersim)         \
    SET(vkitti2)          \
    SET(coco)             \
    SET(clevrtex)         \
    SET(dram)             \
    SET(egohos)           \
    SET(ishape)           \
    SET(pidray)           \
    SET(voc)              \
    SET(hrsod)            \
    SET(zerowaste)        \
    SET(folder)           \
    SET(scenes)

#define DATASET_TYPE_DECLARATION(name) extern const DatasetType dataset_##name;
DATASET_LIST(DATASET_TYPE_DECLARATION)

// The types in the list's order; NULL beyond its end.
const DatasetType *dataset_type_at(int number);

// Opens a set by the name of its type; an unknown name is an error that lists the known ones.
Dataset *dataset_open(const char *type, const DatasetOptions *options);
int64_t dataset_count(const Dataset *set);
// On failure *sample is zeroed and the message names the files.
int dataset_read(const Dataset *set, int64_t index, Sample *sample);
const char *dataset_type(const Dataset *set);
const char *dataset_describe(const Dataset *set);
// A number that changes with the samples: CRC-32 of names and checksums of those that its index
// keeps, 0 without an index.
uint32_t dataset_fingerprint(const Dataset *set);
void dataset_close(Dataset *set);

#endif
