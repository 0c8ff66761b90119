// SPDX-License-Identifier: MIT
// Pairs of image and label files. See pairs.h.
#include "data/pairs.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
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

void pair_free(Pair *pair) {
    free(pair->name);
    free(pair->image);
    free(pair->labels);
    *pair = (Pair){0};
}

int pairs_scan(PairSet *set, const char *images, const char *image_ending, const char *labels,
               const char *label_ending) {
    size_t image_count, label_count = 0;
    char **image_names = folder_list(images, &image_count);
    char **label_names = image_names ? folder_list(labels, &label_count) : NULL;
    int status = label_names ? 0 : -1;
    for (size_t i = 0; status == 0 && i < image_count; i++) {
        const char *name = image_names[i];
        if (name[0] == '.' || !text_ends_with(name, image_ending)) continue;
        const int stem = (int)(strlen(name) - strlen(image_ending));
        char *label = text_format("%.*s%s", stem, name, label_ending);
        if (!label)
            status = -1;
        else if (list_has(label_names, label_count, label))
            status = pairs_add(set, text_format("%.*s", stem, name), path_join(images, name),
                               path_join(labels, label));
        else
            set->without_labels++;
        free(label);
    }
    if (status == 0 && set->count == 0)
        status = error_int("%s: no image *%s has a file *%s of its name in %s", images,
                           image_ending, label_ending, labels);
    folder_list_free(image_names, image_names ? image_count : 0);
    folder_list_free(label_names, label_count);
    return status;
}

void pair_name(const Pair *pair, Sample *sample) {
    snprintf(sample->name, sizeof sample->name, "%s", pair->name);
}

int pair_read(const Pair *pair, Sample *sample) {
    pair_name(pair, sample);
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
    for (size_t i = 0; i < set->count; i++) pair_free(&set->pairs[i]);
    free(set->pairs);
    free(set->description);
    free(set);
}
