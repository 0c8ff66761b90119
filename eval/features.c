// SPDX-License-Identifier: MIT
// A cache of feature images. See features.h.
#include "eval/features.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

void features_begin(Features *features, const EvalModel *model, const Image *image) {
    *features = (Features){.model = model, .image = image};
}

static int check_size(const Image *made, const Image *image) {
    if (made->width == image->width && made->height == image->height && made->channels == 3)
        return 0;
    return error_int("the model gave features of %dx%dx%d for an image of %dx%d", made->width,
                     made->height, made->channels, image->width, image->height);
}

static const Image *plain(Features *features) {
    const EvalModel *model = features->model;
    if (features->plain.pixels) return &features->plain;
    if (!model->features) return error_null("there is no model that makes feature images");
    if (model->features(model->context, features->image, &features->plain) == 0 &&
        check_size(&features->plain, features->image) == 0)
        return &features->plain;
    image_free(&features->plain);
    return NULL;
}

static const Image *branch(Features *features, const PixelPoint *points, int count) {
    const EvalModel *model = features->model;
    const size_t size = (size_t)count * sizeof *points;
    for (size_t i = 0; i < features->count; i++)
        if (features->prompted[i].count == count &&
            memcmp(features->prompted[i].points, points, size) == 0)
            return &features->prompted[i].image;
    if (!model->prompted) return error_null("the model has no prompt branch");
    if (count > EVAL_MAX_POINTS)
        return error_null("%d points, expected at most %d", count, EVAL_MAX_POINTS);
    if (array_grow(&features->prompted, &features->capacity, features->count,
                   sizeof *features->prompted))
        return NULL;
    PromptedFeatures *entry = &features->prompted[features->count++];
    *entry = (PromptedFeatures){.count = count};
    memcpy(entry->points, points, size);
    if (model->prompted(model->context, features->image, points, count, &entry->image) == 0 &&
        check_size(&entry->image, features->image) == 0)
        return &entry->image;
    image_free(&entry->image);
    features->count--;
    return NULL;
}

const Image *features_get(Features *features, FeatureKind kind, const PixelPoint *points,
                          int count) {
    switch (kind) {
    case FEATURES_RAW:
        return features->image;
    case FEATURES_PLAIN:
        return plain(features);
    case FEATURES_BRANCH:
        return branch(features, points, count);
    case FEATURES_NONE:
    case FEATURES_KINDS:
        break;
    }
    return error_null("features of no kind");
}

void features_forget_prompted(Features *features) {
    for (size_t i = 0; i < features->count; i++) image_free(&features->prompted[i].image);
    features->count = 0;
}

void features_done(Features *features) {
    features_forget_prompted(features);
    free(features->prompted);
    image_free(&features->plain);
    *features = (Features){0};
}
