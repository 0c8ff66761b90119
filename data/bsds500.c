// SPDX-License-Identifier: MIT
// BSDS500 ground truth through libmatio. See bsds500.h. MATLAB's arrays are column-major; the walk
// from file to row-major maps happens once, in take_map.
#include "data/bsds500.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/image.h"

#include <matio.h>
#include <stdbool.h>
#include <stdlib.h>

enum { MAX_SIDE = 65535, MAX_ANNOTATORS = 64 };

// An integer of an array in one of the classes that the files use.
static int64_t element(const matvar_t *array, size_t index) {
    switch (array->data_type) {
    case MAT_T_UINT8:
        return ((const uint8_t *)array->data)[index];
    case MAT_T_UINT16:
        return ((const uint16_t *)array->data)[index];
    case MAT_T_DOUBLE: {
        const double value = ((const double *)array->data)[index];
        return value >= 0 && value <= 65535 ? (int64_t)value : -1;
    }
    default:
        return -1;
    }
}

static bool is_matrix(const matvar_t *array) {
    if (!array || array->rank != 2 || !array->dims || !array->data || array->isComplex)
        return false;
    const size_t size = array->data_type == MAT_T_UINT8    ? 1
                        : array->data_type == MAT_T_UINT16 ? 2
                        : array->data_type == MAT_T_DOUBLE ? 8
                                                           : 0;
    return size > 0 && (size_t)array->data_size == size && array->dims[0] > 0 &&
           array->dims[1] > 0 && array->dims[0] <= MAX_SIDE && array->dims[1] <= MAX_SIDE &&
           array->nbytes >= size * array->dims[0] * array->dims[1];
}

// The field of a 1 x 1 struct if it is a matrix; NULL and an error otherwise.
static const matvar_t *field(matvar_t *cell, int annotator, const char *name) {
    matvar_t *found = cell && cell->class_type == MAT_C_STRUCT && cell->rank == 2 &&
                              cell->dims[0] * cell->dims[1] == 1
                          ? Mat_VarGetStructFieldByName(cell, name, 0)
                          : NULL;
    if (is_matrix(found)) return found;
    return error_null("groundTruth{%d}.%s is missing or not a matrix of integers", annotator + 1,
                      name);
}

// Copies a map of the first one's size to `labels` or, if it holds 0 and 1 only, to `marks`; the
// other is NULL.
static int take_map(const Bsds500Truth *truth, const matvar_t *array, int annotator,
                    int32_t *labels, uint8_t *marks) {
    const size_t height = (size_t)truth->height, width = (size_t)truth->width;
    const size_t first = (size_t)annotator * height * width;
    if (array->dims[0] != height || array->dims[1] != width)
        return error_int("%s of annotator %d is %zu x %zu, the first is %zu x %zu (rows x columns)",
                         labels ? "Segmentation" : "Boundaries", annotator + 1, array->dims[0],
                         array->dims[1], height, width);
    for (size_t y = 0; y < height; y++)
        for (size_t x = 0; x < width; x++) {
            const int64_t value = element(array, x * height + y);
            if (value < 0 || (marks && value > 1))
                return error_int("annotator %d: row %zu, column %zu is no %s", annotator + 1, y, x,
                                 labels ? "label" : "0 or 1");
            if (labels) labels[first + y * width + x] = (int32_t)value;
            if (marks) marks[first + y * width + x] = (uint8_t)value;
        }
    return 0;
}

static int take_annotator(Bsds500Truth *truth, matvar_t *cell, int annotator) {
    const matvar_t *segments = field(cell, annotator, "Segmentation");
    const matvar_t *edges = segments ? field(cell, annotator, "Boundaries") : NULL;
    if (!edges) return -1;
    if (annotator == 0) {
        truth->height = (int)segments->dims[0];
        truth->width = (int)segments->dims[1];
        const size_t pixels = segments->dims[0] * segments->dims[1];
        if (pixels > IMAGE_MAX_PIXELS / (size_t)truth->annotators)
            return error_int("%d maps of %d x %d pixels are too many", truth->annotators,
                             truth->width, truth->height);
        truth->segments = array_new((size_t)truth->annotators * pixels, sizeof *truth->segments);
        truth->edges = array_new((size_t)truth->annotators * pixels, 1);
        if (!truth->segments || !truth->edges) return -1;
    }
    if (take_map(truth, segments, annotator, truth->segments, NULL)) return -1;
    return take_map(truth, edges, annotator, NULL, truth->edges);
}

static int take(Bsds500Truth *truth, matvar_t *cells) {
    if (!cells || cells->class_type != MAT_C_CELL || cells->rank != 2 || !cells->data ||
        cells->dims[0] != 1 || cells->dims[1] < 1 || cells->dims[1] > MAX_ANNOTATORS)
        return error_int("groundTruth is missing or not a row of 1 to %d cells", MAX_ANNOTATORS);
    truth->annotators = (int)cells->dims[1];
    for (int i = 0; i < truth->annotators; i++)
        if (take_annotator(truth, Mat_VarGetCell(cells, i), i)) return -1;
    return 0;
}

int bsds500_truth_read(const char *path, Bsds500Truth *truth) {
    *truth = (Bsds500Truth){0};
    if (!file_exists(path)) return error_int("%s: there is no such file", path);
    mat_t *file = Mat_Open(path, MAT_ACC_RDONLY);
    if (!file) return error_int("%s: not a MATLAB file", path);
    int result;
    if (Mat_GetVersion(file) != MAT_FT_MAT5) {
        result = error_int("not a MATLAB 5 file");
    } else {
        matvar_t *cells = Mat_VarRead(file, "groundTruth");
        result = take(truth, cells);
        Mat_VarFree(cells);
    }
    Mat_Close(file);
    if (result == 0) return 0;
    bsds500_truth_free(truth);
    return error_context("%s", path);
}

void bsds500_truth_free(Bsds500Truth *truth) {
    free(truth->segments);
    free(truth->edges);
    *truth = (Bsds500Truth){0};
}
