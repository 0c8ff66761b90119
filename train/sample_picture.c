// SPDX-License-Identifier: MIT
// Sample pictures. See sample_picture.h.
#include "train/sample_picture.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "eval/figure.h"

#include <stdlib.h>

enum { MOST_SAMPLES = 4, COLUMNS = 4, CELL = 192 };

static uint8_t to_byte(double value) {
    return (uint8_t)(value < 0 ? 0 : value > 255 ? 255 : value + 0.5);
}

// A colour from the bits of a hash, not too dark; background black, ignored grey.
static void paint_label(int32_t label, uint8_t *pixel) {
    uint32_t mixed = (uint32_t)label * 2654435761u;
    for (int c = 0; c < 3; c++) {
        uint32_t bright = 64 + (mixed >> (8 * c + 4) & 0xBF);
        pixel[c] = (uint8_t)(label == 0 ? 0 : label < 0 ? 90 : bright);
    }
}

static int image_cell(const Batch *batch, int b, Image *image) {
    if (image_new(image, batch->width, batch->height, 3) != 0) return -1;
    size_t count = 3 * (size_t)batch->width * (size_t)batch->height;
    const float *from = batch->image + (size_t)b * count;
    for (size_t i = 0; i < count; i++) image->pixels[i] = to_byte(((double)from[i] + 1) * 127.5);
    return 0;
}

static int label_cell(const Batch *batch, int b, Image *image) {
    if (image_new(image, batch->width, batch->height, 3) != 0) return -1;
    size_t pixels = (size_t)batch->width * (size_t)batch->height;
    const int32_t *from = batch->labels + (size_t)b * pixels;
    for (size_t i = 0; i < pixels; i++) paint_label(from[i], image->pixels + 3 * i);
    return 0;
}

// Up to three channels of sample b of a tensor [N,H,W,C], scaled.
static int tensor_cell(const Tensor *tensor, int b, double scale, Image *image) {
    if (tensor == NONE) return 0;
    int height = (int)tensor->shape[1], width = (int)tensor->shape[2];
    size_t channels = (size_t)tensor->shape[3], pixels = (size_t)height * (size_t)width;
    float *values = array_new((size_t)tensor_numel(tensor), sizeof *values);
    if (!values || tensor_read_float(tensor, values) != 0 ||
        image_new(image, width, height, 3) != 0) {
        free(values);
        return -1;
    }
    const float *from = values + (size_t)b * pixels * channels;
    for (size_t i = 0; i < pixels; i++)
        for (size_t c = 0; c < 3; c++) {
            size_t channel = c < channels ? c : channels - 1;
            image->pixels[3 * i + c] = to_byte(scale * (double)from[i * channels + channel]);
        }
    free(values);
    return 0;
}

static int write_page(const Image *cells, int rows, const char *path) {
    static const char *const captions[COLUMNS] = {"image", "prompt", "prediction", "target"};
    FigureTile tiles[MOST_SAMPLES * COLUMNS];
    for (int i = 0; i < rows * COLUMNS; i++)
        tiles[i] = (FigureTile){.image = cells[i].pixels ? &cells[i] : NULL,
                                .caption = i < COLUMNS ? captions[i] : NULL};
    Image page = {0};
    char *folder = path_folder(path);
    int result = folder ? folder_make(folder) : -1;
    if (result == 0) result = figure_grid(tiles, rows * COLUMNS, COLUMNS, CELL, &page);
    if (result == 0) result = image_write_png(path, &page);
    image_free(&page);
    free(folder);
    return result;
}

int sample_picture(const DeviceBatch *batch, const Tensor *shown, const Tensor *prompt,
                   const char *path) {
    Image cells[MOST_SAMPLES * COLUMNS] = {0};
    int rows = batch->host->count < MOST_SAMPLES ? batch->host->count : MOST_SAMPLES, result = 0;
    for (int b = 0; result == 0 && b < rows; b++) {
        Image *row = cells + b * COLUMNS;
        result = image_cell(batch->host, b, &row[0]);
        if (result == 0) result = tensor_cell(prompt, b, 255, &row[1]);
        if (result == 0) result = tensor_cell(shown, b, 1, &row[2]);
        if (result == 0) result = label_cell(batch->host, b, &row[3]);
    }
    if (result == 0) result = write_page(cells, rows, path);
    for (int i = 0; i < MOST_SAMPLES * COLUMNS; i++) image_free(&cells[i]);
    return result;
}
