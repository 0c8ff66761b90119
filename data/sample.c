// SPDX-License-Identifier: MIT
// What all readers and users of samples share: freeing, masks, dense numbering.
#include "data/dataset.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_ID = 1 << 20 };

static size_t pixel_count(const Sample *sample) {
    return (size_t)sample->labels.width * (size_t)sample->labels.height;
}

void sample_free(Sample *sample) {
    if (!sample) return;
    image_free(&sample->image);
    label_map_free(&sample->labels);
    free(sample->ignore);
    for (int i = 0; i < sample->instance_count; i++) free(sample->instances[i].mask);
    free(sample->instances);
    *sample = (Sample){0};
}

int sample_objects(const Sample *sample) {
    int objects = 0;
    for (int i = 0; i < sample->instance_count; i++) objects += !sample->instances[i].crowd;
    return objects;
}

void sample_mask(const Sample *sample, int index, uint8_t *mask) {
    const size_t count = pixel_count(sample);
    const uint8_t *own = sample->instances[index].mask;
    if (own) {
        memcpy(mask, own, count);
        return;
    }
    for (size_t i = 0; i < count; i++) mask[i] = sample->labels.ids[i] == index + 1;
}

static int largest_id(const LabelMap *labels, size_t count) {
    int largest = 0;
    for (size_t i = 0; i < count; i++)
        if (labels->ids[i] > largest) largest = labels->ids[i];
    return largest;
}

// Whether one of four ids is another than `id`.
static bool differ(const int32_t *ids, int32_t id) {
    const uint64_t both = (uint64_t)(uint32_t)id << 32 | (uint32_t)id;
    uint64_t pairs[2];
    memcpy(pairs, ids, sizeof pairs);
    return ((pairs[0] ^ both) | (pairs[1] ^ both)) != 0;
}

// Adds the pixels of every id above 0, a run of equal ones at a time.
static void count_ids(const int32_t *ids, size_t count, int32_t *by_id) {
    for (size_t start = 0, end; start < count; start = end) {
        end = start + 1;
        while (count - end >= 4 && !differ(ids + end, ids[start])) end += 4;
        while (end < count && ids[end] == ids[start]) end++;
        if (ids[start] > 0) by_id[ids[start]] += (int32_t)(end - start);
    }
}

// Given pixel counts by id, makes the instances and turns each count into the dense id.
static int make_instances(Sample *sample, int32_t *by_id, int largest) {
    int count = 0;
    for (int id = 1; id <= largest; id++) count += by_id[id] > 0;
    sample->instances = array_new((size_t)count, sizeof *sample->instances);
    if (!sample->instances) return -1;
    for (int id = 1; id <= largest; id++) {
        if (by_id[id] == 0) continue;
        sample->instances[sample->instance_count++] =
            (Instance){.id = id, .category = -1, .area = by_id[id]};
        by_id[id] = sample->instance_count;
    }
    return 0;
}

int sample_number_instances(Sample *sample) {
    const size_t count = pixel_count(sample);
    int32_t *ids = sample->labels.ids;
    const int largest = largest_id(&sample->labels, count);
    if (largest > MAX_ID)
        return error_int("instance id %d, expected at most %d", largest, (int)MAX_ID);
    int32_t *by_id = array_new((size_t)largest + 1, sizeof *by_id);
    if (!by_id) return -1;
    count_ids(ids, count, by_id);
    const int status = make_instances(sample, by_id, largest);
    for (size_t i = 0; status == 0 && i < count; i++) ids[i] = by_id[(ids[i] > 0) * ids[i]];
    free(by_id);
    return status;
}

int sample_drop_vanished(Sample *sample) {
    const size_t count = pixel_count(sample);
    const int before = sample->instance_count;
    // new_id[old id]: first whether there is a pixel, then the new id.
    int32_t *new_id = array_new((size_t)before + 1, sizeof *new_id);
    if (!new_id) return -1;
    for (size_t i = 0; i < count; i++) new_id[sample->labels.ids[i]] = 1;
    new_id[0] = 0;
    int kept = 0;
    for (int i = 0; i < before; i++) {
        Instance instance = sample->instances[i];
        const bool present =
            instance.mask ? memchr(instance.mask, 1, count) != NULL : new_id[i + 1];
        if (present)
            sample->instances[kept++] = instance;
        else
            free(instance.mask);
        new_id[i + 1] = present ? kept : 0;
    }
    for (size_t i = 0; i < count; i++) sample->labels.ids[i] = new_id[sample->labels.ids[i]];
    sample->instance_count = kept;
    free(new_id);
    return before - kept;
}
