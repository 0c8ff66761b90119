// SPDX-License-Identifier: MIT
// Pairs of image and label files. See pairs.h.
#include "data/pairs.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int pairs_add(PairSet *set, char *name, char *image, char *labels) {
    const Pair pair = {name, image, labels};
    int status = name && image && labels ? 0 : -1;
    if (status == 0 && strlen(name) >= sizeof(((Sample *)0)->name))
        status = error_int("%s: the sample's name has more than %zu characters", image,
                           sizeof(((Sample *)0)->name) - 1);
    if (status == 0)
        status = array_grow(&set->pairs, &set->capacity, set->count, sizeof *set->pairs);
    if (status == 0) {
        set->pairs[set->count++] = pair;
        return 0;
    }
    free(name);
    free(image);
    free(labels);
    return -1;
}

int pair_read(const Pair *pair, Sample *sample) {
    snprintf(sample->name, sizeof sample->name, "%s", pair->name);
    if (image_read(pair->image, &sample->image)) return -1;
    if (label_png_read(pair->labels, &sample->labels)) return -1;
    return check_sizes_agree(sample, pair->image, pair->labels);
}

int sample_ignore_255(Sample *sample) {
    const size_t count = (size_t)sample->labels.width * (size_t)sample->labels.height;
    sample->ignore = array_new(count, 1);
    if (!sample->ignore) return -1;
    for (size_t i = 0; i < count; i++) {
        if (sample->labels.ids[i] != 255) continue;
        sample->ignore[i] = 1;
        sample->labels.ids[i] = 0;
    }
    return 0;
}

int64_t pairs_count(void *opened) {
    return (int64_t)((const PairSet *)opened)->count;
}

const char *pairs_describe(void *opened) {
    return ((const PairSet *)opened)->description;
}

void pairs_close(void *opened) {
    PairSet *set = opened;
    for (size_t i = 0; i < set->count; i++) {
        free(set->pairs[i].name);
        free(set->pairs[i].image);
        free(set->pairs[i].labels);
    }
    free(set->pairs);
    free(set->description);
    free(set);
}
