// SPDX-License-Identifier: MIT
// Feature images of one picture and the similarity maps of prompts on them, each made once.
#ifndef EVAL_FEATURES_H
#define EVAL_FEATURES_H

#include "data/image.h"
#include "eval/config.h"
#include "eval/posthoc.h"

#include <stddef.h>

// A model as the evaluation sees it. Both functions make an 8-bit RGB image of the input's size,
// which the caller frees. A function that the model does not have is NULL. `drawn_on`, of the
// image's size and as a rule the image itself, is what a confidence map of the prompt is drawn on.
typedef struct {
    void *context;
    int (*features)(void *context, const Image *image, Image *features);
    int (*prompted)(void *context, const Image *image, const Image *drawn_on,
                    const PixelPoint *points, int count, Image *features);
} EvalModel;

typedef enum {
    FEATURES_NONE,
    FEATURES_RAW,    // the picture itself
    FEATURES_PLAIN,  // the model without prompts
    FEATURES_BRANCH, // the model with the prompts as input
    FEATURES_KINDS
} FeatureKind;

typedef struct {
    PixelPoint points[EVAL_MAX_POINTS];
    int count;
    Image image;
} PromptedFeatures;

typedef struct {
    FeatureKind kind;
    double sigma;
    SimilarityForm form;
    PixelPoint points[EVAL_MAX_POINTS];
    int count;
    uint8_t *map; // [H,W]
} PromptedMap;

typedef struct {
    const EvalModel *model; // borrowed
    const Image *image;     // borrowed
    Image plain;
    PromptedFeatures *prompted;
    size_t count, capacity;
    PromptedMap *maps;
    size_t map_count, map_capacity;
} Features;

void features_begin(Features *features, const EvalModel *model, const Image *image);

// The feature image of that kind, owned by `features` and valid until the next call; points matter
// for FEATURES_BRANCH only.
// NULL and an error when the model has no such function, fails, or gives another size.
const Image *features_get(Features *features, FeatureKind kind, const PixelPoint *points,
                          int count);

// posthoc_map of these features and points, [H,W], owned by `features` and valid until it forgets;
// of the options only sigma and form matter. NULL and an error as above.
const uint8_t *features_map(Features *features, FeatureKind kind, const PixelPoint *points,
                            int count, const PosthocOptions *options);

// Frees what was made for prompts; all.
void features_forget_prompted(Features *features);
void features_done(Features *features);

#endif
