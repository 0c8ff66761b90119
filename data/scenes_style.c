// SPDX-License-Identifier: MIT
// How a scene looks: surfaces and light by style. Colours are RGB in 0..1 until the last step.
#include "data/scenes_private.h"

#include <math.h>
#include <string.h>

typedef struct {
    float color[3][3]; // what objects and background share
    float jitter;      // how far each use of a colour may lie from it, per channel
} Palette;

static float clamp01(float value) {
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

static float draw(Rng *rng, double low, double high) {
    return (float)rng_range(rng, low, high);
}

static bool far_apart(const float *a, const float *b, float least) {
    float square = 0;
    for (int c = 0; c < 3; c++) square += (a[c] - b[c]) * (a[c] - b[c]);
    return square >= least * least;
}

// Three colours at some distance from each other, so that the two of a texture differ clearly.
static void palette_draw(Palette *palette, const Scene *scene, Rng *rng) {
    static const float earth[3] = {0.6f, 0.48f, 0.35f};
    const bool earthy = scene->style == STYLE_painting || scene->style == STYLE_clutter;
    palette->jitter = 0.1f;
    for (int k = 0; k < 3; k++) {
        for (int attempt = 0; attempt < 32; attempt++) {
            float *color = palette->color[k];
            const float bright = draw(rng, 0.3, 1.6);
            for (int c = 0; c < 3; c++) {
                const float own = draw(rng, 0.05, 0.95);
                color[c] = earthy ? clamp01(earth[c] * bright + 0.45f * (own - 0.5f)) : own;
            }
            bool apart = true;
            for (int other = 0; other < k; other++)
                apart = apart && far_apart(color, palette->color[other], earthy ? 0.3f : 0.5f);
            if (apart) break;
        }
    }
}

// Two different colours of the palette, each a little changed; the second up to all the way.
static void texture_colors(Texture *texture, const Palette *palette, double nearest, Rng *rng) {
    const int first = (int)rng_below(rng, 3);
    const int second = (first + 1 + (int)rng_below(rng, 2)) % 3;
    const float way = draw(rng, nearest, 1);
    for (int c = 0; c < 3; c++) {
        const float a = draw(rng, -palette->jitter, palette->jitter);
        const float b = draw(rng, -palette->jitter, palette->jitter);
        texture->color[0][c] = clamp01(palette->color[first][c] + a);
        const float full = clamp01(palette->color[second][c] + b);
        texture->color[1][c] = texture->color[0][c] + way * (full - texture->color[0][c]);
    }
}

static void dress(Scene *scene, const Palette *palette, Rng *rng) {
    for (int k = 0; k < scene->count; k++) {
        SceneObject *object = &scene->objects[k];
        texture_draw(&object->texture, object->x, object->y, object->radius, scene->scale, rng);
        texture_colors(&object->texture, palette, 0.5, rng);
        if (object->kind != KIND_HAND) continue;
        static const float skin[3] = {0.85f, 0.62f, 0.48f};
        const float bright = draw(rng, 0.35, 1.1);
        object->texture.kind = TEXTURE_noise;
        for (int c = 0; c < 3; c++) {
            object->texture.color[0][c] = clamp01(skin[c] * bright);
            object->texture.color[1][c] = clamp01(skin[c] * bright * 0.8f);
        }
    }
}

static void fill(Scene *scene, const float rgb[3]) {
    for (int i = 0; i < 3 * scene->size * scene->size; i++) scene->canvas[i] = rgb[i % 3];
}

// A texture, in half of the scenes another one below a tilted horizon, under uneven light.
static void paint_background(Scene *scene, const Palette *palette, Rng *rng) {
    const float side = (float)scene->size;
    Texture texture[2];
    for (int k = 0; k < 2; k++) {
        texture_draw(&texture[k], side / 2, side / 2, side / 2, 1.5f * scene->scale, rng);
        texture_colors(&texture[k], palette, 0.2, rng);
    }
    const bool ground = rng_below(rng, 2) == 1;
    const float horizon = ground ? draw(rng, 0.25, 0.6) * side : 2 * side;
    const float tilt = ground ? draw(rng, -0.25, 0.25) : 0;
    const uint32_t seed = rng_u32(rng);
    for (int y = 0; y < scene->size; y++) {
        for (int x = 0; x < scene->size; x++) {
            const float px = (float)x + 0.5f;
            const float py = (float)y + 0.5f;
            const bool below = py > horizon + tilt * (px - side / 2);
            const float light = 0.8f + 0.4f * value_noise(seed, 3 * px / side, 3 * py / side);
            float *rgb = scene->canvas + 3 * (y * scene->size + x);
            texture_color(&texture[below], px, py, rgb);
            for (int c = 0; c < 3; c++) rgb[c] *= light;
        }
    }
}

// The object's distance at a pixel that may lie outside of the image.
static float distance_at(const Field *field, int x, int y) {
    if (x < 0 || y < 0 || x >= field->size || y >= field->size) return FIELD_FAR;
    return field->distance[y * field->size + x];
}

// Brightness of a lit surface: a slope across the object (or a tube), and a dark rim.
static float shade(const Scene *scene, const SceneObject *object, float x, float y, float d) {
    if (object->tube > 0) return 0.6f + 0.6f * clamp01(-d / object->tube);
    const float along =
        (scene->light[0] * (x - object->x) + scene->light[1] * (y - object->y)) / object->radius;
    const float rim = clamp01(1 + d / (1.5f * scene->scale));
    return (1 + 0.35f * (along < -1 ? -1 : along > 1 ? 1 : along)) * (1 - 0.25f * rim);
}

// The object over the canvas, with a shadow that falls away from the light.
static void paint_lit_object(Scene *scene, const SceneObject *object) {
    const Field *field = &object->field;
    const int shift_x = (int)floorf(2 * scene->scale * scene->light[0] + 0.5f);
    const int shift_y = (int)floorf(2 * scene->scale * scene->light[1] + 0.5f);
    for (int y = field->y0; y < field->y1; y++) {
        for (int x = field->x0; x < field->x1; x++) {
            const float d = field->distance[y * field->size + x];
            float *rgb = scene->canvas + 3 * (y * scene->size + x);
            const float cover = clamp01(0.5f - d);
            const float other = distance_at(field, x + shift_x, y + shift_y);
            const float dark = 1 - 0.45f * clamp01(0.5f - other / (3 * scene->scale));
            float own[3] = {0, 0, 0};
            float bright = 0;
            if (cover > 0) {
                texture_color(&object->texture, (float)x + 0.5f, (float)y + 0.5f, own);
                bright = shade(scene, object, (float)x + 0.5f, (float)y + 0.5f, d);
            }
            for (int c = 0; c < 3; c++)
                rgb[c] = (1 - cover) * rgb[c] * dark + cover * own[c] * bright;
        }
    }
}

static void paint_photo(Scene *scene, Rng *rng) {
    Palette palette;
    palette_draw(&palette, scene, rng);
    dress(scene, &palette, rng);
    paint_background(scene, &palette, rng);
    for (int k = 0; k < scene->count; k++) paint_lit_object(scene, &scene->objects[k]);
}

// Light that passes through: each object multiplies, nothing hides.
static void paint_xray_object(Scene *scene, const SceneObject *object, Rng *rng) {
    static const float materials[3][3] = {
        {0.15f, 0.55f, 1.2f}, {0.8f, 0.25f, 0.9f}, {1.2f, 0.7f, 0.2f}};
    const Field *field = &object->field;
    const float *material = materials[rng_below(rng, 3)];
    const float amount = draw(rng, 0.4, 1.1);
    const bool hollow = rng_below(rng, 2) == 1;
    const float depth = draw(rng, 3, 4) * scene->scale;
    Texture grain = object->texture;
    for (int c = 0; c < 3; c++) {
        grain.color[0][c] = 0.6f;
        grain.color[1][c] = 1.4f;
    }
    for (int y = field->y0; y < field->y1; y++) {
        for (int x = field->x0; x < field->x1; x++) {
            const float d = field->distance[y * field->size + x];
            const float cover = clamp01(0.5f - d);
            if (cover <= 0) continue;
            float factor[3];
            texture_color(&grain, (float)x + 0.5f, (float)y + 0.5f, factor);
            const float rise = clamp01(-d / depth);
            const float thickness = hollow ? 1 - 0.5f * rise : 0.4f + 0.6f * rise;
            float *rgb = scene->canvas + 3 * (y * scene->size + x);
            for (int c = 0; c < 3; c++)
                rgb[c] *= exp_series(-cover * thickness * amount * material[c] * factor[c]);
        }
    }
}

static void paint_xray(Scene *scene, Rng *rng) {
    Palette palette;
    palette_draw(&palette, scene, rng);
    dress(scene, &palette, rng);
    const float white = draw(rng, 0.91, 0.97);
    fill(scene, (const float[3]){white, white, white});
    for (int k = 0; k < scene->count; k++) paint_xray_object(scene, &scene->objects[k], rng);
}

// Paper inside, in half of the objects hatched, and a line of ink along the outline.
static void paint_line_object(Scene *scene, const SceneObject *object, const float paper[3],
                              const float ink[3], Rng *rng) {
    const Field *field = &object->field;
    const float half_width = draw(rng, 0.6, 1.1) * scene->scale;
    const bool hatched = rng_below(rng, 2) == 1;
    const float strength = hatched ? draw(rng, 0.3, 0.8) : 0;
    Texture hatch = object->texture;
    for (int c = 0; c < 3; c++) {
        hatch.color[0][c] = paper[c];
        hatch.color[1][c] = paper[c] + strength * (ink[c] - paper[c]);
    }
    for (int y = field->y0; y < field->y1; y++) {
        for (int x = field->x0; x < field->x1; x++) {
            const float d = field->distance[y * field->size + x];
            const float cover = clamp01(0.5f - d);
            const float line = clamp01(0.5f + half_width - fabsf(d));
            if (cover <= 0 && line <= 0) continue;
            float inside[3];
            texture_color(&hatch, (float)x + 0.5f, (float)y + 0.5f, inside);
            float *rgb = scene->canvas + 3 * (y * scene->size + x);
            for (int c = 0; c < 3; c++) {
                const float below = rgb[c] + cover * (inside[c] - rgb[c]);
                rgb[c] = below + line * (ink[c] - below);
            }
        }
    }
}

static void paint_lineart(Scene *scene, Rng *rng) {
    Palette palette;
    palette_draw(&palette, scene, rng);
    dress(scene, &palette, rng);
    float paper[3];
    float ink[3];
    for (int c = 0; c < 3; c++) {
        paper[c] = draw(rng, 0.85, 1);
        ink[c] = draw(rng, 0, 0.3);
    }
    fill(scene, paper);
    for (int k = 0; k < scene->count; k++)
        paint_line_object(scene, &scene->objects[k], paper, ink, rng);
}

static void paint_flat_object(Scene *scene, const Field *field, const float rgb[3]) {
    for (int y = field->y0; y < field->y1; y++) {
        for (int x = field->x0; x < field->x1; x++) {
            const float cover = clamp01(0.5f - field->distance[y * field->size + x]);
            float *to = scene->canvas + 3 * (y * scene->size + x);
            for (int c = 0; c < 3; c++) to[c] += cover * (rgb[c] - to[c]);
        }
    }
}

static void paint_poster(Scene *scene, Rng *rng) {
    const float most = rng_below(rng, 10) < 7 ? 0.5f : 1;
    float rgb[3];
    for (int c = 0; c < 3; c++) rgb[c] = most * draw(rng, 0, 1);
    fill(scene, rgb);
    for (int k = 0; k < scene->count; k++) {
        for (int c = 0; c < 3; c++) rgb[c] = draw(rng, 0.05, 0.95);
        paint_flat_object(scene, &scene->objects[k].field, rgb);
    }
}

// One colour per id, hard edges, no two alike and none near the black of the background.
static void paint_colormap(Scene *scene, const int32_t *ids, Rng *rng) {
    float color[SCENE_OBJECTS_MAX + 1][3] = {{0, 0, 0}};
    for (int k = 1; k <= scene->count; k++) {
        bool apart = false;
        for (int attempt = 0; attempt < 64 && !apart; attempt++) {
            const float least = 0.45f - 0.005f * (float)attempt;
            for (int c = 0; c < 3; c++) color[k][c] = draw(rng, 0, 1);
            apart = true;
            for (int other = 0; other < k; other++)
                apart = apart && far_apart(color[k], color[other], least);
        }
    }
    for (int i = 0; i < scene->size * scene->size; i++)
        memcpy(scene->canvas + 3 * i, color[ids[i]], sizeof color[0]);
}

static uint8_t to_byte(float value) {
    return (uint8_t)(255 * clamp01(value) + 0.5f);
}

// About a normal deviate of deviation 1: four bytes summed, 147.8 being their deviation.
static float grain(Rng *rng) {
    const uint32_t u = rng_u32(rng);
    const int sum = (int)((u & 255) + (u >> 8 & 255) + (u >> 16 & 255) + (u >> 24));
    return (float)(sum - 510) * (1 / 147.8f);
}

static void develop(const Scene *scene, float noise, Rng *rng, uint8_t *pixels) {
    const int values = 3 * scene->size * scene->size;
    if (noise > 0)
        for (int i = 0; i < values; i++) pixels[i] = to_byte(scene->canvas[i] + noise * grain(rng));
    else
        for (int i = 0; i < values; i++) pixels[i] = to_byte(scene->canvas[i]);
}

// Brush strokes move pixels about, few colours are left, and the canvas shows through.
static void develop_painting(const Scene *scene, Rng *rng, uint8_t *pixels) {
    const float offset = draw(rng, 0, 1);
    for (int i = 0; i < scene->size * scene->size; i++) {
        const float *from = scene->canvas + 3 * scene->source[i];
        const float weave = 0.92f + 0.16f * (float)(rng_u32(rng) >> 8) * (1.0f / 16777216);
        for (int c = 0; c < 3; c++) {
            const float level = floorf(5 * clamp01(from[c]) + offset) + 0.5f - offset;
            pixels[3 * i + c] = to_byte(weave * level / 5);
        }
    }
}

void scene_paint(Scene *scene, const int32_t *ids, Rng *rng, uint8_t *pixels) {
    switch (scene->style) {
    case STYLE_xray:
        paint_xray(scene, rng);
        break;
    case STYLE_lineart:
        paint_lineart(scene, rng);
        break;
    case STYLE_poster:
        paint_poster(scene, rng);
        break;
    case STYLE_colormap:
        paint_colormap(scene, ids, rng);
        break;
    default:
        paint_photo(scene, rng);
        break;
    }
    const bool drawn = scene->style == STYLE_xray || scene->style == STYLE_lineart;
    const bool flat = scene->style == STYLE_poster || scene->style == STYLE_colormap;
    if (scene->style == STYLE_painting)
        develop_painting(scene, rng, pixels);
    else
        develop(scene, flat ? 0 : drawn ? 0.01f : 0.02f, rng, pixels);
}
