// SPDX-License-Identifier: MIT
// Signed distances of the shapes. See scenes_shape.h.
#include "data/scenes_shape.h"

#include <math.h>

static const bool family_seen[SHAPE_COUNT] = {
#define SHAPE_SEEN(name, seen) seen,
    SHAPE_LIST(SHAPE_SEEN)
#undef SHAPE_SEEN
};

// Directions 2 pi k / n for n = 3..6, and half a step further (cosine and sine of pi / n).
static const float directions[4][SHAPE_SIDES_MAX][2] = {
    {{1, 0}, {-0.5f, 0.8660254f}, {-0.5f, -0.8660254f}},
    {{1, 0}, {0, 1}, {-1, 0}, {0, -1}},
    {{1, 0},
     {0.30901699f, 0.95105652f},
     {-0.80901699f, 0.58778525f},
     {-0.80901699f, -0.58778525f},
     {0.30901699f, -0.95105652f}},
    {{1, 0},
     {0.5f, 0.8660254f},
     {-0.5f, 0.8660254f},
     {-1, 0},
     {-0.5f, -0.8660254f},
     {0.5f, -0.8660254f}},
};
static const float half_step[4][2] = {
    {0.5f, 0.8660254f}, {0.70710678f, 0.70710678f}, {0.80901699f, 0.58778525f}, {0.8660254f, 0.5f}};

bool shape_family_seen(ShapeFamily family) {
    return family_seen[family];
}

ShapeFamily shape_family_draw(bool seen, bool unseen, Rng *rng) {
    ShapeFamily allowed[SHAPE_COUNT];
    int count = 0;
    for (int i = 0; i < SHAPE_COUNT; i++)
        if (family_seen[i] ? seen : unseen) allowed[count++] = (ShapeFamily)i;
    return allowed[rng_below(rng, (uint64_t)count)];
}

void unit_vector_draw(Rng *rng, float *ux, float *uy) {
    for (;;) {
        const double x = rng_range(rng, -1, 1);
        const double y = rng_range(rng, -1, 1);
        const double square = x * x + y * y;
        if (square > 1 || square < 0.01) continue;
        *ux = (float)(x / sqrt(square));
        *uy = (float)(y / sqrt(square));
        return;
    }
}

float exp_series(float x) {
    const float t = x / 32;
    float y = 1 + t * (1 + t * (0.5f + t * (1.0f / 6 + t / 24)));
    for (int i = 0; i < 5; i++) y *= y;
    return y;
}

float log_uniform_draw(Rng *rng, double low, double high) {
    // Bisection in the exponent: each bit of u multiplies by one further square root.
    double factor = high / low;
    double value = low;
    uint32_t u = rng_u32(rng);
    for (int i = 0; i < 32; i++, u <<= 1) {
        factor = sqrt(factor);
        if (u & 0x80000000u) value *= factor;
    }
    return (float)value;
}

// Half planes of a regular polygon, squeezed along the second axis.
static void polygon_draw(Shape *shape, int sides, float ratio) {
    for (int k = 0; k < sides; k++) {
        const float *a = directions[sides - 3][k];
        const float *b = directions[sides - 3][(k + 1) % sides];
        const float ex = b[0] - a[0];
        const float ey = ratio * (b[1] - a[1]);
        const float length = sqrtf(ex * ex + ey * ey);
        shape->plane[k][0] = ey / length;
        shape->plane[k][1] = -ex / length;
        shape->plane[k][2] = (ey * a[0] - ex * ratio * a[1]) / length;
    }
}

// Ranges of ratio, width and sides per family; 0 where the family has no such thing.
typedef struct {
    double ratio[2], width[2];
    int sides[2];
} Proportions;

static const Proportions proportions[SHAPE_COUNT] = {
    [SHAPE_ellipse] = {.ratio = {0.2, 1}},
    [SHAPE_rectangle] = {.ratio = {0.2, 0.9}},
    [SHAPE_triangle] = {.ratio = {0.4, 1}, .sides = {3, 3}},
    [SHAPE_polygon] = {.ratio = {0.4, 1}, .sides = {5, 6}},
    [SHAPE_bar] = {.width = {0.13, 0.27}},
    [SHAPE_frame] = {.ratio = {0.55, 0.9}, .width = {0.24, 0.32}},
    [SHAPE_chevron] = {.ratio = {0.3, 0.8}, .width = {0.18, 0.26}},
    [SHAPE_star] = {.sides = {4, 6}},
    [SHAPE_cross] = {.width = {0.25, 0.4}},
    [SHAPE_corner] = {.width = {0.5, 0.7}},
    [SHAPE_flower] = {.sides = {3, 5}},
};

void shape_draw(Shape *shape, ShapeFamily family, Rng *rng) {
    const Proportions *range = &proportions[family];
    *shape = (Shape){.family = family};
    unit_vector_draw(rng, &shape->ux, &shape->uy);
    shape->ratio = (float)rng_range(rng, range->ratio[0], range->ratio[1]);
    shape->width = (float)rng_range(rng, range->width[0], range->width[1]);
    const uint64_t choices = (uint64_t)(range->sides[1] - range->sides[0] + 1);
    shape->sides = range->sides[0] + (int)rng_below(rng, choices);
    if (family == SHAPE_triangle || family == SHAPE_polygon)
        polygon_draw(shape, shape->sides, shape->ratio);
}

static float box_distance(float x, float y, float half_width, float half_height) {
    const float dx = fabsf(x) - half_width;
    const float dy = fabsf(y) - half_height;
    if (dx > 0 && dy > 0) return sqrtf(dx * dx + dy * dy);
    return dx > dy ? dx : dy;
}

static float segment_distance(float x, float y, const float a[2], const float b[2]) {
    const float ex = b[0] - a[0];
    const float ey = b[1] - a[1];
    const float square = ex * ex + ey * ey;
    float t = square > 0 ? ((x - a[0]) * ex + (y - a[1]) * ey) / square : 0;
    t = t < 0 ? 0 : t > 1 ? 1 : t;
    const float dx = x - a[0] - t * ex;
    const float dy = y - a[1] - t * ey;
    return sqrtf(dx * dx + dy * dy);
}

// First order: value over the length of its gradient.
static float ellipse_distance(float x, float y, float ratio) {
    const float v = y / ratio;
    const float rho = sqrtf(x * x + v * v);
    if (rho < 1e-3f) return -ratio;
    const float gx = x / rho;
    const float gy = v / (rho * ratio);
    return (rho - 1) / sqrtf(gx * gx + gy * gy);
}

static float polygon_distance(const Shape *shape, float x, float y) {
    float distance = -1e3f;
    for (int k = 0; k < shape->sides; k++) {
        const float *plane = shape->plane[k];
        const float d = plane[0] * x + plane[1] * y - plane[2];
        if (d > distance) distance = d;
    }
    return distance;
}

// Folded into half a point: the line from the tip (1.15, 0) to the notch at 0.5.
static float star_distance(float x, float y, int points) {
    float along = -1e3f;
    float across = 0;
    for (int k = 0; k < points; k++) {
        const float *u = directions[points - 3][k];
        const float c = x * u[0] + y * u[1];
        if (c <= along) continue;
        along = c;
        across = fabsf(x * u[1] - y * u[0]);
    }
    const float ex = 0.5f * half_step[points - 3][0] - 1.15f;
    const float ey = 0.5f * half_step[points - 3][1];
    return ((along - 1.15f) * ey - across * ex) / sqrtf(ex * ex + ey * ey);
}

static float crescent_distance(float x, float y) {
    const float outer = sqrtf(x * x + y * y) - 1;
    const float inner = 0.8f - sqrtf((x - 0.55f) * (x - 0.55f) + y * y);
    return outer > inner ? outer : inner;
}

static float frame_distance(float x, float y, float ratio, float width) {
    const float outer = box_distance(x, y, 1, ratio);
    const float inner = -box_distance(x, y, 1 - width, ratio - width);
    return outer > inner ? outer : inner;
}

static float chevron_distance(float x, float y, float ratio, float width) {
    const float tip[2] = {-ratio, 0};
    const float end[2] = {ratio, 0.85f};
    return segment_distance(x, fabsf(y), tip, end) - width;
}

static float cross_distance(float x, float y, float width) {
    const float a = box_distance(x, y, 1, width);
    const float b = box_distance(x, y, width, 1);
    return a < b ? a : b;
}

static float corner_distance(float x, float y, float notch) {
    const float outer = box_distance(x, y, 0.85f, 0.85f);
    const float cut_x = 0.85f - 1.7f * notch;
    const float cx = cut_x - x;
    const float cy = cut_x - y;
    const float inner = cx > cy ? -cx : -cy;
    return outer > inner ? outer : inner;
}

// r = 0.78 + 0.27 cos(m t); the cosine as the real part of (x + iy)^m / rho^m.
static float flower_distance(float x, float y, int petals) {
    const float rho = sqrtf(x * x + y * y);
    if (rho < 1e-3f) return -0.5f;
    const float c = x / rho;
    const float s = y / rho;
    float real = 1;
    float imaginary = 0;
    for (int k = 0; k < petals; k++) {
        const float next = real * c - imaginary * s;
        imaginary = real * s + imaginary * c;
        real = next;
    }
    return 0.8f * (rho - 0.78f - 0.27f * real);
}

static float unit_distance(const Shape *shape, float x, float y) {
    static const float bar_end[2][2] = {{-0.8f, 0}, {0.8f, 0}};
    switch (shape->family) {
    case SHAPE_ellipse:
        return ellipse_distance(x, y, shape->ratio);
    case SHAPE_rectangle:
        return box_distance(x, y, 1, shape->ratio);
    case SHAPE_bar:
        return segment_distance(x, y, bar_end[0], bar_end[1]) - shape->width;
    case SHAPE_frame:
        return frame_distance(x, y, shape->ratio, shape->width);
    case SHAPE_chevron:
        return chevron_distance(x, y, shape->ratio, shape->width);
    case SHAPE_star:
        return star_distance(x, y, shape->sides);
    case SHAPE_ring:
        return fabsf(sqrtf(x * x + y * y) - 0.72f) - 0.28f;
    case SHAPE_crescent:
        return crescent_distance(x, y);
    case SHAPE_cross:
        return cross_distance(x, y, shape->width);
    case SHAPE_corner:
        return corner_distance(x, y, shape->width);
    case SHAPE_flower:
        return flower_distance(x, y, shape->sides);
    default:
        return polygon_distance(shape, x, y);
    }
}

float shape_distance(const Shape *shape, float x, float y) {
    const float dx = (x - shape->x) / shape->radius;
    const float dy = (y - shape->y) / shape->radius;
    const float along = dx * shape->ux + dy * shape->uy;
    const float across = dy * shape->ux - dx * shape->uy;
    return shape->radius * unit_distance(shape, along, across);
}

void field_clear(Field *field, int size, float *distance) {
    *field = (Field){.size = size, .distance = distance, .x0 = size, .y0 = size};
    for (int i = 0; i < size * size; i++) distance[i] = FIELD_FAR;
}

static int clamp_to(float value, int size) {
    return value < 0 ? 0 : value > (float)size ? size : (int)value;
}

// The pixels of [x0, x1] x [y0, y1], as box; widens the field's own.
static void field_widen(Field *field, float x0, float y0, float x1, float y1, int box[4]) {
    box[0] = clamp_to(floorf(x0), field->size);
    box[1] = clamp_to(floorf(y0), field->size);
    box[2] = clamp_to(floorf(x1) + 1, field->size);
    box[3] = clamp_to(floorf(y1) + 1, field->size);
    if (box[0] >= box[2] || box[1] >= box[3]) return;
    if (box[0] < field->x0) field->x0 = box[0];
    if (box[1] < field->y0) field->y0 = box[1];
    if (box[2] > field->x1) field->x1 = box[2];
    if (box[3] > field->y1) field->y1 = box[3];
}

void field_add_shape(Field *field, const Shape *shape, float margin) {
    const float reach = 1.45f * shape->radius + margin;
    int box[4];
    field_widen(field, shape->x - reach, shape->y - reach, shape->x + reach, shape->y + reach, box);
    for (int y = box[1]; y < box[3]; y++) {
        float *row = field->distance + y * field->size;
        for (int x = box[0]; x < box[2]; x++) {
            const float d = shape_distance(shape, (float)x + 0.5f, (float)y + 0.5f);
            if (d < row[x]) row[x] = d;
        }
    }
}

void field_add_segment(Field *field, const float a[2], const float b[2], float width,
                       float margin) {
    const float reach = width + margin;
    int box[4];
    field_widen(field, (a[0] < b[0] ? a[0] : b[0]) - reach, (a[1] < b[1] ? a[1] : b[1]) - reach,
                (a[0] > b[0] ? a[0] : b[0]) + reach, (a[1] > b[1] ? a[1] : b[1]) + reach, box);
    for (int y = box[1]; y < box[3]; y++) {
        float *row = field->distance + y * field->size;
        for (int x = box[0]; x < box[2]; x++) {
            const float d = segment_distance((float)x + 0.5f, (float)y + 0.5f, a, b) - width;
            if (d < row[x]) row[x] = d;
        }
    }
}
