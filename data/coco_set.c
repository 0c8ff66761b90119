// SPDX-License-Identifier: MIT
// Samples of sets in COCO's format. See coco_set.h.
#include "data/coco_set.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int coco_set_add(CocoSet *set, const char *json, bool (*wanted)(int category), char *prefix,
                 char *folder, char *second) {
    CocoPart *part = &set->parts[set->count++];
    *part = (CocoPart){.prefix = prefix, .folder = folder, .second = second};
    if (!json || !prefix || !folder) return -1;
    part->file = coco_file_read(json, wanted);
    if (!part->file) return -1;
    return part->file->image_count > 0 ? 0 : error_int("%s: no images", json);
}

void coco_set_say(const CocoSet *set, Text *text) {
    size_t images = 0, objects = 0, crowds = 0, empty = 0, shapeless = 0;
    for (int p = 0; p < set->count; p++) {
        const CocoFile *file = set->parts[p].file;
        images += file->image_count;
        objects += file->annotation_count;
        shapeless += file->without_shape;
        for (size_t i = 0; i < file->annotation_count; i++) crowds += file->annotations[i].crowd;
        for (size_t i = 0; i < file->image_count; i++) empty += file->images[i].count == 0;
    }
    text_add(text,
             "%zu images with %zu objects; %zu crowd regions are ignored; %zu images have no "
             "annotation.",
             images, objects - crowds, crowds, empty);
    if (shapeless) text_add(text, " Left out: %zu annotations without a shape.", shapeless);
}

int64_t coco_set_count(void *opened) {
    const CocoSet *set = opened;
    size_t count = 0;
    for (int i = 0; i < set->count; i++) count += set->parts[i].file->image_count;
    return (int64_t)count;
}

const char *coco_set_describe(void *opened) {
    return ((const CocoSet *)opened)->description;
}

void coco_set_close(void *opened) {
    CocoSet *set = opened;
    for (int i = 0; i < set->count; i++) {
        coco_file_free(set->parts[i].file);
        free(set->parts[i].prefix);
        free(set->parts[i].folder);
        free(set->parts[i].second);
    }
    free(set->description);
    free(set);
}

// ---- reading ------------------------------------------------------------------------------------

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
    const double area = annotation->area < 0 ? (double)*pixels : annotation->area;
    sample->instances[sample->instance_count++] = (Instance){.id = annotation->id,
                                                             .category = annotation->category,
                                                             .area = area,
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

static char *find_image(const CocoPart *part, const char *name) {
    char *path = path_join(part->folder, name);
    if (!path || !part->second || file_exists(path)) return path;
    free(path);
    return path_join(part->second, name);
}

static int read_part(const CocoPart *part, const CocoImage *image, Sample *sample) {
    const int length =
        snprintf(sample->name, sizeof sample->name, "%s/%s", part->prefix, image->file_name);
    if (length < 0 || (size_t)length >= sizeof sample->name)
        return error_int("image %lld: \"%s/%s\" is longer than %zu characters",
                         (long long)image->id, part->prefix, image->file_name,
                         sizeof sample->name - 1);
    char *path = find_image(part, image->file_name);
    int status = path ? read_image(image, path, sample) : -1;
    if (status == 0 && make_instances(part->file, image, sample))
        status = error_context("%s", path);
    free(path);
    return status;
}

int coco_set_read(void *opened, int64_t index, Sample *sample) {
    const CocoPart *part = ((const CocoSet *)opened)->parts;
    for (; index >= (int64_t)part->file->image_count; part++)
        index -= (int64_t)part->file->image_count;
    return read_part(part, &part->file->images[index], sample);
}
