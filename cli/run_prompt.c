// SPDX-License-Identifier: MIT
// Components of prompting and scoring: filters, queries and masks of feature images, where to
// click, edges. 8-bit pictures are [H,W,C] in files too; points are (x, y).
#include "base/error.h"
#include "base/memory.h"
#include "cli/run.h"
#include "cli/run_inputs.h"
#include "eval/components.h"
#include "eval/config.h"
#include "eval/distance_transform.h"
#include "eval/edges.h"
#include "eval/gaussian_query.h"
#include "eval/joint_bilateral.h"
#include "eval/posthoc.h"
#include "eval/prompter.h"

#include <stdlib.h>

enum { MAX_SIDE = 65535 };

// ---- reading what the tables below declare ------------------------------------------------------

// The masks "name" [N,H,W], which live as long as the run. NULL and an error when sides are too
// long.
static const uint8_t *masks_of(Run *run, const char *name, int64_t *shape) {
    const SafeTensor *stored = run_stored(run, name);
    if (!stored) return NULL;
    for (int i = 0; i < 3; i++) shape[i] = stored->shape[i];
    if (shape[1] > MAX_SIDE || shape[2] > MAX_SIDE)
        return error_null("%s: sides up to %d are taken", name, MAX_SIDE);
    return stored->data;
}

// Points [P,2], at most EVAL_MAX_POINTS; *count of them.
static int points_of(Run *run, PixelPoint *points, int *count) {
    int32_t values[2 * EVAL_MAX_POINTS];
    const Tensor *tensor = run_tensor(run, "points");
    if (!tensor) return -1;
    if (tensor->shape[0] > EVAL_MAX_POINTS)
        return error_int("points: there are %lld, at most %d are taken",
                         (long long)tensor->shape[0], EVAL_MAX_POINTS);
    if (tensor_read(tensor, values)) return -1;
    *count = (int)tensor->shape[0];
    for (int i = 0; i < *count; i++) points[i] = (PixelPoint){values[2 * i], values[2 * i + 1]};
    return 0;
}

// ---- joint_bilateral ----------------------------------------------------------------------------

static int bilateral(Run *run, const void *keys) {
    (void)keys;
    Image guide = {0};
    const SafeTensor *source = run_stored(run, "source");
    int result = source ? run_picture(run, "guide", &guide) : -1;
    uint8_t *out = result == 0 ? array_new((size_t)source->numel, 1) : NULL;
    if (out) result = joint_bilateral(&guide, source->data, out);
    if (result == 0)
        result = out ? run_output_values(run, "filtered", SAFE_U8, 2, source->shape, out) : -1;
    free(out);
    image_free(&guide);
    return result;
}

// ---- gaussian_query, point_mask -----------------------------------------------------------------

#define QUERY_KEYS(KEY) \
    KEY(DOUBLE, sigma, "sigma", "0.01", "(0, 1]", "deviation over the image's sides")
#define MASK_KEYS(KEY)                                                                           \
    QUERY_KEYS(KEY)                                                                              \
    KEY(CHOICE, similarity, "similarity", "paper", "paper|code", "clamped, or as released")      \
    KEY(INT, threshold, "threshold", "3", "[0, 255]", "a pixel is in the mask when it is above") \
    KEY(BOOL, component, "component", "false", "", "only what is connected with a point")
typedef struct {
    QUERY_KEYS(CONFIG_FIELD)
} QueryKeys;
typedef struct {
    MASK_KEYS(CONFIG_FIELD)
} MaskKeys;
#define QUERY_ROW(...) CONFIG_ROW(QueryKeys, __VA_ARGS__)
#define MASK_ROW(...) CONFIG_ROW(MaskKeys, __VA_ARGS__)
static const ConfigKey query_rows[] = {QUERY_KEYS(QUERY_ROW)};
static const ConfigKey mask_rows[] = {MASK_KEYS(MASK_ROW)};
static const ConfigTable query_table = {query_rows, sizeof query_rows / sizeof *query_rows};
static const ConfigTable mask_table = {mask_rows, sizeof mask_rows / sizeof *mask_rows};

static int query(Run *run, const void *given) {
    const QueryKeys *keys = given;
    Image features = {0};
    PixelPoint points[EVAL_MAX_POINTS];
    int count = 0;
    double values[3];
    const int64_t shape[] = {3};
    int result = points_of(run, points, &count);
    if (result == 0) result = run_picture(run, "features", &features);
    if (result == 0) result = gaussian_query(&features, points, count, keys->sigma, values);
    if (result == 0) result = run_output_values(run, "query", SAFE_F64, 1, shape, values);
    image_free(&features);
    return result;
}

static int output_masks(Run *run, const Image *features, const PixelPoint *points, int count,
                        const PosthocOptions *options) {
    const int64_t shape[] = {features->height, features->width};
    uint8_t *map = array_new((size_t)(shape[0] * shape[1]), 1);
    int result = map ? posthoc_map(features, points, count, options, map) : -1;
    if (result == 0) result = run_output_values(run, "map", SAFE_U8, 2, shape, map);
    if (result == 0) result = posthoc_mask(features, points, count, options, map);
    if (result == 0) result = run_output_values(run, "mask", SAFE_U8, 2, shape, map);
    free(map);
    return result;
}

static int point_mask(Run *run, const void *given) {
    const MaskKeys *keys = given;
    const PosthocOptions options = {.sigma = keys->sigma,
                                    .form = keys->similarity ? SIMILARITY_CODE : SIMILARITY_PAPER,
                                    .threshold = (int)keys->threshold,
                                    .component = keys->component};
    Image features = {0};
    PixelPoint points[EVAL_MAX_POINTS];
    int count = 0;
    int result = points_of(run, points, &count);
    if (result == 0) result = run_picture(run, "features", &features);
    if (result == 0) result = output_masks(run, &features, points, count, &options);
    image_free(&features);
    return result;
}

// ---- next_point, components, distance -----------------------------------------------------------

static int next_point(Run *run, const void *keys) {
    (void)keys;
    int64_t shape[3] = {0}, other[3];
    const uint8_t *truths = masks_of(run, "truth", shape);
    const uint8_t *predictions = truths ? masks_of(run, "prediction", other) : NULL;
    int32_t *points = predictions ? array_new((size_t)shape[0] * 2, sizeof *points) : NULL;
    int result = points ? 0 : -1;
    const int64_t pixels = shape[1] * shape[2], answer[] = {shape[0], 2};
    for (int64_t n = 0; n < shape[0] && result == 0; n++) {
        PixelPoint point = {-1, -1};
        if (prompt_next(truths + n * pixels, predictions + n * pixels, NULL, (int)shape[2],
                        (int)shape[1], &point) < 0)
            result = -1;
        points[2 * n] = point.x;
        points[2 * n + 1] = point.y;
    }
    if (result == 0) result = run_output_values(run, "points", SAFE_I32, 2, answer, points);
    free(points);
    return result;
}

typedef int MapOfMask(const uint8_t *mask, int width, int height, int32_t *map);

static int map_masks(Run *run, MapOfMask *map, const char *output) {
    int64_t shape[3];
    const uint8_t *masks = masks_of(run, "masks", shape);
    if (!masks) return -1;
    const int64_t pixels = shape[1] * shape[2];
    int32_t *maps = array_new((size_t)(shape[0] * pixels), sizeof *maps);
    int result = maps ? 0 : -1;
    for (int64_t n = 0; n < shape[0] && result == 0; n++)
        if (map(masks + n * pixels, (int)shape[2], (int)shape[1], maps + n * pixels) < 0)
            result = -1;
    if (result == 0) result = run_output_values(run, output, SAFE_I32, 3, shape, maps);
    free(maps);
    return result;
}

static int label_components(Run *run, const void *keys) {
    (void)keys;
    return map_masks(run, components_label, "labels");
}

static int distance(Run *run, const void *keys) {
    (void)keys;
    return map_masks(run, distance_transform, "squared");
}

// ---- edges --------------------------------------------------------------------------------------

static int edges(Run *run, const void *keys) {
    (void)keys;
    Image image = {0};
    if (run_picture(run, "image", &image)) return -1;
    const int64_t shape[] = {image.height, image.width};
    float *strength = array_new((size_t)(shape[0] * shape[1]), sizeof *strength);
    int result = strength ? edges_find(&image, strength) : -1;
    if (result == 0) result = run_output_values(run, "strength", SAFE_F32, 2, shape, strength);
    free(strength);
    image_free(&image);
    return result;
}

// ---- the table ----------------------------------------------------------------------------------

static const Component components[] = {
    {.name = "joint_bilateral",
     .help = "the filter of point prompting: d 9, both sigmas 75",
     .inputs = {{"guide", RUN_BYTE, "H,W,3", false, NULL},
                {"source", RUN_BYTE, "H,W", false, NULL}},
     .outputs = {{"filtered", RUN_BYTE, "H,W", false, NULL}},
     .run = bilateral},
    {.name = "gaussian_query",
     .help = "the mean colour of a feature image under Gaussians at points",
     .inputs = {{"features", RUN_BYTE, "H,W,3", false, NULL},
                {"points", RUN_INTEGER, "P,2", false, "x, y"}},
     .outputs = {{"query", RUN_FLOAT, "3", false, NULL}},
     .keys = &query_table,
     .keys_size = sizeof(QueryKeys),
     .run = query},
    {.name = "point_mask",
     .help = "gen2seg's point prompting: query, similarity, filter, threshold",
     .inputs = {{"features", RUN_BYTE, "H,W,3", false, NULL},
                {"points", RUN_INTEGER, "P,2", false, "x, y"}},
     .outputs = {{"map", RUN_BYTE, "H,W", false, "the filtered similarity"},
                 {"mask", RUN_BYTE, "H,W", false, "0 or 1"}},
     .keys = &mask_table,
     .keys_size = sizeof(MaskKeys),
     .run = point_mask},
    {.name = "next_point",
     .help = "the interior-most pixel of the largest part of a mask that is not covered yet",
     .inputs = {{"truth", RUN_BYTE, "N,H,W", false, "0 or not"},
                {"prediction", RUN_BYTE, "N,H,W", false, "0 or not; all 0 for the first point"}},
     .outputs = {{"points", RUN_INTEGER, "N,2", false, "x, y; -1, -1 when all is covered"}},
     .run = next_point},
    {.name = "components",
     .help = "8-connected components, 1, 2, ... by their first pixel",
     .inputs = {{"masks", RUN_BYTE, "N,H,W", false, "0 or not"}},
     .outputs = {{"labels", RUN_INTEGER, "N,H,W", false, NULL}},
     .run = label_components},
    {.name = "distance",
     .help = "squared distance to the nearest pixel outside the mask or the image",
     .inputs = {{"masks", RUN_BYTE, "N,H,W", false, "0 or not"}},
     .outputs = {{"squared", RUN_INTEGER, "N,H,W", false, NULL}},
     .run = distance},
    {.name = "edges",
     .help = "thin edges: Sobel and non-maximum suppression",
     .inputs = {{"image", RUN_BYTE, "H,W,C", false, "1 or 3 channels"}},
     .outputs = {{"strength", RUN_FLOAT, "H,W", false, "0, or the gradient over the largest"}},
     .run = edges},
};

const ComponentGroup components_prompt = {components, sizeof components / sizeof components[0]};
