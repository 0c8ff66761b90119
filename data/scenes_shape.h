// SPDX-License-Identifier: MIT
// The shapes of the procedural scenes, as approximate signed distances (negative inside), and
// fields of them. Nothing here calls libm beyond sqrtf and floorf, which are exact, so that the
// same scene has the same bits whatever library it is linked with.
#ifndef DATA_SCENES_SHAPE_H
#define DATA_SCENES_SHAPE_H

#include "autograd/rng.h"

#include <stdbool.h>

// name, whether networks see it in training. Both halves hold hollow and elongated shapes.
#define SHAPE_LIST(SHAPE)  \
    SHAPE(ellipse, true)   \
    SHAPE(rectangle, true) \
    SHAPE(triangle, true)  \
    SHAPE(polygon, true)   \
    SHAPE(bar, true)       \
    SHAPE(frame, true)     \
    SHAPE(chevron, true)   \
    SHAPE(star, false)     \
    SHAPE(ring, false)     \
    SHAPE(crescent, false) \
    SHAPE(cross, false)    \
    SHAPE(corner, false)   \
    SHAPE(flower, false)

typedef enum {
#define SHAPE_ENUM(name, seen) SHAPE_##name,
    SHAPE_LIST(SHAPE_ENUM)
#undef SHAPE_ENUM
        SHAPE_COUNT
} ShapeFamily;

bool shape_family_seen(ShapeFamily family);

// A family drawn evenly from the seen ones, the unseen ones, or both.
ShapeFamily shape_family_draw(bool seen, bool unseen, Rng *rng);

enum { SHAPE_SIDES_MAX = 6 };

typedef struct {
    ShapeFamily family;
    float x, y, radius;              // pixels
    float ux, uy;                    // unit vector of the shape's own first axis
    float ratio, width;              // shares of the radius; what they mean depends on the family
    int sides;                       // of polygons, points of stars, petals of flowers
    float plane[SHAPE_SIDES_MAX][3]; // of polygons: outward normal and offset, radius 1
} Shape;

// Draws proportions and direction; position and radius are the caller's.
void shape_draw(Shape *shape, ShapeFamily family, Rng *rng);

// Approximate signed distance in pixels from (x, y).
float shape_distance(const Shape *shape, float x, float y);

// A uniformly distributed unit vector.
void unit_vector_draw(Rng *rng, float *ux, float *uy);

// low * (high / low)^u for uniform u.
float log_uniform_draw(Rng *rng, double low, double high);

// e^x by a series and squarings, for |x| below about 8; relative error below 1e-6.
float exp_series(float x);

#define FIELD_FAR 1e6f // the distance where nothing was added

// Signed distances at the centres of size x size pixels; box is the part that may not be far.
typedef struct {
    int size;
    float *distance; // [size, size], borrowed
    int x0, y0, x1, y1;
} Field;

void field_clear(Field *field, int size, float *distance);

// Union with a shape, known up to `margin` pixels outside of it.
void field_add_shape(Field *field, const Shape *shape, float margin);

// Union with a segment from (ax, ay) to (bx, by), thickened by width on each side.
void field_add_segment(Field *field, const float a[2], const float b[2], float width, float margin);

#endif
