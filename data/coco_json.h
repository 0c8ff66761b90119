// SPDX-License-Identifier: MIT
// The annotation file of COCO and of sets in its format, parsed, checked and grouped by image.
#ifndef DATA_COCO_JSON_H
#define DATA_COCO_JSON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    int64_t id;
    int width, height;
    char *file_name;     // relative, without ".." parts
    size_t first, count; // its annotations
} CocoImage;

typedef struct {
    int64_t id;
    size_t image; // index into images
    int category;
    double area; // -1 when the file does not say
    bool crowd;
    size_t first_part, parts; // polygons; none: runs
    size_t first_run, runs;   // run lengths
} CocoAnnotation;

typedef struct {
    size_t first, numbers; // x0 y0 x1 y1 ... within coordinates
} CocoPolygon;

typedef struct {
    CocoImage *images; // by ascending id
    size_t image_count, image_capacity;
    CocoAnnotation *annotations; // by image, then by ascending id
    size_t annotation_count, annotation_capacity;
    int *categories; // ascending ids
    size_t category_count, category_capacity;
    CocoPolygon *polygons;
    size_t polygon_count, polygon_capacity;
    double *coordinates;
    size_t coordinate_count, coordinate_capacity;
    uint32_t *runs;
    size_t run_count, run_capacity;
    size_t without_shape; // wanted annotations left out because their segmentation is empty
} CocoFile;

// Reads a file. Annotations whose category `wanted` refuses (NULL: none) are checked and left out,
// and so are those with an empty list of polygons.
// Unknown keys are skipped. A missing or malformed field is an error that names the file and the
// image's or annotation's id.
CocoFile *coco_file_read(const char *path, bool (*wanted)(int category));

// Sets mask [height, width] of its image to 1 where the annotation is.
int coco_paint(const CocoFile *file, const CocoAnnotation *annotation, uint8_t *mask);

void coco_file_free(CocoFile *file);

#endif
