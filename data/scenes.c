// SPDX-License-Identifier: MIT
// scenes: a small world of textured, overlapping shapes with exact instance ids, drawn on request.
// Sample i is a pure function of (seed, split, size, subset, i). Splits differ from `train` and
// `val` (photo style, seen shapes) in the one thing they are named after; `subset` replaces the
// shape families of any split.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/dataset.h"
#include "data/scenes_private.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE_DEFAULT = 64, SIDE_LEAST = 16, SIDE_MOST = 1024, ANY_STYLE = -1, ANY_OR_COLORMAP = -2 };

typedef struct {
    const char *name;
    int style; // ANY_STYLE: drawn anew for each image, colour maps excepted; ANY_OR_COLORMAP: these
               // and colour maps in turn, what an auto-encoder must carry
    bool seen, unseen;
    int64_t count;
} Split;

// clang-format off
static const Split splits[] = {
    {"train", STYLE_photo, true, false, 6000},
    {"val", STYLE_photo, true, false, 200},
    {"pretrain", ANY_STYLE, true, true, 6000},
    {"autoencode", ANY_OR_COLORMAP, true, true, 6000},
    {"colormap", STYLE_colormap, true, true, 6000},
    {"shapes", STYLE_photo, false, true, 200},
    {"painting", STYLE_painting, true, false, 200},
    {"xray", STYLE_xray, true, false, 200},
    {"lineart", STYLE_lineart, true, false, 200},
    {"hand", STYLE_hand, true, false, 200},
    {"clutter", STYLE_clutter, true, false, 200},
    {"wires", STYLE_wires, true, false, 200},
};
// clang-format on
enum { SPLIT_COUNT = sizeof splits / sizeof splits[0] };

static const char *const kind_names[KIND_COUNT] = {
#define SHAPE_NAME(name, seen) #name,
    SHAPE_LIST(SHAPE_NAME)
#undef SHAPE_NAME
        [KIND_HAND] = "hand",
    [KIND_WIRE] = "wire",
};

typedef struct {
    const Split *split;
    bool seen, unseen;
    uint64_t seed;
    int size;
    int64_t count;
    Text description;
} Scenes;

static const Split *split_find(const char *name) {
    if (!name || !*name) name = "train";
    for (int i = 0; i < SPLIT_COUNT; i++)
        if (strcmp(name, splits[i].name) == 0) return &splits[i];
    return error_null(
        "scenes: no split '%s'; expected train, val, pretrain, autoencode, colormap, shapes, "
        "painting, xray, lineart, hand, clutter or wires",
        name);
}

static int families_set(Scenes *scenes, const char *subset) {
    scenes->seen = scenes->split->seen;
    scenes->unseen = scenes->split->unseen;
    if (!subset || !*subset) return 0;
    scenes->seen = strcmp(subset, "unseen") != 0;
    scenes->unseen = strcmp(subset, "seen") != 0;
    if (!scenes->seen || !scenes->unseen || strcmp(subset, "both") == 0) return 0;
    return error_int("scenes: no subset '%s'; expected seen, unseen or both", subset);
}

static int describe_write(Scenes *scenes) {
    const int style = scenes->split->style;
    static const char *const styles[] = {
#define STYLE_NAME(name) #name,
        STYLE_LIST(STYLE_NAME)
#undef STYLE_NAME
    };
    text_add(&scenes->description, "scenes/%s: %lld generated images of %dx%d, seed %llu\n",
             scenes->split->name, (long long)scenes->count, scenes->size, scenes->size,
             (unsigned long long)scenes->seed);
    text_add(&scenes->description, "style: %s; holds:", style < 0 ? "all" : styles[style]);
    for (int k = 0; k < SHAPE_COUNT && style != STYLE_wires; k++)
        if (shape_family_seen((ShapeFamily)k) ? scenes->seen : scenes->unseen)
            text_add(&scenes->description, " %s", kind_names[k]);
    if (style == STYLE_hand || style < 0)
        text_add(&scenes->description, " %s", kind_names[KIND_HAND]);
    if (style == STYLE_wires || style < 0)
        text_add(&scenes->description, " %s", kind_names[KIND_WIRE]);
    return text_add(&scenes->description,
                    "\nnothing is drawn that shows less than %d/4096 of the image\n",
                    SCENE_SMALLEST_AREA);
}

static void scenes_close(void *set) {
    Scenes *scenes = set;
    if (!scenes) return;
    text_free(&scenes->description);
    free(scenes);
}

static int options_check(const DatasetOptions *options) {
    if (options->size != 0 && (options->size < SIDE_LEAST || options->size > SIDE_MOST))
        return error_int("scenes: size %d; expected %d..%d", options->size, SIDE_LEAST, SIDE_MOST);
    if (options->count < 0)
        return error_int("scenes: count %lld; expected 0 (the split's own) or more",
                         (long long)options->count);
    return 0;
}

static void *scenes_open(const DatasetOptions *options) {
    const Split *split = split_find(options->split);
    if (!split || options_check(options) != 0) return NULL;
    Scenes *scenes = array_new(1, sizeof *scenes);
    if (!scenes) return NULL;
    scenes->split = split;
    scenes->seed = options->seed;
    scenes->size = options->size ? options->size : SIDE_DEFAULT;
    scenes->count = options->count ? options->count : split->count;
    if (families_set(scenes, options->subset) == 0 && describe_write(scenes) == 0) return scenes;
    scenes_close(scenes);
    return NULL;
}

static int64_t scenes_count(void *set) {
    return ((Scenes *)set)->count;
}

static const char *scenes_describe(void *set) {
    return text_string(&((Scenes *)set)->description);
}

static int instances_fill(const Scene *scene, Sample *sample) {
    sample->instances = array_new((size_t)scene->count, sizeof *sample->instances);
    if (!sample->instances) return -1;
    sample->instance_count = scene->count;
    for (int k = 0; k < scene->count; k++) {
        const SceneObject *object = &scene->objects[k];
        sample->instances[k] =
            (Instance){.id = k + 1, .category = object->kind, .area = (double)object->area};
    }
    return 0;
}

// Layout and paint have streams of their own, so that a change of one leaves the other.
static int scene_draw(const Scenes *scenes, int64_t index, Scene *scene, Sample *sample) {
    char purpose[64];
    snprintf(purpose, sizeof purpose, "scenes/%s", scenes->split->name);
    Rng layout = rng_stream(scenes->seed, purpose, (uint64_t)index, 0);
    Rng paint = rng_stream(scenes->seed, purpose, (uint64_t)index, 1);
    Rng style = rng_stream(scenes->seed, purpose, (uint64_t)index, 2);
    int wanted = scenes->split->style;
    if (wanted == ANY_OR_COLORMAP && index % 2 == 1) wanted = STYLE_colormap;
    scene->style = (Style)(wanted < 0 ? (int)rng_below(&style, STYLE_colormap) : wanted);
    scene->seen = scenes->seen;
    scene->unseen = scenes->unseen;
    scene_layout(scene, &layout, sample->labels.ids);
    scene_paint(scene, sample->labels.ids, &paint, sample->image.pixels);
    return instances_fill(scene, sample);
}

static int scenes_read(void *set, int64_t index, Sample *sample) {
    const Scenes *scenes = set;
    *sample = (Sample){0};
    if (index < 0 || index >= scenes->count)
        return error_int("scenes/%s: sample %lld of %lld", scenes->split->name, (long long)index,
                         (long long)scenes->count);
    Scene scene;
    if (scene_new(&scene, scenes->size) != 0) return -1;
    snprintf(sample->name, sizeof sample->name, "scenes-%s-%06lld", scenes->split->name,
             (long long)index);
    int status = image_new(&sample->image, scenes->size, scenes->size, 3);
    if (status == 0) status = label_map_new(&sample->labels, scenes->size, scenes->size);
    if (status == 0) status = scene_draw(scenes, index, &scene, sample);
    scene_free(&scene);
    if (status != 0) sample_free(sample);
    return status;
}

const DatasetType dataset_scenes = {
    .name = "scenes",
    .help = "generated shapes; split: train, val, pretrain, autoencode, colormap, shapes, "
            "painting, xray, "
            "lineart, hand, clutter, wires; subset: seen, unseen, both; size, count, seed",
    .open = scenes_open,
    .count = scenes_count,
    .read = scenes_read,
    .describe = scenes_describe,
    .close = scenes_close,
};
