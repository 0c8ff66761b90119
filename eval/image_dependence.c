// SPDX-License-Identifier: MIT
// Deviation of outputs across images. See image_dependence.h.
#include "eval/image_dependence.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static size_t value_count(const ImageDependence *dependence) {
    return 3 * (size_t)dependence->first.width * (size_t)dependence->first.height;
}

static int begin(ImageDependence *dependence, const Image *image) {
    if (image_new(&dependence->first, image->width, image->height, 3)) return -1;
    memcpy(dependence->first.pixels, image->pixels, value_count(dependence));
    dependence->sum = array_new(value_count(dependence), sizeof(double));
    dependence->squares = array_new(value_count(dependence), sizeof(double));
    return dependence->sum && dependence->squares ? 0 : -1;
}

static void add(ImageDependence *dependence, const Image *output) {
    for (size_t i = 0; i < value_count(dependence); i++) {
        const double value = output->pixels[i];
        dependence->sum[i] += value;
        dependence->squares[i] += value * value;
    }
    dependence->images++;
}

int image_dependence_add(ImageDependence *dependence, const EvalModel *model, const Image *image) {
    const PixelPoint middle = {image->width / 2, image->height / 2};
    Image output = {0};
    if (dependence->images == 0 && begin(dependence, image)) {
        image_dependence_free(dependence);
        return -1;
    }
    const Image *first = &dependence->first;
    if (image->width != first->width || image->height != first->height) return 0;
    if (model->prompted(model->context, image, first, &middle, 1, &output)) return -1;
    add(dependence, &output);
    image_free(&output);
    return 1;
}

double image_dependence_deviation(const ImageDependence *dependence) {
    if (dependence->images == 0) return NAN;
    const double n = (double)dependence->images;
    double total = 0;
    for (size_t i = 0; i < value_count(dependence); i++) {
        const double mean = dependence->sum[i] / n;
        total += sqrt(fmax(0, dependence->squares[i] / n - mean * mean));
    }
    return total / (double)value_count(dependence);
}

double image_dependence_level(const ImageDependence *dependence) {
    if (dependence->images == 0) return NAN;
    double total = 0;
    for (size_t i = 0; i < value_count(dependence); i++) total += dependence->sum[i];
    return total / (double)dependence->images / (double)value_count(dependence);
}

void image_dependence_free(ImageDependence *dependence) {
    image_free(&dependence->first);
    free(dependence->sum);
    free(dependence->squares);
    *dependence = (ImageDependence){0};
}
