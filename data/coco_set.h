// SPDX-License-Identifier: MIT
// What data sets in COCO's format share: samples from annotation files and folders of images. Masks
// may overlap, so every instance carries its own; in the id map the smaller one wins. Crowds are
// not objects: their pixels are ignored where no object is. Source: datasets.md 1.8 and 3.3.
#ifndef DATA_COCO_SET_H
#define DATA_COCO_SET_H

#include "base/text.h"
#include "data/coco_json.h"
#include "data/dataset.h"

enum { COCO_MOST_PARTS = 6 };

// One annotation file.
typedef struct {
    CocoFile *file;
    char *prefix; // a sample's name is prefix/file_name
    char *folder; // of the images
    char *second; // where an image is that the folder does not have; may be NULL
} CocoPart;

// Several of them, one after the other.
typedef struct {
    CocoPart parts[COCO_MOST_PARTS];
    int count;
    char *description;
} CocoSet;

// Adds an annotation file, restricted to the wanted categories (NULL: all). Takes the other three
// strings, of which `second` may be NULL; NULL for another (memory is out) is a failure. Fails,
// too, when the file has no images.
int coco_set_add(CocoSet *set, const char *json, bool (*wanted)(int category), char *prefix,
                 char *folder, char *second);

// Appends "N images with N objects ..." to a description.
void coco_set_say(const CocoSet *set, Text *text);

// For DatasetType. `opened` is a CocoSet from array_new; close frees it.
int64_t coco_set_count(void *opened);
int coco_set_read(void *opened, int64_t index, Sample *sample);
const char *coco_set_describe(void *opened);
void coco_set_close(void *opened);

#endif
