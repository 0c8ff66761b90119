// SPDX-License-Identifier: MIT
// Does a prompted model look at the image? The same prompt is given to many images; a model that is
// blind paints the same picture on each. A confidence map of the prompt is drawn on the first of
// them for all, so that it does not see in the model's stead.
#ifndef EVAL_IMAGE_DEPENDENCE_H
#define EVAL_IMAGE_DEPENDENCE_H

#include "eval/features.h"

#include <stdint.h>

// Starts zeroed.
typedef struct {
    Image first;
    int64_t images;
    double *sum, *squares; // [H,W,3]
} ImageDependence;

// Adds the output for a point in the middle of the image. Only images of the first one's size can
// be compared: others are left out. Returns whether it was taken, -1 when the model fails.
int image_dependence_add(ImageDependence *dependence, const EvalModel *model, const Image *image);

// The standard deviation across images, in grey levels, averaged over pixels and channels; and the
// mean level. NAN without images.
double image_dependence_deviation(const ImageDependence *dependence);
double image_dependence_level(const ImageDependence *dependence);

void image_dependence_free(ImageDependence *dependence);

#endif
