// SPDX-License-Identifier: MIT
// The textures of the procedural scenes: at every point a mixture of two colours.
#ifndef DATA_SCENES_TEXTURE_H
#define DATA_SCENES_TEXTURE_H

#include "autograd/rng.h"

#define TEXTURE_LIST(TEXTURE) \
    TEXTURE(noise)            \
    TEXTURE(fine_noise)       \
    TEXTURE(stripes)          \
    TEXTURE(checks)           \
    TEXTURE(spots)            \
    TEXTURE(ramp)             \
    TEXTURE(flat)

typedef enum {
#define TEXTURE_ENUM(name) TEXTURE_##name,
    TEXTURE_LIST(TEXTURE_ENUM)
#undef TEXTURE_ENUM
        TEXTURE_COUNT
} TextureKind;

typedef struct {
    TextureKind kind;
    float color[2][3]; // RGB in 0..1
    float ux, uy;      // direction of stripes and ramps
    float x, y;        // origin, pixels
    float period;      // pixels; of a ramp its length
    float cell;        // pixels between the nodes of the coarse noise
    uint32_t seed;
} Texture;

// Draws everything but the colours. scale: pixels per 1/64 of the image's side; x, y: the origin;
// length: of a ramp, in pixels.
void texture_draw(Texture *texture, float x, float y, float length, float scale, Rng *rng);

// Colour at (x, y), RGB.
void texture_color(const Texture *texture, float x, float y, float rgb[3]);

// Smooth noise in 0..1 with nodes at whole x and y.
float value_noise(uint32_t seed, float x, float y);

#endif
