// SPDX-License-Identifier: MIT
// One scene while it is drawn: first what is in it and who owns which pixel, then its surfaces.
#ifndef DATA_SCENES_PRIVATE_H
#define DATA_SCENES_PRIVATE_H

#include "data/scenes_shape.h"
#include "data/scenes_texture.h"

#include <stdbool.h>
#include <stdint.h>

#define STYLE_LIST(STYLE) \
    STYLE(photo)          \
    STYLE(painting)       \
    STYLE(xray)           \
    STYLE(lineart)        \
    STYLE(hand)           \
    STYLE(clutter)        \
    STYLE(wires)          \
    STYLE(poster)         \
    STYLE(colormap)

typedef enum {
#define STYLE_ENUM(name) STYLE_##name,
    STYLE_LIST(STYLE_ENUM)
#undef STYLE_ENUM
        STYLE_COUNT
} Style;

// Kinds of instances: the shape families, then what has no family.
enum { KIND_HAND = SHAPE_COUNT, KIND_WIRE, KIND_COUNT };

enum { SCENE_OBJECTS_MAX = 24, SCENE_SMALLEST_AREA = 24 };

typedef struct {
    Field field;
    int kind;
    float x, y, radius; // centre and extent in pixels, for the light
    float tube;         // half width in pixels when it is lit like a tube, else 0
    int64_t area;       // visible pixels
    Texture texture;
} SceneObject;

typedef struct {
    int size;    // side in pixels
    float scale; // size / 64
    Style style;
    bool seen, unseen; // shape families in use
    int count;
    SceneObject objects[SCENE_OBJECTS_MAX]; // in painter's order
    float *distances;                       // [SCENE_OBJECTS_MAX, size, size]
    int32_t *source;                        // [size, size] pixel that is shown here (painting)
    int32_t *owner;                         // [size, size] before that: object + 1, 0 background
    float *canvas;                          // [size, size, 3] RGB in 0..1
    float light[2];
} Scene;

int scene_new(Scene *scene, int size);
void scene_free(Scene *scene);

// Places the objects of the scene's style, drops those with less than 24 scale^2 visible pixels,
// the smallest first, and writes the ids 1..count of what is visible. ids [size, size].
void scene_layout(Scene *scene, Rng *rng, int32_t *ids);

// Paints the placed objects. pixels [size, size, 3] RGB.
void scene_paint(Scene *scene, const int32_t *ids, Rng *rng, uint8_t *pixels);

#endif
