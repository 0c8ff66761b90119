// SPDX-License-Identifier: MIT
// What is in a scene and where: objects by style, painter's order, exact ids.
#include "data/scenes_private.h"

#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

typedef struct {
    int least, most;  // objects
    double low, high; // radius, shares of the side
} Crowd;

static const Crowd crowds[STYLE_COUNT] = {
    [STYLE_photo] = {6, 11, 0.08, 0.45},    [STYLE_painting] = {6, 11, 0.08, 0.45},
    [STYLE_xray] = {7, 12, 0.08, 0.45},     [STYLE_lineart] = {6, 11, 0.08, 0.45},
    [STYLE_hand] = {3, 6, 0.08, 0.40},      [STYLE_clutter] = {14, 22, 0.08, 0.24},
    [STYLE_wires] = {4, 8, 0, 0},           [STYLE_poster] = {6, 11, 0.08, 0.45},
    [STYLE_colormap] = {4, 14, 0.08, 0.45},
};

int scene_new(Scene *scene, int size) {
    *scene = (Scene){.size = size, .scale = (float)size / 64};
    const size_t pixels = (size_t)size * (size_t)size;
    scene->distances = array_new(SCENE_OBJECTS_MAX * pixels, sizeof(float));
    scene->source = array_new(pixels, sizeof(int32_t));
    scene->owner = array_new(pixels, sizeof(int32_t));
    scene->canvas = array_new(3 * pixels, sizeof(float));
    if (scene->distances && scene->source && scene->owner && scene->canvas) return 0;
    scene_free(scene);
    return -1;
}

void scene_free(Scene *scene) {
    free(scene->distances);
    free(scene->source);
    free(scene->owner);
    free(scene->canvas);
    *scene = (Scene){0};
}

static SceneObject *object_add(Scene *scene, int kind) {
    const int64_t pixels = (int64_t)scene->size * scene->size;
    SceneObject *object = &scene->objects[scene->count];
    *object = (SceneObject){.kind = kind};
    field_clear(&object->field, scene->size, scene->distances + scene->count * pixels);
    scene->count++;
    return object;
}

// How far outside of an object its distance is needed: shadow, outline, rounding.
static float margin(const Scene *scene) {
    return 6 * scene->scale;
}

static void add_shape_at(Scene *scene, float x, float y, float radius, Rng *rng) {
    Shape shape;
    shape_draw(&shape, shape_family_draw(scene->seen, scene->unseen, rng), rng);
    shape.x = x;
    shape.y = y;
    shape.radius = radius;
    SceneObject *object = object_add(scene, (int)shape.family);
    object->x = x;
    object->y = y;
    object->radius = radius;
    field_add_shape(&object->field, &shape, margin(scene));
}

static void add_shapes(Scene *scene, int count, Rng *rng) {
    const Crowd *crowd = &crowds[scene->style];
    for (int i = 0; i < count; i++) {
        const double x = rng_range(rng, 0.03, 0.97);
        const double y = rng_range(rng, 0.03, 0.97);
        const float radius = log_uniform_draw(rng, crowd->low, crowd->high);
        const float side = (float)scene->size;
        add_shape_at(scene, (float)x * side, (float)y * side, radius * side, rng);
    }
}

static void add_wire(Scene *scene, Rng *rng) {
    enum { SEGMENTS = 32 };
    float p[3][2];
    for (int i = 0; i < 6; i++) p[i / 2][i % 2] = (float)(rng_range(rng, -0.1, 1.1) * scene->size);
    SceneObject *object = object_add(scene, KIND_WIRE);
    object->tube = (float)rng_range(rng, 1.3, 2.4) * scene->scale;
    object->x = p[1][0];
    object->y = p[1][1];
    object->radius = 0.5f * (float)scene->size;
    float last[2] = {p[0][0], p[0][1]};
    for (int k = 1; k <= SEGMENTS; k++) {
        const float t = (float)k / SEGMENTS;
        const float s = 1 - t;
        float next[2];
        for (int c = 0; c < 2; c++)
            next[c] = s * s * p[0][c] + 2 * s * t * p[1][c] + t * t * p[2][c];
        field_add_segment(&object->field, last, next, object->tube, margin(scene));
        last[0] = next[0];
        last[1] = next[1];
    }
}

// A fore-arm from the lower border, a palm, and fingers that fan out away from the arm.
static void add_hand(Scene *scene, const float palm[2], const float toward[2], Rng *rng) {
    const double side = scene->size;
    const float reach = margin(scene);
    SceneObject *hand = object_add(scene, KIND_HAND);
    hand->x = palm[0];
    hand->y = palm[1];
    hand->radius = (float)(0.3 * side);
    const float elbow[2] = {palm[0] - 1.2f * toward[0] * (float)side,
                            palm[1] - 1.2f * toward[1] * (float)side};
    field_add_segment(&hand->field, elbow, palm, (float)(rng_range(rng, 0.07, 0.10) * side), reach);
    const double palm_radius = rng_range(rng, 0.10, 0.13) * side;
    field_add_segment(&hand->field, palm, palm, (float)palm_radius, reach);
    const int fingers = 3 + (int)rng_below(rng, 3);
    for (int i = 0; i < fingers; i++) {
        const double fan = -1.1 + 2.2 * i / (fingers - 1) + rng_range(rng, -0.15, 0.15);
        const double dx = toward[0] - fan * toward[1];
        const double dy = toward[1] + fan * toward[0];
        const double length = rng_range(rng, 0.16, 0.24) * side / sqrt(dx * dx + dy * dy);
        const float tip[2] = {(float)(palm[0] + dx * length), (float)(palm[1] + dy * length)};
        const double width = rng_range(rng, 0.028, 0.038) * side;
        field_add_segment(&hand->field, palm, tip, (float)width, reach);
    }
}

static void add_hand_and_held(Scene *scene, Rng *rng) {
    const float side = (float)scene->size;
    const float palm[2] = {(float)rng_range(rng, 0.3, 0.7) * side,
                           (float)rng_range(rng, 0.45, 0.75) * side};
    const float lean = (float)rng_range(rng, -0.6, 0.6);
    const float length = sqrtf(1 + lean * lean);
    const float toward[2] = {lean / length, -1 / length};
    const float radius = (float)rng_range(rng, 0.10, 0.22) * side;
    const float x = palm[0] + 0.17f * side * toward[0];
    const float y = palm[1] + 0.17f * side * toward[1];
    const bool hand_above = rng_below(rng, 2) == 1;
    if (!hand_above) add_hand(scene, palm, toward, rng);
    add_shape_at(scene, x, y, radius, rng);
    if (hand_above) add_hand(scene, palm, toward, rng);
}

static int64_t field_area(const Field *field) {
    int64_t area = 0;
    for (int y = field->y0; y < field->y1; y++)
        for (int x = field->x0; x < field->x1; x++)
            area += field->distance[y * field->size + x] < 0;
    return area;
}

// Painter's order by area, large first; `shuffle` lets an object move by up to that factor.
static void sort_by_area(Scene *scene, double shuffle, Rng *rng) {
    double key[SCENE_OBJECTS_MAX];
    for (int i = 0; i < scene->count; i++) {
        SceneObject object = scene->objects[i];
        const double factor = rng_range(rng, 1, shuffle);
        const double own = (double)field_area(&object.field) * factor;
        int k = i;
        for (; k > 0 && key[k - 1] < own; k--) {
            key[k] = key[k - 1];
            scene->objects[k] = scene->objects[k - 1];
        }
        key[k] = own;
        scene->objects[k] = object;
    }
}

// The topmost object of each pixel, and what shows after the displacement.
static void label(Scene *scene, int32_t *ids) {
    const int pixels = scene->size * scene->size;
    for (int i = 0; i < pixels; i++) scene->owner[i] = 0;
    for (int k = 0; k < scene->count; k++) {
        const Field *field = &scene->objects[k].field;
        for (int y = field->y0; y < field->y1; y++)
            for (int x = field->x0; x < field->x1; x++)
                if (field->distance[y * field->size + x] < 0)
                    scene->owner[y * field->size + x] = k + 1;
        scene->objects[k].area = 0;
    }
    for (int i = 0; i < pixels; i++) {
        ids[i] = scene->owner[scene->source[i]];
        if (ids[i] > 0) scene->objects[ids[i] - 1].area++;
    }
}

static void drop_hidden(Scene *scene, int32_t *ids) {
    const double least = SCENE_SMALLEST_AREA * (double)scene->scale * (double)scene->scale;
    for (;;) {
        label(scene, ids);
        int smallest = 0;
        for (int k = 1; k < scene->count; k++)
            if (scene->objects[k].area < scene->objects[smallest].area) smallest = k;
        if (scene->count == 0 || (double)scene->objects[smallest].area >= least) return;
        scene->count--;
        for (int k = smallest; k < scene->count; k++) scene->objects[k] = scene->objects[k + 1];
    }
}

// A painting shows each pixel from up to 1.8 px (at 64) aside; all other styles from itself.
static void displace(Scene *scene, Rng *rng) {
    const uint32_t seed = rng_u32(rng);
    const float reach = scene->style == STYLE_painting ? 1.8f * scene->scale : 0;
    const float cell = 4 * scene->scale;
    const int last = scene->size - 1;
    for (int y = 0; y <= last; y++) {
        for (int x = 0; x <= last; x++) {
            int to[2] = {x, y};
            for (int c = 0; c < 2 && reach > 0; c++) {
                const float noise =
                    value_noise(seed + (uint32_t)c, (float)x / cell, (float)y / cell);
                to[c] += (int)floorf(reach * (2 * noise - 1) + 0.5f);
                to[c] = to[c] < 0 ? 0 : to[c] > last ? last : to[c];
            }
            scene->source[y * scene->size + x] = to[1] * scene->size + to[0];
        }
    }
}

void scene_layout(Scene *scene, Rng *rng, int32_t *ids) {
    const Crowd *crowd = &crowds[scene->style];
    unit_vector_draw(rng, &scene->light[0], &scene->light[1]);
    displace(scene, rng);
    do {
        scene->count = 0;
        const int count =
            crowd->least + (int)rng_below(rng, (uint64_t)(crowd->most - crowd->least + 1));
        if (scene->style == STYLE_wires)
            for (int i = 0; i < count; i++) add_wire(scene, rng);
        else
            add_shapes(scene, count, rng);
        if (scene->style != STYLE_wires)
            sort_by_area(scene, scene->style == STYLE_xray ? 1 : 6, rng);
        if (scene->style == STYLE_hand) add_hand_and_held(scene, rng);
        drop_hidden(scene, ids);
    } while (scene->count == 0);
}
