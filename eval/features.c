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
    if (model->prompted(model->context, features->image, features->image, points, count,
                        &entry->image) == 0 &&
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

static const uint8_t *find_map(const Features *features, const PromptedMap *key) {
    for (size_t i = 0; i < features->map_count; i++) {
        const PromptedMap *map = &features->maps[i];
        if (map->kind == key->kind && map->form == key->form && map->sigma == key->sigma &&
            map->count == key->count &&
            memcmp(map->points, key->points, (size_t)key->count * sizeof *key->points) == 0)
            return map->map;
    }
    return NULL;
}

// Features that do not change with the prompts: the map of the earlier points, and that of the
// last.
static int add_point(Features *features, const PromptedMap *key, const PosthocOptions *options) {
    const uint8_t *earlier =
        features_map(features, key->kind, key->points, key->count - 1, options);
    const Image *image = earlier ? features_get(features, key->kind, NULL, 0) : NULL;
    if (!image || posthoc_map(image, &key->points[key->count - 1], 1, options, key->map)) return -1;
    for (size_t i = 0; i < (size_t)image->width * (size_t)image->height; i++)
        if (earlier[i] > key->map[i]) key->map[i] = earlier[i];
    return 0;
}

static int make_map(Features *features, const PromptedMap *key, const PosthocOptions *options) {
    if (key->count > 1 && key->kind != FEATURES_BRANCH) return add_point(features, key, options);
    const Image *image = features_get(features, key->kind, key->points, key->count);
    return image ? posthoc_map(image, key->points, key->count, options, key->map) : -1;
}

const uint8_t *features_map(Features *features, FeatureKind kind, const PixelPoint *points,
                            int count, const PosthocOptions *options) {
    if (count < 1 || count > EVAL_MAX_POINTS)
        return error_null("%d points, expected 1..%d", count, EVAL_MAX_POINTS);
    PromptedMap key = {
        .kind = kind, .sigma = options->sigma, .form = options->form, .count = count};
    memcpy(key.points, points, (size_t)count * sizeof *points);
    const uint8_t *found = find_map(features, &key);
    if (found) return found;
    key.map = array_new((size_t)features->image->width * (size_t)features->image->height, 1);
    if (key.map && make_map(features, &key, options) == 0 &&
        array_grow(&features->maps, &features->map_capacity, features->map_count,
                   sizeof *features->maps) == 0) {
        features->maps[features->map_count++] = key;
        return key.map;
    }
    free(key.map);
    return NULL;
}

void features_forget_prompted(Features *features) {
    for (size_t i = 0; i < features->count; i++) image_free(&features->prompted[i].image);
    for (size_t i = 0; i < features->map_count; i++) free(features->maps[i].map);
    features->count = features->map_count = 0;
}

void features_done(Features *features) {
    features_forget_prompted(features);
    free(features->prompted);
    free(features->maps);
    image_free(&features->plain);
    *features = (Features){0};
}
