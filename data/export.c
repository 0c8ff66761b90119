// SPDX-License-Identifier: MIT
// Data sets as files. See export.h. The JSON is written as it comes: images and categories are
// known only at the end, and key order is free.
#include "data/export.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/rle.h"

#include <inttypes.h>
#include <stdlib.h>

enum { CATEGORIES_MOST = 65536 };

typedef struct {
    const Dataset *set;
    const char *folder;
    FileWrite *json;
    Text images;         // the elements of the array "images"
    uint8_t *seen;       // [CATEGORIES_MOST] 1 = category_id in use
    int64_t annotations; // written so far
} Export;

typedef struct {
    int64_t image, category;
    bool crowd;
} Annotation;

typedef struct {
    int64_t area;
    int x0, y0, x1, y1;
} Extent;

static Extent mask_extent(const uint8_t *mask, int width, int height) {
    Extent extent = {0, width, height, 0, 0};
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) {
            if (!mask[(size_t)y * (size_t)width + (size_t)x]) continue;
            extent.area++;
            if (x < extent.x0) extent.x0 = x;
            if (x >= extent.x1) extent.x1 = x + 1;
            if (y < extent.y0) extent.y0 = y;
            extent.y1 = y + 1;
        }
    }
    return extent;
}

// Characters of compressed run lengths are '0'..'o'; the backslash among them needs a second one.
static void json_string(FILE *stream, const char *text) {
    fputc('"', stream);
    for (; *text; text++) {
        if (*text == '\\' || *text == '"') fputc('\\', stream);
        fputc(*text, stream);
    }
    fputc('"', stream);
}

static int annotation_write(Export *export, Annotation about, const uint8_t *mask, int width,
                            int height) {
    const Extent extent = mask_extent(mask, width, height);
    if (extent.area == 0) return 0;
    if (about.category < 0 || about.category >= CATEGORIES_MOST)
        return error_int("category %" PRId64 "; expected at most %d", about.category - 1,
                         CATEGORIES_MOST - 2);
    Rle rle = {0};
    if (rle_from_mask(mask, width, height, &rle) != 0) return -1;
    char *counts = rle_to_string(&rle);
    rle_free(&rle);
    if (!counts) return -1;
    export->seen[about.category] = 1;
    FILE *stream = export->json->stream;
    fprintf(stream, "%s\n{\"id\":%" PRId64 ",\"image_id\":%" PRId64 ",\"category_id\":%" PRId64,
            export->annotations ? "," : "", export->annotations + 1, about.image, about.category);
    fprintf(stream, ",\"iscrowd\":%d,\"area\":%" PRId64 ",\"bbox\":[%d,%d,%d,%d]", about.crowd,
            extent.area, extent.x0, extent.y0, extent.x1 - extent.x0, extent.y1 - extent.y0);
    fprintf(stream, ",\"segmentation\":{\"size\":[%d,%d],\"counts\":", height, width);
    json_string(stream, counts);
    fputs("}}", stream);
    free(counts);
    export->annotations++;
    return 0;
}

static int annotations_write(Export *export, int64_t index, const Sample *sample) {
    const int width = sample->image.width;
    const int height = sample->image.height;
    uint8_t *mask = array_new((size_t)width * (size_t)height, 1);
    if (!mask) return -1;
    int status = 0;
    for (int i = 0; i < sample->instance_count && status == 0; i++) {
        const Instance *instance = &sample->instances[i];
        const Annotation about = {index, (int64_t)instance->category + 1, instance->crowd};
        sample_mask(sample, i, mask);
        status = annotation_write(export, about, mask, width, height);
    }
    free(mask);
    const Annotation ignored = {index, 0, true};
    if (status == 0 && sample->ignore)
        status = annotation_write(export, ignored, sample->ignore, width, height);
    return status;
}

static int files_write(const Export *export, int64_t index, const Sample *sample) {
    char *image = text_format("%s/images/%06" PRId64 ".png", export->folder, index);
    char *label = text_format("%s/labels/%06" PRId64 ".png", export->folder, index);
    int status = image && label ? image_write_png(image, &sample->image) : -1;
    if (status == 0) status = label_png_write(label, &sample->labels);
    free(image);
    free(label);
    return status;
}

static int sample_write(Export *export, int64_t index) {
    Sample sample;
    if (dataset_read(export->set, index, &sample) != 0)
        return error_context("sample %" PRId64, index);
    int status = files_write(export, index, &sample);
    if (status == 0) status = annotations_write(export, index, &sample);
    if (status == 0)
        status = text_add(&export->images,
                          "%s\n{\"id\":%" PRId64 ",\"file_name\":\"%06" PRId64
                          ".png\",\"width\":%d,\"height\":%d}",
                          export->images.length ? "," : "", index, index, sample.image.width,
                          sample.image.height);
    if (status != 0) error_context("sample %" PRId64 " (%s)", index, sample.name);
    sample_free(&sample);
    return status;
}

static void tail_write(const Export *export) {
    FILE *stream = export->json->stream;
    fprintf(stream, "\n],\n\"images\":[%s\n],\n\"categories\":[", text_string(&export->images));
    const char *separator = "";
    for (int i = 0; i < CATEGORIES_MOST; i++) {
        if (!export->seen[i]) continue;
        fprintf(stream, "%s\n{\"id\":%d,\"name\":\"%s %d\"}", separator, i,
                i ? "category" : "object", i);
        separator = ",";
    }
    fputs("\n]}\n", stream);
}

static int json_write(Export *export) {
    char *path = text_format("%s/annotations/instances.json", export->folder);
    export->json = path ? file_write_begin(path) : NULL;
    free(path);
    if (!export->json) return -1;
    fputs("{\"annotations\":[", export->json->stream);
    const int64_t count = dataset_count(export->set);
    for (int64_t index = 0; index < count; index++) {
        if (sample_write(export, index) == 0) continue;
        file_write_abandon(export->json);
        return -1;
    }
    tail_write(export);
    return file_write_commit(export->json);
}

static int folders_make(const char *folder) {
    static const char *const names[] = {"images", "labels", "annotations"};
    for (int i = 0; i < 3; i++) {
        char *path = path_join(folder, names[i]);
        const int status = path ? folder_make(path) : -1;
        free(path);
        if (status != 0) return -1;
    }
    return 0;
}

int dataset_export(const Dataset *set, const char *folder) {
    if (folder_check_new(folder) != 0) return -1;
    char *aside = folder_replace_begin(folder);
    if (!aside) return -1;
    Export export = {.set = set, .folder = aside, .seen = array_new(CATEGORIES_MOST, 1)};
    int status = export.seen ? folders_make(aside) : -1;
    if (status == 0) status = json_write(&export);
    if (status == 0) status = folder_replace_commit(aside, folder);
    if (status != 0) folder_remove(aside);
    text_free(&export.images);
    free(export.seen);
    free(aside);
    return status;
}
