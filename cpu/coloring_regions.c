// SPDX-License-Identifier: MIT
// Regions of the coloring loss. See coloring_regions.h; method 2.2, 2.3 and 5.4.
#include "cpu/coloring_regions.h"

#include "base/error.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    const coloring_loss_args *args;
    const int32_t *labels;
    int64_t index, pixels, valid;
    int32_t most;   // largest label
    int64_t *sizes; // pixels of each label
} Survey;

static int count_labels(Survey *survey) {
    survey->most = 0;
    for (int64_t i = 0; i < survey->pixels; i++) {
        int32_t label = survey->labels[i];
        if (label < -1 || label > survey->pixels)
            return error_int("coloring_loss: label %d at pixel %lld of image %lld, expected -1 to "
                             "%lld",
                             label, (long long)i, (long long)survey->index,
                             (long long)survey->pixels);
        if (label > survey->most) survey->most = label;
    }
    survey->sizes = calloc((size_t)survey->most + 1, sizeof *survey->sizes);
    if (!survey->sizes) return error_int("coloring_loss: out of memory");
    for (int64_t i = 0; i < survey->pixels; i++) {
        if (survey->labels[i] < 0) continue;
        survey->sizes[survey->labels[i]]++;
        survey->valid++;
    }
    return 0;
}

static int32_t new_region(ColoringImage *image, int64_t size, bool black) {
    image->regions[image->count] = (ColoringRegion){.size = size, .black = black};
    return (int32_t)image->count++;
}

// Whether unlabelled pixels of the image are unknown rather than background.
static bool lacks_background(const Survey *survey) {
    const Tensor *flags = survey->args->no_background;
    return flags != &tensor_none && ((const int32_t *)flags->data)[survey->index] != 0;
}

// CODE and PAPER: labels that occur, in increasing order, up to the cap.
static void count_ids(ColoringImage *image, const Survey *survey) {
    int cap = survey->args->options.cap;
    for (int32_t label = 0; label <= survey->most; label++) {
        if (survey->sizes[label] == 0) continue;
        if (label == 0 && lacks_background(survey)) continue;
        if (cap > 0 && image->count >= cap) break;
        image->region_of[label + 1] = new_region(image, survey->sizes[label], label == 0);
    }
}

// PROMPTED: one black region of everything that is not prompted, then the prompted ids that occur.
// Unknown pixels are in no sum at all.
static int prompted_ids(ColoringImage *image, Survey *survey) {
    const Tensor *prompted = survey->args->prompted;
    int64_t slots = prompted->shape[1];
    const int32_t *ids = (const int32_t *)prompted->data + survey->index * slots;
    const bool unknown = lacks_background(survey);
    if (unknown) survey->valid -= survey->sizes[0];
    new_region(image, survey->valid, true);
    for (int32_t label = 0; label <= survey->most; label++) image->region_of[label + 1] = 0;
    if (unknown) image->region_of[1] = REGION_IGNORED;
    for (int64_t slot = 0; slot < slots; slot++) {
        int32_t id = ids[slot];
        if (id < 0 || id > survey->pixels)
            return error_int("coloring_loss: prompted id %d in slot %lld of image %lld, expected 0 "
                             "to %lld",
                             id, (long long)slot, (long long)survey->index,
                             (long long)survey->pixels);
        if (id == 0 || id > survey->most || survey->sizes[id] == 0 || image->region_of[id + 1] != 0)
            continue;
        image->region_of[id + 1] = new_region(image, survey->sizes[id], false);
        image->regions[0].size -= survey->sizes[id];
    }
    return 0;
}

static void find_means(ColoringImage *image, const Survey *survey) {
    const Tensor *prediction = survey->args->prediction;
    int64_t start = survey->index * survey->pixels * 3;
    for (int64_t i = 0; i < survey->pixels; i++) {
        int32_t region = coloring_region(image, survey->labels[i]);
        if (region < 0 || image->regions[region].black) continue;
        for (int c = 0; c < 3; c++) {
            int64_t at = start + 3 * i + c;
            image->regions[region].mean[c] += prediction->dtype == F64
                                                  ? ((const double *)prediction->data)[at]
                                                  : (double)((const float *)prediction->data)[at];
        }
    }
    for (int64_t r = 0; r < image->count; r++)
        for (int c = 0; c < 3 && image->regions[r].size > 0; c++)
            image->regions[r].mean[c] /= (double)image->regions[r].size;
}

static void set_weights(ColoringImage *image, const Survey *survey) {
    const ColoringOptions *options = &survey->args->options;
    bool paper = options->form == COLORING_PAPER;
    double colored = 0, terms = 0, regions = (double)image->count;
    for (int64_t r = 0; r < image->count; r++) {
        ColoringRegion *region = &image->regions[r];
        double size = (double)region->size, outside = (double)survey->valid - size;
        if (region->size == 0) continue; // a black anchor without pixels
        terms++;
        colored += !region->black;
        region->variance = options->variance / (paper ? size : 3 * size);
        if (outside > 0 && (paper || !region->black))
            region->separation =
                options->separation * options->separation_factor / (sqrt(size) * outside);
    }
    double pairs = paper ? colored * (colored + 1) : regions * (regions - 1) / 2;
    image->pair_weight = pairs > 0 ? options->mean / pairs : 0;
    image->scale = 1 / (double)survey->args->labels->shape[0];
    if (!paper && terms > 0) image->scale /= terms;
}

static int describe(ColoringImage *image, Survey *survey) {
    if (count_labels(survey) != 0) return -1;
    size_t labels = (size_t)survey->most + 2;
    image->regions = calloc(labels, sizeof *image->regions);
    image->region_of = malloc(labels * sizeof *image->region_of);
    if (!image->regions || !image->region_of) return error_int("coloring_loss: out of memory");
    image->region_of[0] = REGION_IGNORED;
    for (size_t i = 1; i < labels; i++) image->region_of[i] = REGION_OTHER;
    if (survey->args->options.form != COLORING_PROMPTED)
        count_ids(image, survey);
    else if (prompted_ids(image, survey) != 0)
        return -1;
    find_means(image, survey);
    set_weights(image, survey);
    return 0;
}

int coloring_image_init(ColoringImage *image, const coloring_loss_args *args, int64_t index) {
    *image = (ColoringImage){0};
    Survey survey = {.args = args, .index = index};
    survey.pixels = args->labels->shape[1] * args->labels->shape[2];
    survey.labels = (const int32_t *)args->labels->data + index * survey.pixels;
    int result = describe(image, &survey);
    free(survey.sizes);
    if (result != 0) coloring_image_free(image);
    return result;
}

void coloring_image_free(ColoringImage *image) {
    free(image->regions);
    free(image->region_of);
    *image = (ColoringImage){0};
}

double coloring_mean_term(ColoringImage *image) {
    double sum = 0, weight = image->pair_weight;
    for (int64_t a = 0; weight > 0 && a < image->count; a++)
        for (int64_t b = a + 1; b < image->count; b++) {
            ColoringRegion *first = &image->regions[a], *second = &image->regions[b];
            double d[3], q = 1;
            for (int c = 0; c < 3; c++) {
                d[c] = first->mean[c] - second->mean[c];
                q += d[c] * d[c];
            }
            q = 1 / q;
            sum += q;
            for (int c = 0; c < 3; c++) {
                first->dmean[c] -= 2 * weight * q * q * d[c];
                second->dmean[c] += 2 * weight * q * q * d[c];
            }
        }
    return weight * sum;
}
