// SPDX-License-Identifier: MIT
// COCO JSON to tables. No tree of the whole file is made (json_text.h); all polygons lie in one
// array of coordinates and all run lengths in another. Source: datasets.md 2.5.
#include "data/coco_json.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/json_text.h"
#include "data/polygon.h"
#include "data/reader.h"
#include "data/rle.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_SIDE = 65535 };
static const int64_t max_id = INT64_C(1) << 53;

// A member that is a whole number, written as integer or real.
static int get_whole(const json_t *object, const char *key, int64_t low, int64_t high,
                     int64_t *value) {
    const json_t *member = json_object_get(object, key);
    if (!member) return error_int("\"%s\" is missing", key);
    if (!json_is_number(member)) return error_int("\"%s\" is not a number", key);
    const double real = json_number_value(member);
    if (real != floor(real) || !(fabs(real) <= (double)max_id))
        return error_int("\"%s\" is %g, expected a whole number", key, real);
    *value = json_is_integer(member) ? json_integer_value(member) : (int64_t)real;
    if (*value >= low && *value <= high) return 0;
    return error_int("\"%s\" is %lld, expected %lld to %lld", key, (long long)*value,
                     (long long)low, (long long)high);
}

static int get_int(const json_t *object, const char *key, int low, int high, int *value) {
    int64_t wide = 0;
    if (get_whole(object, key, low, high, &wide)) return -1;
    *value = (int)wide;
    return 0;
}

// What the readers of elements work on.
typedef struct {
    CocoFile *file;
    bool (*wanted)(int category);
} Reading;

static int read_image(void *context, const json_t *entry) {
    CocoFile *file = ((Reading *)context)->file;
    CocoImage image = {0};
    if (get_whole(entry, "id", -max_id, max_id, &image.id)) return -1;
    if (get_int(entry, "width", 1, MAX_SIDE, &image.width) ||
        get_int(entry, "height", 1, MAX_SIDE, &image.height))
        return error_context("image %lld", (long long)image.id);
    const char *name = json_string_value(json_object_get(entry, "file_name"));
    if (!name || !is_inner_path(name))
        return error_int("image %lld: \"file_name\" is missing or not a path inside the folder",
                         (long long)image.id);
    if (array_grow(&file->images, &file->image_capacity, file->image_count, sizeof image))
        return -1;
    image.file_name = string_copy(name);
    if (!image.file_name) return -1;
    file->images[file->image_count++] = image;
    return 0;
}

static int read_category(void *context, const json_t *entry) {
    CocoFile *file = ((Reading *)context)->file;
    int id;
    if (get_int(entry, "id", 0, 1 << 30, &id)) return -1;
    if (array_grow(&file->categories, &file->category_capacity, file->category_count, sizeof id))
        return -1;
    file->categories[file->category_count++] = id;
    return 0;
}

static int read_polygon(CocoFile *file, const json_t *list) {
    const size_t numbers = json_array_size(list);
    if (!json_is_array(list)) return error_int("\"segmentation\" holds something not a list");
    if (numbers < 6 || numbers % 2)
        return error_int("polygon of %zu numbers, expected an even count from 6 on", numbers);
    if (array_grow(&file->polygons, &file->polygon_capacity, file->polygon_count,
                   sizeof *file->polygons))
        return -1;
    file->polygons[file->polygon_count++] = (CocoPolygon){file->coordinate_count, numbers};
    for (size_t i = 0; i < numbers; i++) {
        const json_t *number = json_array_get(list, i);
        if (!json_is_number(number)) return error_int("polygon with something not a number");
        if (array_grow(&file->coordinates, &file->coordinate_capacity, file->coordinate_count,
                       sizeof *file->coordinates))
            return -1;
        file->coordinates[file->coordinate_count++] = json_number_value(number);
    }
    return 0;
}

static int read_polygons(CocoFile *file, const json_t *lists, CocoAnnotation *annotation) {
    annotation->first_part = file->polygon_count;
    annotation->parts = json_array_size(lists);
    for (size_t i = 0; i < annotation->parts; i++)
        if (read_polygon(file, json_array_get(lists, i))) return -1;
    return 0;
}

static int rle_from_list(const json_t *list, int width, int height, Rle *rle) {
    const size_t length = json_array_size(list);
    int64_t *counts = array_new(length, sizeof *counts);
    if (!counts) return -1;
    int status = 0;
    for (size_t i = 0; status == 0 && i < length; i++) {
        const json_t *number = json_array_get(list, i);
        if (json_is_integer(number))
            counts[i] = json_integer_value(number);
        else
            status = error_int("\"counts\" holds something not an integer");
    }
    if (status == 0) status = rle_from_counts(counts, length, width, height, rle);
    free(counts);
    return status;
}

static int read_rle_size(const json_t *object, const CocoImage *image) {
    const json_t *size = json_object_get(object, "size");
    if (json_array_size(size) == 2 &&
        json_integer_value(json_array_get(size, 0)) == image->height &&
        json_integer_value(json_array_get(size, 1)) == image->width)
        return 0;
    return error_int("\"size\" of the run lengths is not [%d, %d], the image's height and width",
                     image->height, image->width);
}

static int read_runs(CocoFile *file, const json_t *object, CocoAnnotation *annotation) {
    const CocoImage *image = &file->images[annotation->image];
    if (read_rle_size(object, image)) return -1;
    const json_t *counts = json_object_get(object, "counts");
    Rle rle = {0};
    int status;
    if (json_is_string(counts))
        status = rle_from_string(json_string_value(counts), image->width, image->height, &rle);
    else if (json_is_array(counts))
        status = rle_from_list(counts, image->width, image->height, &rle);
    else
        status = error_int("\"counts\" is neither a list nor a string");
    annotation->first_run = file->run_count;
    annotation->runs = rle.length;
    for (size_t i = 0; status == 0 && i < rle.length; i++) {
        status = array_grow(&file->runs, &file->run_capacity, file->run_count, sizeof *file->runs);
        if (status == 0) file->runs[file->run_count++] = rle.counts[i];
    }
    rle_free(&rle);
    return status;
}

static int compare_images(const void *left, const void *right) {
    const CocoImage *a = left, *b = right;
    return (a->id > b->id) - (a->id < b->id);
}

static int compare_ints(const void *left, const void *right) {
    const int a = *(const int *)left, b = *(const int *)right;
    return (a > b) - (a < b);
}

static int read_links(const CocoFile *file, const json_t *entry, CocoAnnotation *annotation) {
    CocoImage key = {0};
    if (get_whole(entry, "image_id", -max_id, max_id, &key.id)) return -1;
    const CocoImage *image = file->image_count ? bsearch(&key, file->images, file->image_count,
                                                         sizeof key, compare_images)
                                               : NULL;
    if (!image) return error_int("\"image_id\" %lld is not among the images", (long long)key.id);
    annotation->image = (size_t)(image - file->images);
    if (get_int(entry, "category_id", 0, 1 << 30, &annotation->category)) return -1;
    if (file->category_count && bsearch(&annotation->category, file->categories,
                                        file->category_count, sizeof(int), compare_ints))
        return 0;
    return error_int("\"category_id\" %d is not among the categories", annotation->category);
}

static int read_fields(CocoFile *file, const json_t *entry, CocoAnnotation *annotation) {
    if (read_links(file, entry, annotation)) return -1;
    const json_t *area = json_object_get(entry, "area");
    annotation->area = area ? json_number_value(area) : -1;
    if (area && (!json_is_number(area) || !(annotation->area >= 0)))
        return error_int("\"area\" is not a number from 0 on");
    int crowd = 0;
    if (json_object_get(entry, "iscrowd") && get_int(entry, "iscrowd", 0, 1, &crowd)) return -1;
    annotation->crowd = crowd != 0;
    const json_t *shape = json_object_get(entry, "segmentation");
    if (json_is_array(shape)) return read_polygons(file, shape, annotation);
    if (json_is_object(shape)) return read_runs(file, shape, annotation);
    return error_int("\"segmentation\" is neither polygons nor run lengths");
}

// Annotations without a shape or of another category are checked, too, before they are left out.
static int read_annotation(void *context, const json_t *entry) {
    const Reading *reading = context;
    CocoFile *file = reading->file;
    CocoAnnotation annotation = {0};
    if (get_whole(entry, "id", -max_id, max_id, &annotation.id)) return -1;
    const size_t polygons = file->polygon_count, coordinates = file->coordinate_count,
                 runs = file->run_count;
    if (read_fields(file, entry, &annotation))
        return error_context("annotation %lld", (long long)annotation.id);
    const bool wanted = !reading->wanted || reading->wanted(annotation.category);
    const bool shaped = annotation.parts > 0 || annotation.runs > 0;
    if (!wanted || !shaped) {
        file->without_shape += wanted;
        file->polygon_count = polygons;
        file->coordinate_count = coordinates;
        file->run_count = runs;
        return 0;
    }
    if (array_grow(&file->annotations, &file->annotation_capacity, file->annotation_count,
                   sizeof annotation))
        return -1;
    file->annotations[file->annotation_count++] = annotation;
    return 0;
}

static int sort_images(CocoFile *file) {
    if (file->image_count)
        qsort(file->images, file->image_count, sizeof *file->images, compare_images);
    for (size_t i = 1; i < file->image_count; i++)
        if (file->images[i].id == file->images[i - 1].id)
            return error_int("two images have the id %lld", (long long)file->images[i].id);
    return 0;
}

static int compare_annotations(const void *left, const void *right) {
    const CocoAnnotation *a = left, *b = right;
    if (a->image != b->image) return a->image < b->image ? -1 : 1;
    return (a->id > b->id) - (a->id < b->id);
}

// Sorts the annotations and gives every image its range of them.
static int group_annotations(CocoFile *file) {
    if (file->annotation_count)
        qsort(file->annotations, file->annotation_count, sizeof *file->annotations,
              compare_annotations);
    for (size_t i = 0; i < file->annotation_count; i++) {
        const CocoAnnotation *annotation = &file->annotations[i];
        CocoImage *image = &file->images[annotation->image];
        if (image->count++ == 0)
            image->first = i;
        else if (annotation->id == annotation[-1].id)
            return error_int("two annotations of image %lld have the id %lld", (long long)image->id,
                             (long long)annotation->id);
    }
    return 0;
}

// Annotations come last, since they name images and categories; the file may have any order.
static int read_lists(CocoFile *file, const JsonText *text, bool (*wanted)(int category)) {
    Reading reading = {file, wanted};
    if (json_text_list(text, "images", read_image, &reading) || sort_images(file)) return -1;
    if (json_text_list(text, "categories", read_category, &reading)) return -1;
    if (file->category_count)
        qsort(file->categories, file->category_count, sizeof(int), compare_ints);
    if (json_text_list(text, "annotations", read_annotation, &reading)) return -1;
    return group_annotations(file);
}

CocoFile *coco_file_read(const char *path, bool (*wanted)(int category)) {
    JsonText *text = json_text_open(path);
    CocoFile *file = text ? array_new(1, sizeof *file) : NULL;
    const int status = file ? read_lists(file, text, wanted) : -1;
    if (text && status) error_context("%s", path);
    json_text_close(text);
    if (status == 0) return file;
    coco_file_free(file);
    return NULL;
}

int coco_paint(const CocoFile *file, const CocoAnnotation *annotation, uint8_t *mask) {
    const CocoImage *image = &file->images[annotation->image];
    if (annotation->parts == 0) {
        const Rle rle = {image->width, image->height, file->runs + annotation->first_run,
                         annotation->runs};
        rle_paint(&rle, mask);
        return 0;
    }
    for (size_t i = 0; i < annotation->parts; i++) {
        const CocoPolygon *polygon = &file->polygons[annotation->first_part + i];
        if (polygon_paint(file->coordinates + polygon->first, polygon->numbers / 2, image->width,
                          image->height, mask))
            return error_context("annotation %lld", (long long)annotation->id);
    }
    return 0;
}

void coco_file_free(CocoFile *file) {
    if (!file) return;
    for (size_t i = 0; i < file->image_count; i++) free(file->images[i].file_name);
    free(file->images);
    free(file->annotations);
    free(file->categories);
    free(file->polygons);
    free(file->coordinates);
    free(file->runs);
    free(file);
}
