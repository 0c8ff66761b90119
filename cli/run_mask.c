// SPDX-License-Identifier: MIT
// Components of COCO's masks: run lengths and polygons, many at a time.
#include "base/error.h"
#include "base/memory.h"
#include "cli/run.h"
#include "cli/run_inputs.h"
#include "data/image.h"
#include "data/polygon.h"
#include "data/rle.h"

#include <stdlib.h>
#include <string.h>

// ---- rle ----------------------------------------------------------------------------------------

// Adds the compressed string of a mask, and to `painted` (may be NULL) what is read from it.
static int add_string(TextLists *lists, const uint8_t *mask, int width, int height,
                      uint8_t *painted) {
    Rle rle = {0}, back = {0};
    char *text = rle_from_mask(mask, width, height, &rle) == 0 ? rle_to_string(&rle) : NULL;
    int result = text ? text_lists_add(lists, text, strlen(text)) : -1;
    if (result == 0 && painted) result = rle_from_string(text, width, height, &back);
    if (result == 0 && painted) rle_paint(&back, painted);
    free(text);
    rle_free(&rle);
    rle_free(&back);
    return result;
}

static int rle(Run *run, const void *keys) {
    (void)keys;
    const SafeTensor *masks = run_stored(run, "masks");
    if (!masks) return -1;
    const int64_t height = masks->shape[1], width = masks->shape[2];
    if (height > 65535 || width > 65535) return error_int("masks: sides up to 65535 are taken");
    uint8_t *painted = array_new((size_t)masks->numel, 1);
    TextLists lists = {0};
    int result = painted ? 0 : -1;
    for (int64_t n = 0; n < masks->shape[0] && result == 0; n++)
        result = add_string(&lists, (const uint8_t *)masks->data + n * height * width, (int)width,
                            (int)height, painted + n * height * width);
    if (result == 0) result = text_lists_output(run, &lists, "strings", "string_ends");
    if (result == 0) result = run_output_values(run, "painted", SAFE_U8, 3, masks->shape, painted);
    text_lists_free(&lists);
    free(painted);
    return result;
}

// ---- rle.counts ---------------------------------------------------------------------------------

static int add_counts(TextLists *lists, const int32_t *counts, size_t length, int height,
                      int width) {
    Rle rle = {0};
    char *text = NULL;
    int64_t *wide = array_new(length, sizeof *wide);
    for (size_t i = 0; wide && i < length; i++) wide[i] = counts[i];
    if (wide && rle_from_counts(wide, length, width, height, &rle) == 0) text = rle_to_string(&rle);
    int result = text ? text_lists_add(lists, text, strlen(text)) : -1;
    free(text);
    free(wide);
    rle_free(&rle);
    return result;
}

static int rle_counts(Run *run, const void *keys) {
    (void)keys;
    size_t total = 0, sides = 0, objects = 0;
    TextLists lists = {0};
    int32_t *counts = run_integers(run, "counts", &total);
    int32_t *size = counts ? run_integers(run, "sizes", &sides) : NULL;
    int32_t *ends = size ? run_ends(run, "count_ends", (int64_t)total, &objects) : NULL;
    int result = ends ? 0 : -1;
    for (size_t i = 0, first = 0; i < objects && result == 0; first = (size_t)ends[i++]) {
        result = add_counts(&lists, counts + first, (size_t)ends[i] - first, size[2 * i],
                            size[2 * i + 1]);
        if (result != 0) result = error_context("object %zu", i);
    }
    if (result == 0) result = text_lists_output(run, &lists, "strings", "string_ends");
    text_lists_free(&lists);
    free(counts);
    free(size);
    free(ends);
    return result;
}

// ---- polygon ------------------------------------------------------------------------------------

typedef struct {
    double *xy; // [points,2]
    int32_t *ring_ends, *object_ends;
    size_t rings, objects;
    int32_t *sizes; // [objects,2]: height, width
} Polygons;

static void polygons_free(Polygons *polygons) {
    free(polygons->xy);
    free(polygons->ring_ends);
    free(polygons->object_ends);
    free(polygons->sizes);
}

static int polygons_read(Run *run, Polygons *polygons) {
    const SafeTensor *xy = run_stored(run, "xy");
    size_t sides = 0;
    polygons->sizes = xy ? run_integers(run, "sizes", &sides) : NULL;
    polygons->xy = polygons->sizes ? array_new((size_t)xy->numel, sizeof *polygons->xy) : NULL;
    if (!polygons->xy) return -1;
    safetensors_read_double(xy, polygons->xy);
    polygons->ring_ends = run_ends(run, "ring_ends", xy->shape[0], &polygons->rings);
    polygons->object_ends =
        polygons->ring_ends
            ? run_ends(run, "object_ends", (int64_t)polygons->rings, &polygons->objects)
            : NULL;
    return polygons->object_ends ? 0 : -1;
}

static int add_object(TextLists *lists, const Polygons *polygons, size_t object) {
    const int height = polygons->sizes[2 * object], width = polygons->sizes[2 * object + 1];
    Image mask = {0};
    if (image_new(&mask, width, height, 1)) return -1;
    int result = 0;
    for (int32_t ring = object ? polygons->object_ends[object - 1] : 0;
         ring < polygons->object_ends[object] && result == 0; ring++) {
        const int32_t first = ring ? polygons->ring_ends[ring - 1] : 0;
        result =
            polygon_paint(polygons->xy + 2 * first, (size_t)(polygons->ring_ends[ring] - first),
                          width, height, mask.pixels);
    }
    if (result == 0) result = add_string(lists, mask.pixels, width, height, NULL);
    image_free(&mask);
    return result == 0 ? 0 : error_context("object %zu", object);
}

static int polygon(Run *run, const void *keys) {
    (void)keys;
    Polygons polygons = {0};
    TextLists lists = {0};
    int result = polygons_read(run, &polygons);
    for (size_t i = 0; i < polygons.objects && result == 0; i++)
        result = add_object(&lists, &polygons, i);
    if (result == 0) result = text_lists_output(run, &lists, "strings", "string_ends");
    text_lists_free(&lists);
    polygons_free(&polygons);
    return result;
}

// ---- the table ----------------------------------------------------------------------------------

#define STRINGS                                                                            \
    {"strings", RUN_BYTE, "...", false, "compressed run lengths, one behind the other"}, { \
        "string_ends", RUN_INTEGER, "N", false, "where each ends"                          \
    }

static const Component components[] = {
    {.name = "rle",
     .help = "masks to COCO's compressed run lengths, and back",
     .inputs = {{"masks", RUN_BYTE, "N,H,W", false, "0 or not"}},
     .outputs = {STRINGS, {"painted", RUN_BYTE, "N,H,W", false, "read from the strings"}},
     .run = rle},
    {.name = "rle.counts",
     .help = "COCO's plain run lengths to compressed ones",
     .inputs = {{"counts", RUN_INTEGER, "C", false,
                 "run lengths of all objects, one behind another"},
                {"count_ends", RUN_INTEGER, "N", false, "where each object ends, in counts"},
                {"sizes", RUN_INTEGER, "N,2", false, "height, width"}},
     .outputs = {STRINGS},
     .run = rle_counts},
    {.name = "polygon",
     .help = "polygons to masks as the COCO tools draw them",
     .inputs = {{"xy", RUN_FLOAT, "P,2", false, "corners of all rings, one behind the other"},
                {"ring_ends", RUN_INTEGER, "R", false, "where each ring ends, in corners"},
                {"object_ends", RUN_INTEGER, "N", false, "where each object ends, in rings"},
                {"sizes", RUN_INTEGER, "N,2", false, "height, width"}},
     .outputs = {STRINGS},
     .run = polygon},
};

const ComponentGroup components_mask = {components, sizeof components / sizeof components[0]};
