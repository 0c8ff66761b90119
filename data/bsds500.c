// SPDX-License-Identifier: MIT
// BSDS500 ground truth. See bsds500.h. MATLAB's arrays are column-major; the walk from file to
// row-major maps happens once, in take_map.
#include "data/bsds500.h"

#include "base/error.h"
#include "base/memory.h"
#include "data/image.h"
#include "data/mat5.h"

#include <stdlib.h>

enum { MAX_SIDE = 65535, MAX_ANNOTATORS = 64 };

// The first annotator's map decides the size of all.
static int set_size(Bsds500Truth *truth, const Mat5Matrix *matrix) {
    const int64_t height = matrix->rows, width = matrix->columns;
    if (height < 1 || width < 1 || height > MAX_SIDE || width > MAX_SIDE ||
        height * width > IMAGE_MAX_PIXELS / truth->annotators)
        return error_int("%d maps of %lld rows and %lld columns", truth->annotators,
                         (long long)height, (long long)width);
    truth->height = (int)height;
    truth->width = (int)width;
    const size_t count = (size_t)truth->annotators * (size_t)(height * width);
    truth->segments = array_new(count, sizeof *truth->segments);
    truth->edges = array_new(count, 1);
    return truth->segments && truth->edges ? 0 : -1;
}

// A field of one annotator as row-major labels, or as marks of 0 and 1; the other is NULL. column:
// work space [H,W].
static int take_map(const Bsds500Truth *truth, const Mat5Matrix *cell, const char *name,
                    int32_t *column, int32_t *labels, uint8_t *marks) {
    const size_t height = (size_t)truth->height, width = (size_t)truth->width;
    Mat5Matrix field;
    if (mat5_field(cell, name, &field)) return -1;
    if (field.rows != truth->height || field.columns != truth->width)
        return error_int("%lld rows and %lld columns, the first annotator has %d and %d",
                         (long long)field.rows, (long long)field.columns, truth->height,
                         truth->width);
    if (mat5_integers(&field, column)) return -1;
    for (size_t i = 0; i < height * width; i++) {
        const int32_t value = column[i % width * height + i / width];
        if (marks && value > 1) return error_int("%d is neither 0 nor 1", value);
        if (labels) labels[i] = value;
        if (marks) marks[i] = (uint8_t)value;
    }
    return 0;
}

static int take_annotator(Bsds500Truth *truth, const Mat5Matrix *cell, int annotator) {
    Mat5Matrix first;
    if (annotator == 0 && (mat5_field(cell, "Segmentation", &first) || set_size(truth, &first)))
        return error_context("Segmentation");
    const size_t pixels = (size_t)truth->width * (size_t)truth->height;
    int32_t *column = array_new(pixels, sizeof *column);
    if (!column) return -1;
    int result = take_map(truth, cell, "Segmentation", column,
                          truth->segments + (size_t)annotator * pixels, NULL);
    if (result) error_context("Segmentation");
    if (result == 0 && take_map(truth, cell, "Boundaries", column, NULL,
                                truth->edges + (size_t)annotator * pixels))
        result = error_context("Boundaries");
    free(column);
    return result;
}

static int take(Bsds500Truth *truth, const Mat5Matrix *cells) {
    if (cells->kind != MAT5_CELL || cells->rows != 1 || cells->columns < 1 ||
        cells->columns > MAX_ANNOTATORS)
        return error_int("groundTruth is not a row of 1 to %d cells", MAX_ANNOTATORS);
    truth->annotators = (int)cells->columns;
    Mat5Bytes rest = cells->content;
    for (int i = 0; i < truth->annotators; i++) {
        Mat5Matrix cell;
        if (mat5_next(&rest, &cell) || take_annotator(truth, &cell, i))
            return error_context("annotator %d", i + 1);
    }
    return 0;
}

int bsds500_truth_read(const char *path, Bsds500Truth *truth) {
    *truth = (Bsds500Truth){0};
    Mat5Matrix cells;
    char *memory = NULL;
    int result = mat5_open(path, "groundTruth", &cells, &memory);
    if (result == 0) result = take(truth, &cells);
    free(memory);
    if (result == 0) return 0;
    bsds500_truth_free(truth);
    return error_context("%s", path);
}

void bsds500_truth_free(Bsds500Truth *truth) {
    free(truth->segments);
    free(truth->edges);
    *truth = (Bsds500Truth){0};
}
