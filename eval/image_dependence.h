// SPDX-License-Identifier: MIT
// Does a prompted model look at the image? The same prompt is given to many images; a model that is
// blind paints the same picture on each.
#ifndef EVAL_IMAGE_DEPENDENCE_H
#define EVAL_IMAGE_DEPENDENCE_H

#include "data/image.h"

#include <stdint.h>

// Starts zeroed.
typedef struct {
    int width, height;
    int64_t images;
    double *sum, *squares; // [H,W,3]
} ImageDependence;

// Adds an RGB output. Only outputs of the first one's size can be compared: others are left out.
// Returns whether it was taken, -1 when out of memory.
int image_dependence_add(ImageDependence *dependence, const Image *output);

// The standard deviation across images, in grey levels, averaged over pixels and channels; and the
// mean level. NAN without images.
double image_dependence_deviation(const ImageDependence *dependence);
double image_dependence_level(const ImageDependence *dependence);

void image_dependence_free(ImageDependence *dependence);

#endif
