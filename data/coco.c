// SPDX-License-Identifier: MIT
// COCO and sets in its format: masks may overlap, so every instance carries its own; in the id map
// the smaller one wins. Crowds are not objects: their pixels are ignored where no object is.
// Source: datasets.md 1.8 and 3.3.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/coco_json.h"
#include "data/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    CocoFile *file;
    char *folder; // of the images
    char *split;
    char *description;
} Coco;

// The categories of COCO that neither Hypersim nor Virtual KITTI 2 label.
static bool is_novel(int category) {
    static const unsigned char novel[] = {
        1,  2,  4,  5,  6,  7,  8,  9,  10, 11, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27,
        28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 52, 54, 55, 56, 57, 58, 59, 60, 61};
    for (size_t i = 0; i < sizeof novel; i++)
        if (novel[i] == category) return true;
    return false;
}

static char *describe(const Coco *set, const char *subset) {
    const CocoFile *file = set->file;
    size_t crowds = 0, empty = 0;
    for (size_t i = 0; i < file->annotation_count; i++) crowds += file->annotations[i].crowd;
    for (size_t i = 0; i < file->image_count; i++) empty += file->images[i].count == 0;
    const int official = strcmp(set->split, "val2017") == 0     ? 5000
                         : strcmp(set->split, "train2017") == 0 ? 118287
                                                                : 0;
    Text text = {0};
    text_add(&text,
             "COCO %s%s%s in %s: %zu images with %zu objects; %zu crowd regions are ignored; %zu "
             "images have no annotation.",
             set->split, *subset ? ", " : "", subset, set->folder, file->image_count,
             file->annotation_count - crowds, crowds, empty);
    if (official) text_add(&text, " The full split has %d images.", official);
    return text_take(&text);
}

static void coco_close(void *opened) {
    Coco *set = opened;
    coco_file_free(set->file);
    free(set->folder);
    free(set->split);
    free(set->description);
    free(set);
}

static int load(Coco *set, const DatasetOptions *options, const char *subset) {
    const char *root = option_or(options->path, ".");
    set->split = string_copy(option_or(options->split, "val2017"));
    if (!set->split) return -1;
    set->folder = text_format("%s/%s", root, set->split);
    char *path = text_format("%s/annotations/instances_%s.json", root, set->split);
    if (set->folder && path) set->file = coco_file_read(path, *subset ? is_novel : NULL);
    if (set->file && set->file->image_count == 0) error_int("%s: no images", path);
    const bool complete = set->file && set->file->image_count > 0;
    free(path);
    if (complete) set->description = describe(set, subset);
    return set->description ? 0 : -1;
}

static void *coco_open(const DatasetOptions *options) {
    const char *subset = option_or(options->subset, "");
    if (*subset && strcmp(subset, "novel") != 0)
        return error_null("subset \"%s\", expected novel or nothing", subset);
    Coco *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    if (load(set, options, subset) == 0) return set;
    coco_close(set);
    return NULL;
}

static int64_t coco_count(void *opened) {
    return (int64_t)((const Coco *)opened)->file->image_count;
}

static size_t count_ones(const uint8_t *mask, size_t count) {
    size_t ones = 0;
    for (size_t i = 0; i < count; i++) ones += mask[i];
    return ones;
}

// Adds one annotation as an instance with its mask; *pixels gets the size of the mask.
static int add_instance(const CocoFile *file, const CocoAnnotation *annotation, Sample *sample,
                        size_t *pixels) {
    const size_t count = (size_t)sample->labels.width * (size_t)sample->labels.height;
    uint8_t *mask = array_new(count, 1);
    if (!mask) return -1;
    if (coco_paint(file, annotation, mask)) {
        free(mask);
        return -1;
    }
    *pixels = count_ones(mask, count);
    if (*pixels == 0) {
        sample->left_out++;
        free(mask);
        return 0;
    }
    sample->instances[sample->instance_count++] = (Instance){.id = annotation->id,
                                                             .category = annotation->category,
                                                             .area = annotation->area,
                                                             .crowd = annotation->crowd,
                                                             .mask = mask};
    return 0;
}

// An instance as the painting order sees it.
typedef struct {
    size_t pixels;
    int index;
} Layer;

static int compare_layers(const void *left, const void *right) {
    const Layer *a = left, *b = right;
    if (a->pixels != b->pixels) return a->pixels > b->pixels ? -1 : 1;
    return a->index - b->index;
}

static void paint_labels(Sample *sample, Layer *layers) {
    const size_t count = (size_t)sample->labels.width * (size_t)sample->labels.height;
    qsort(layers, (size_t)sample->instance_count, sizeof *layers, compare_layers);
    for (int k = 0; k < sample->instance_count; k++) {
        const Instance *instance = &sample->instances[layers[k].index];
        if (instance->crowd) continue;
        for (size_t i = 0; i < count; i++)
            if (instance->mask[i]) sample->labels.ids[i] = layers[k].index + 1;
    }
}

static int make_ignore(Sample *sample) {
    const size_t count = (size_t)sample->labels.width * (size_t)sample->labels.height;
    for (int k = 0; k < sample->instance_count; k++) {
        const Instance *instance = &sample->instances[k];
        if (!instance->crowd) continue;
        if (!sample->ignore) sample->ignore = array_new(count, 1);
        if (!sample->ignore) return -1;
        for (size_t i = 0; i < count; i++)
            if (instance->mask[i] && sample->labels.ids[i] == 0) sample->ignore[i] = 1;
    }
    return 0;
}

static int make_instances(const CocoFile *file, const CocoImage *image, Sample *sample) {
    sample->instances = array_new(image->count, sizeof *sample->instances);
    Layer *layers = array_new(image->count, sizeof *layers);
    int status = sample->instances && layers ? 0 : -1;
    for (size_t k = 0; status == 0 && k < image->count; k++) {
        const int index = sample->instance_count;
        status =
            add_instance(file, &file->annotations[image->first + k], sample, &layers[index].pixels);
        layers[index].index = index;
    }
    if (status == 0 && sample->instance_count > 0) paint_labels(sample, layers);
    free(layers);
    return status ? -1 : make_ignore(sample);
}

static int read_image(const CocoImage *image, const char *path, Sample *sample) {
    if (image_read(path, &sample->image)) return -1;
    if (sample->image.width != image->width || sample->image.height != image->height)
        return error_int("%s is %dx%d (width x height) but the annotations say %dx%d", path,
                         sample->image.width, sample->image.height, image->width, image->height);
    return label_map_new(&sample->labels, image->width, image->height);
}

static int coco_read(void *opened, int64_t index, Sample *sample) {
    const Coco *set = opened;
    const CocoImage *image = &set->file->images[index];
    const int length =
        snprintf(sample->name, sizeof sample->name, "%s/%s", set->split, image->file_name);
    if (length < 0 || (size_t)length >= sizeof sample->name)
        return error_int("image %lld: \"%s/%s\" is longer than %zu characters",
                         (long long)image->id, set->split, image->file_name,
                         sizeof sample->name - 1);
    char *path = text_format("%s/%s", set->folder, image->file_name);
    int status = path ? read_image(image, path, sample) : -1;
    if (status == 0 && make_instances(set->file, image, sample)) status = error_context("%s", path);
    free(path);
    return status;
}

static const char *coco_describe(void *opened) {
    return ((const Coco *)opened)->description;
}

const DatasetType dataset_coco = {
    .name = "coco",
    .help = "path: folder with annotations/instances_SPLIT.json and SPLIT/; split: val2017 "
            "(default), train2017 or another; subset: novel takes the 46 categories that the "
            "training sets do not have",
    .open = coco_open,
    .count = coco_count,
    .read = coco_read,
    .describe = coco_describe,
    .close = coco_close,
};
