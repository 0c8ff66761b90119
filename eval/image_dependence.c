// SPDX-License-Identifier: MIT
// Deviation of outputs across images. See image_dependence.h.
#include "eval/image_dependence.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static size_t value_count(const ImageDependence *dependence) {
    return 3 * (size_t)dependence->width * (size_t)dependence->height;
}

static int begin(ImageDependence *dependence, const Image *output) {
    dependence->width = output->width;
    dependence->height = output->height;
    dependence->sum = array_new(value_count(dependence), sizeof(double));
    dependence->squares = array_new(value_count(dependence), sizeof(double));
    return dependence->sum && dependence->squares ? 0 : -1;
}

int image_dependence_add(ImageDependence *dependence, const Image *output) {
    if (dependence->images == 0 && begin(dependence, output)) {
        image_dependence_free(dependence);
        return -1;
    }
    if (output->width != dependence->width || output->height != dependence->height) return 0;
    for (size_t i = 0; i < value_count(dependence); i++) {
        const double value = output->pixels[i];
        dependence->sum[i] += value;
        dependence->squares[i] += value * value;
    }
    dependence->images++;
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
    free(dependence->sum);
    free(dependence->squares);
    *dependence = (ImageDependence){0};
}
