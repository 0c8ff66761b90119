// SPDX-License-Identifier: MIT
// Textures. See scenes_texture.h.
#include "data/scenes_texture.h"

#include "data/scenes_shape.h"

#include <math.h>

static float clamp01(float value) {
    return value < 0 ? 0 : value > 1 ? 1 : value;
}

// Integer hash with the multipliers of MurmurHash3's finalizer (Appleby, public domain).
static float node(uint32_t seed, int32_t x, int32_t y) {
    uint32_t h = seed + (uint32_t)x * 0x9e3779b1u + (uint32_t)y * 0x85ebca77u;
    h = (h ^ (h >> 16)) * 0x85ebca6bu;
    h = (h ^ (h >> 13)) * 0xc2b2ae35u;
    return (float)((h ^ (h >> 16)) >> 8) * (1.0f / 16777216);
}

float value_noise(uint32_t seed, float x, float y) {
    const float fx = floorf(x);
    const float fy = floorf(y);
    const int32_t ix = (int32_t)fx;
    const int32_t iy = (int32_t)fy;
    float u = x - fx;
    float v = y - fy;
    u = u * u * (3 - 2 * u);
    v = v * v * (3 - 2 * v);
    const float a = node(seed, ix, iy);
    const float b = node(seed, ix + 1, iy);
    const float c = node(seed, ix, iy + 1);
    const float d = node(seed, ix + 1, iy + 1);
    return (a + u * (b - a)) * (1 - v) + (c + u * (d - c)) * v;
}

void texture_draw(Texture *texture, float x, float y, float length, float scale, Rng *rng) {
    texture->kind = (TextureKind)rng_below(rng, TEXTURE_COUNT);
    unit_vector_draw(rng, &texture->ux, &texture->uy);
    texture->period = (float)rng_range(rng, 4.5, 10) * scale;
    if (texture->kind == TEXTURE_ramp) texture->period = length;
    texture->cell = 8 * scale;
    texture->x = x;
    texture->y = y;
    texture->seed = rng_u32(rng);
}

// Square wave of period 1 with edges of width `soft`; 0..1.
static float wave(float phase, float soft) {
    const float t = fabsf(phase - floorf(phase) - 0.5f) - 0.25f;
    return clamp01(0.5f + t / soft);
}

// Noise between two colours spends most of its values near the middle; this spreads them.
static float contrast(float t) {
    return clamp01(0.5f + 2.2f * (t - 0.5f));
}

static float spots(float x, float y) {
    const float dx = x - floorf(x) - 0.5f;
    const float dy = y - floorf(y) - 0.5f;
    return sqrtf(dx * dx + dy * dy);
}

static float texture_mix(const Texture *texture, float x, float y) {
    const float px = x - texture->x;
    const float py = y - texture->y;
    const float u = (px * texture->ux + py * texture->uy) / texture->period;
    const float v = (py * texture->ux - px * texture->uy) / texture->period;
    const float soft = 1 / texture->period;
    const float cell = texture->cell;
    switch (texture->kind) {
    case TEXTURE_noise:
        return contrast(value_noise(texture->seed, x / cell, y / cell));
    case TEXTURE_fine_noise:
        return contrast(0.6f * value_noise(texture->seed, 2 * x / cell, 2 * y / cell) +
                        0.4f * value_noise(texture->seed + 1, 4 * x / cell, 4 * y / cell));
    case TEXTURE_stripes:
        return wave(u, soft);
    case TEXTURE_checks: {
        const float a = wave(u, soft);
        const float b = wave(v, soft);
        return a + b - 2 * a * b;
    }
    case TEXTURE_spots:
        return clamp01((spots(u, v) - 0.3f) * texture->period + 0.5f);
    case TEXTURE_ramp:
        return clamp01(0.5f + 0.5f * u);
    default:
        return 0;
    }
}

void texture_color(const Texture *texture, float x, float y, float rgb[3]) {
    const float t = texture_mix(texture, x, y);
    for (int c = 0; c < 3; c++)
        rgb[c] = texture->color[0][c] + t * (texture->color[1][c] - texture->color[0][c]);
}
