// SPDX-License-Identifier: MIT
// p2s bench loss: the instance coloring loss with its gradient, on regions of random points or on
// the inputs of another program.
#include "cli/bench.h"

#include "autograd/backend.h"
#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/clock.h"
#include "cli/machine.h"
#include "nn/safetensors.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    int64_t n, height, width;
    float *prediction; // [H,W,3], 0..255
    int32_t *labels;   // [H,W]
    Tensor *prediction_leaf, *label_leaf;
    double value; // of the last run
} LossInputs;

static void inputs_done(LossInputs *inputs) {
    free(inputs->prediction);
    free(inputs->labels);
    tensor_free(inputs->prediction_leaf);
    tensor_free(inputs->label_leaf);
}

static int inputs_new(LossInputs *inputs, int64_t n, int64_t height, int64_t width) {
    const size_t pixels = (size_t)height * (size_t)width;
    *inputs = (LossInputs){.n = n,
                           .height = height,
                           .width = width,
                           .prediction = array_new(3 * pixels, sizeof *inputs->prediction),
                           .labels = array_new(pixels, sizeof *inputs->labels)};
    return inputs->prediction && inputs->labels ? 0 : -1;
}

static int make_inputs(const BenchOptions *options, int64_t n, LossInputs *inputs) {
    if (inputs_new(inputs, n, options->height, options->width) != 0) return -1;
    Rng rng = rng_stream(1, "bench prediction", 0, 0);
    for (int64_t i = 0; i < 3 * options->height * options->width; i++)
        inputs->prediction[i] = (float)(255 * rng_uniform(&rng));
    return bench_voronoi(n, options->height, options->width, 7, inputs->labels);
}

// ---- inputs of another program ------------------------------------------------------------------

// A tensor [3,H,W] of that type under "name.n".
static const SafeTensor *find_input(const SafeFile *file, const char *name, int64_t n,
                                    SafeType type) {
    char key[64];
    snprintf(key, sizeof key, "%s.%lld", name, (long long)n);
    const SafeTensor *found = safetensors_find(file, key);
    if (!found) return error_null("%s: there is no tensor %s", safetensors_path(file), key);
    if (found->type != type || found->ndim != 3 || found->shape[0] != 3)
        return error_null("%s: %s must be %s [3,H,W]", safetensors_path(file), key,
                          safe_type_name(type));
    return found;
}

static int compare_colors(const void *left, const void *right) {
    const int32_t a = *(const int32_t *)left, b = *(const int32_t *)right;
    return (a > b) - (a < b);
}

// Colours [3,H,W] to dense ids in the order of (red, green, blue); black is background, 0.
static int number_colors(const uint8_t *colors, int64_t pixels, int32_t *labels) {
    int32_t *sorted = array_new((size_t)pixels, sizeof *sorted);
    if (!sorted) return -1;
    for (int64_t i = 0; i < pixels; i++)
        labels[i] = sorted[i] = colors[i] << 16 | colors[pixels + i] << 8 | colors[2 * pixels + i];
    qsort(sorted, (size_t)pixels, sizeof *sorted, compare_colors);
    int64_t count = 0;
    for (int64_t i = 0; i < pixels; i++)
        if (i == 0 || sorted[i] != sorted[i - 1]) sorted[count++] = sorted[i];
    const int32_t first = count > 0 && sorted[0] == 0 ? 0 : 1;
    for (int64_t i = 0; i < pixels; i++) {
        const int32_t *place =
            bsearch(&labels[i], sorted, (size_t)count, sizeof *sorted, compare_colors);
        labels[i] = (int32_t)(place - sorted) + first;
    }
    free(sorted);
    return 0;
}

static int read_inputs(const SafeFile *file, int64_t n, LossInputs *inputs) {
    const SafeTensor *target = find_input(file, "target", n, SAFE_U8);
    const SafeTensor *prediction = target ? find_input(file, "prediction", n, SAFE_F32) : NULL;
    if (!prediction) return -1;
    const int64_t height = target->shape[1], width = target->shape[2], pixels = height * width;
    if (prediction->shape[1] != height || prediction->shape[2] != width)
        return error_int("%s: target.%lld and prediction.%lld differ in size",
                         safetensors_path(file), (long long)n, (long long)n);
    if (inputs_new(inputs, n, height, width) != 0) return -1;
    float *planes = array_new((size_t)(3 * pixels), sizeof *planes);
    if (!planes) return -1;
    safetensors_read_float(prediction, planes);
    for (int64_t i = 0; i < pixels; i++)
        for (int c = 0; c < 3; c++) inputs->prediction[3 * i + c] = planes[c * pixels + i];
    free(planes);
    return number_colors(target->data, pixels, inputs->labels);
}

// ---- timing -------------------------------------------------------------------------------------

static int to_device(LossInputs *inputs) {
    inputs->prediction_leaf = tensor_new(SHAPE(F32, 1, inputs->height, inputs->width, 3));
    inputs->label_leaf = tensor_new(SHAPE(I32, 1, inputs->height, inputs->width));
    if (!inputs->prediction_leaf || !inputs->label_leaf) return -1;
    inputs->prediction_leaf->needs_grad = true;
    return tensor_write_float(inputs->prediction_leaf, inputs->prediction) == 0
               ? tensor_write(inputs->label_leaf, inputs->labels)
               : -1;
}

static double run(void *context) {
    LossInputs *inputs = context;
    ColoringOptions options = coloring_options_default(COLORING_CODE);
    options.cap = 0; // as in training: every region counts, however many there are
    const double start = clock_seconds();
    tape_record(true);
    Tensor *loss =
        op_coloring_loss(inputs->prediction_leaf, inputs->label_leaf, NONE, NONE, options);
    if (loss) inputs->value = tensor_item(loss);
    const int result = loss ? tape_backward(loss) : -1;
    const double seconds = clock_seconds() - start;
    tape_record(false);
    tape_reset();
    tensor_clear_grad(inputs->prediction_leaf);
    return result == 0 ? seconds : -1;
}

static int bench_one(const BenchOptions *options, LossInputs *inputs) {
    if (to_device(inputs) != 0) return -1;
    if (backend_current()->trim) backend_current()->trim(); // so that growth is all of it
    machine_reset_peak_rss();
    const int64_t before = machine_peak_rss();
    const double first = run(inputs);
    const int64_t growth = machine_peak_rss() - before;
    const double warm =
        first < 0 ? -1 : bench_median(run, inputs, options->seconds < 0 ? 1 : options->seconds, 3);
    if (warm < 0) return -1;
    char size[32];
    snprintf(size, sizeof size, "%lldx%lld", (long long)inputs->height, (long long)inputs->width);
    return bench_say(options, json_pack("{s:s,s:I,s:s,s:f,s:f,s:f,s:I}", "case", "loss", "n",
                                        (json_int_t)inputs->n, "size", size, "seconds", first,
                                        "warm_seconds", warm, "value", inputs->value, "rss_growth",
                                        (json_int_t)growth));
}

int bench_loss(const BenchOptions *options) {
    const Integers usual = {.items = {50, 1000}, .count = 2};
    const Integers *list = options->n.count > 0 ? &options->n : &usual;
    SafeFile *file = options->inputs ? safetensors_open(options->inputs) : NULL;
    int result = options->inputs && !file ? -1 : 0;
    for (int i = 0; result == 0 && i < list->count; i++) {
        LossInputs inputs = {0};
        result = file ? read_inputs(file, list->items[i], &inputs)
                      : make_inputs(options, list->items[i], &inputs);
        if (result == 0) result = bench_one(options, &inputs);
        inputs_done(&inputs);
    }
    safetensors_close(file);
    return result;
}
