// SPDX-License-Identifier: MIT
// A model at work: from an image, and for Prompt2Seg points, to the 8-bit feature image that
// prompting reads. Source: method 3.1 (pipeline), 5.3 and 5.5 (branch).
#ifndef EVAL_PREDICTOR_H
#define EVAL_PREDICTOR_H

#include "eval/features.h"
#include "eval/predict_settings.h"
#include "nn/model.h"

typedef struct Predictor Predictor;

// From the U-Net's answer v to the latent [N,h,w,4] of images to the decoded images [N,H,W,3] in
// 0..255, on the tape.
Tensor *predictor_decode(Model *model, const PredictSettings *settings, Tensor *latent, Tensor *v);

// Borrows the model, on whose back end it runs. settings: NULL for predict_settings_default().
// NULL and an error when out of memory.
Predictor *predictor_open(Model *model, const PredictSettings *settings);
void predictor_close(Predictor *predictor);

// Makes the feature image of an RGB image, of the same size; the caller frees it. The image's
// latent and the U-Net's first half are kept for the next call with equal pixels. Nothing is
// recorded; the tape is reset. Fails when a side would vanish at the processing resolution.
int predictor_features(Predictor *predictor, const Image *image, Image *features);

// What that image is made from: the decoded one in 0..255 at the processing resolution, before its
// fractions are dropped. [*height,*width,3], which the caller frees; NULL and an error as above.
float *predictor_decoded(Predictor *predictor, const Image *image, int *width, int *height);

// predictor_features with the points of one object as input of the branch. Fails when the model has
// no branch or a point lies outside the image.
int predictor_branch_features(Predictor *predictor, const Image *image, const PixelPoint *points,
                              int count, Image *features);

// The predictor as the evaluation sees it, without `prompted` when the model has no branch. Valid
// as long as the predictor.
EvalModel predictor_eval_model(Predictor *predictor);

#endif
