// SPDX-License-Identifier: MIT
// A page of pictures per set: the best, median and worst instances of one system, each as image
// with prompt | features | mask | truth. Masks are made again, so that none needs to be kept.
#include "eval/evaluate_private.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "eval/figure.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 4, TILE_SIDE = 256 };

static const Color prompt_color = {255, 220, 0}, mask_color = {255, 60, 60},
                   truth_color = {60, 200, 60};

typedef struct {
    Image images[COLUMNS]; // an image without pixels is an empty cell
    char *captions[COLUMNS];
} PageRow;

static void row_free(PageRow *row) {
    for (int i = 0; i < COLUMNS; i++) {
        image_free(&row->images[i]);
        free(row->captions[i]);
    }
}

static int copy_image(const Image *from, Image *to) {
    if (image_new(to, from->width, from->height, 3)) return -1;
    memcpy(to->pixels, from->pixels, 3 * (size_t)from->width * (size_t)from->height);
    return 0;
}

static void draw_point(Image *image, PixelPoint point) {
    const int side = image->width > image->height ? image->width : image->height;
    figure_point(image, point, side / 80 + 1, prompt_color);
}

static int draw(PageRow *row, const Evaluation *evaluation, Target *target, uint8_t *mask) {
    const Image *image = &target->sample->image;
    System *system = evaluation->page_system;
    if (system_predict(system, target, mask)) return -1;
    if (copy_image(image, &row->images[0]) || copy_image(image, &row->images[2]) ||
        copy_image(image, &row->images[3]))
        return -1;
    if (system->features != FEATURES_NONE && system->features != FEATURES_RAW) {
        const Image *features = features_get(target->features, system->features, target->points, 1);
        if (!features || copy_image(features, &row->images[1])) return -1;
    }
    figure_mask(&row->images[2], mask, mask_color, 0.5);
    figure_mask(&row->images[3], target->truth, truth_color, 0.5);
    draw_point(&row->images[0], target->points[0]);
    return 0;
}

static int write_captions(PageRow *row, const Evaluation *evaluation, const Scored *scored,
                          const char *kind) {
    row->captions[0] = text_format("%s\n%s", kind, scored->image);
    row->captions[1] = text_format("features\n");
    row->captions[2] = text_format("%s\nIoU %.3f", evaluation->page_system->name, scored->iou);
    row->captions[3] = text_format("truth %lld\n%.0f pixels", (long long)scored->id, scored->area);
    for (int i = 0; i < COLUMNS; i++)
        if (!row->captions[i]) return -1;
    return 0;
}

static int make_row(PageRow *row, const Evaluation *evaluation, size_t set, const Scored *scored,
                    const char *kind) {
    const Benchmark *benchmark = &evaluation->benchmarks[set];
    Sample sample;
    if (dataset_read(benchmark->set, scored->sample, &sample)) return -1;
    const size_t pixels = (size_t)sample.image.width * (size_t)sample.image.height;
    uint8_t *truth = array_new(pixels, 1), *mask = array_new(pixels, 1);
    Features features;
    features_begin(&features, evaluation->model, &sample.image);
    Target target = {.set = benchmark->name,
                     .sample = &sample,
                     .instance = &sample.instances[scored->index],
                     .truth = truth,
                     .points = {scored->point},
                     .point_count = 1,
                     .features = &features};
    int result = truth && mask ? write_captions(row, evaluation, scored, kind) : -1;
    if (result == 0) {
        target_truth(&sample, scored->index, truth);
        result = draw(row, evaluation, &target, mask);
    }
    features_done(&features);
    free(truth);
    free(mask);
    sample_free(&sample);
    return result;
}

static int best_first(const void *a, const void *b) {
    const Scored *x = *(const Scored *const *)a, *y = *(const Scored *const *)b;
    if (x->iou != y->iou) return x->iou < y->iou ? 1 : -1;
    return x < y ? -1 : 1;
}

typedef struct {
    const Scored *scored;
    const char *kind;
} Choice;

// The best, the middle and the last of the order, `each` of every kind, none twice.
static size_t choose(const Scored *const *order, size_t count, size_t each, Choice *choices) {
    size_t chosen = 0;
    if (3 * each > count) each = (count + 2) / 3;
    const size_t starts[3] = {0, (count - each) / 2, count - each};
    static const char *const kinds[3] = {"best", "median", "worst"};
    size_t next = 0;
    for (int kind = 0; kind < 3; kind++) {
        const size_t start = starts[kind] > next ? starts[kind] : next;
        for (size_t i = start; i < starts[kind] + each && i < count; i++)
            choices[chosen++] = (Choice){order[i], kinds[kind]};
        next = starts[kind] + each;
    }
    return chosen;
}

static int write_page(const PageRow *rows, size_t count, const char *path) {
    FigureTile *tiles = array_new(count * COLUMNS, sizeof *tiles);
    if (!tiles) return -1;
    for (size_t i = 0; i < count * COLUMNS; i++) {
        const PageRow *row = &rows[i / COLUMNS];
        const Image *image = &row->images[i % COLUMNS];
        if (image->pixels) tiles[i] = (FigureTile){image, row->captions[i % COLUMNS]};
    }
    Image page = {0};
    int result = figure_grid(tiles, (int)(count * COLUMNS), COLUMNS, TILE_SIDE, &page);
    if (result == 0) result = image_write_png(path, &page);
    image_free(&page);
    free(tiles);
    return result;
}

static int draw_page(Evaluation *evaluation, size_t set, const Choice *choices, size_t count,
                     const char *path) {
    PageRow *rows = array_new(count, sizeof *rows);
    int result = rows ? 0 : -1;
    for (size_t i = 0; i < count && result == 0; i++)
        result = make_row(&rows[i], evaluation, set, choices[i].scored, choices[i].kind);
    if (result == 0) result = write_page(rows, count, path);
    for (size_t i = 0; rows && i < count; i++) row_free(&rows[i]);
    free(rows);
    return result;
}

int evaluate_page(Evaluation *evaluation, size_t set, const char *folder) {
    const SetResult *set_result = &evaluation->results[set];
    const size_t count = set_result->count, each = (size_t)evaluation->config->pictures;
    if (count == 0) return 0;
    const Scored **order = array_new(count, sizeof *order);
    Choice *choices = array_new(3 * each, sizeof *choices);
    char *path = text_format("%s/%s.png", folder, evaluation->benchmarks[set].name);
    int result = order && choices && path ? 0 : -1;
    if (result == 0) {
        for (size_t i = 0; i < count; i++) order[i] = &set_result->scored[i];
        qsort(order, count, sizeof *order, best_first);
        result = draw_page(evaluation, set, choices, choose(order, count, each, choices), path);
    }
    free(order);
    free(choices);
    free(path);
    return result ? error_context("page of %s", evaluation->benchmarks[set].name) : 0;
}
