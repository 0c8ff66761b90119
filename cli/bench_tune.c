// SPDX-License-Identifier: MIT
// p2s bench tune: every way of every convolution pass that a training step takes, timed; the
// fastest of each become a table that P2S_CHOICES names.
#include "cli/bench.h"

#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "cpu/conv_table.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CASES = 1024, LINE_ROOM = 256, SAMPLES = 64 };

typedef struct {
    ConvCase cases[MOST_CASES];
    int count;
    bool full; // there were more
} Seen;

static void see(const ConvCase *key, void *context) {
    Seen *seen = context;
    for (int i = 0; i < seen->count; i++)
        if (conv_case_same(&seen->cases[i], key)) return;
    seen->full = seen->count == MOST_CASES;
    if (!seen->full) seen->cases[seen->count++] = *key;
}

// ---- one pass -----------------------------------------------------------------------------------

typedef struct {
    const ConvCase *key;
    Tensor *x, *weight, *dy, *written; // written: a view of what the pass wrote last
    float *values;                     // a copy of it
} Work;

static Tensor *random_leaf(int ndim, const int64_t *shape, const char *name) {
    Tensor *leaf = tensor_new(F32, ndim, shape);
    Rng rng = rng_stream(1, name, 0, 0);
    for (int64_t i = 0; leaf && i < tensor_numel(leaf); i++)
        ((float *)leaf->data)[i] = (float)rng_range(&rng, -1, 1);
    return leaf;
}

static void work_done(Work *work) {
    tensor_free(work->x);
    tensor_free(work->weight);
    tensor_free(work->dy);
    free(work->values);
    tape_reset();
}

static int work_begin(Work *work, const ConvCase *key) {
    const ConvShape *s = &key->shape;
    const int64_t scale = key->upsampled ? 2 : 1;
    *work = (Work){.key = key,
                   .x = random_leaf(DIMS(s->N, s->H / scale, s->W / scale, s->Ci), "x"),
                   .weight = random_leaf(DIMS(s->Co, s->kh, s->kw, s->Ci), "weight"),
                   .dy = random_leaf(DIMS(s->N, s->Ho, s->Wo, s->Co), "dy")};
    if (!work->x || !work->weight || !work->dy) return -1;
    work->x->needs_grad = key->pass == CONV_INPUT_GRADIENT;
    work->weight->needs_grad = key->pass == CONV_WEIGHT_GRADIENT;
    work->written = key->pass == CONV_FORWARD          ? work->dy
                    : key->pass == CONV_INPUT_GRADIENT ? work->x
                                                       : work->weight;
    work->values = array_new((size_t)tensor_numel(work->written), sizeof *work->values);
    return work->values ? 0 : -1;
}

static double run(void *context) {
    Work *work = context;
    const ConvShape *s = &work->key->shape;
    const Conv2dOptions options = {(int)s->stride, (int)s->top,   (int)s->left,
                                   (int)s->bottom, (int)s->right, work->key->upsampled};
    tape_record(true);
    double start = clock_seconds();
    Tensor *y = op_conv2d(work->x, work->weight, NONE, NONE, options);
    if (y && work->key->pass != CONV_FORWARD) {
        start = clock_seconds();
        if (tape_backward_from(y, work->dy) != 0) y = NULL;
    }
    const double seconds = clock_seconds() - start;
    const Tensor *written = work->key->pass == CONV_FORWARD ? y : work->written->grad;
    if (y) memcpy(work->values, written->data, tensor_bytes(written));
    tape_record(false);
    tensor_clear_grad(work->x);
    tensor_clear_grad(work->weight);
    tape_reset();
    return y ? seconds : -1;
}

// ---- error --------------------------------------------------------------------------------------

// The pixel of x that result pixel (n, oy, ox) meets at kernel position (ky, kx); false in the
// padding.
static bool locate(const ConvCase *key, int64_t n, int64_t oy, int64_t ox, int64_t ky, int64_t kx,
                   int64_t *pixel) {
    const ConvShape *s = &key->shape;
    const int64_t h = oy * s->stride + ky - s->top, w = ox * s->stride + kx - s->left;
    const int shift = key->upsampled;
    if (h < 0 || w < 0 || h >= s->H || w >= s->W) return false;
    *pixel = (n * (s->H >> shift) + (h >> shift)) * (s->W >> shift) + (w >> shift);
    return true;
}

// One element of the forward pass, in double.
static double exact_forward(const Work *work, int64_t index) {
    const ConvShape *s = &work->key->shape;
    const float *x = work->x->data, *weight = work->weight->data;
    const int64_t co = index % s->Co, at = index / s->Co;
    double sum = 0;
    for (int64_t i = 0; i < s->kh * s->kw; i++) {
        int64_t pixel;
        if (!locate(work->key, at / s->Wo / s->Ho, at / s->Wo % s->Ho, at % s->Wo, i / s->kw,
                    i % s->kw, &pixel))
            continue;
        for (int64_t c = 0; c < s->Ci; c++)
            sum +=
                (double)x[pixel * s->Ci + c] * (double)weight[(co * s->kh * s->kw + i) * s->Ci + c];
    }
    return sum;
}

// One element of a gradient: what each result pixel sends there.
static double exact_gradient(const Work *work, int64_t index) {
    const ConvShape *s = &work->key->shape;
    const float *x = work->x->data, *weight = work->weight->data, *dy = work->dy->data;
    const int64_t ci = index % s->Ci, at = index / s->Ci, taps = s->kh * s->kw;
    const bool to_x = work->key->pass == CONV_INPUT_GRADIENT;
    double sum = 0;
    for (int64_t p = 0; p < s->N * s->Ho * s->Wo; p++)
        for (int64_t i = to_x ? 0 : at % taps; i < (to_x ? taps : at % taps + 1); i++) {
            int64_t pixel;
            if (!locate(work->key, p / s->Wo / s->Ho, p / s->Wo % s->Ho, p % s->Wo, i / s->kw,
                        i % s->kw, &pixel))
                continue;
            if (!to_x)
                sum += (double)dy[p * s->Co + at / taps] * (double)x[pixel * s->Ci + ci];
            else if (pixel == at)
                for (int64_t co = 0; co < s->Co; co++)
                    sum +=
                        (double)dy[p * s->Co + co] * (double)weight[(co * taps + i) * s->Ci + ci];
        }
    return sum;
}

// RMS of the difference to double over the RMS of the values, at some elements.
static double error_of(const Work *work) {
    const int64_t count = tensor_numel(work->written);
    double difference = 0, size = 0;
    Rng rng = rng_stream(1, "samples", 0, 0);
    for (int i = 0; i < SAMPLES; i++) {
        const int64_t index = (int64_t)rng_below(&rng, (uint64_t)count);
        const double exact = work->key->pass == CONV_FORWARD ? exact_forward(work, index)
                                                             : exact_gradient(work, index);
        difference += pow((double)work->values[index] - exact, 2);
        size += exact * exact;
    }
    return size > 0 ? sqrt(difference / size) : 0;
}

// ---- all ----------------------------------------------------------------------------------------

static int say(const BenchOptions *options, const Work *work, ConvWay way, double seconds,
               bool chosen) {
    const ConvShape *s = &work->key->shape;
    char shape[96];
    snprintf(shape, sizeof shape, "%lldx%lldx%lld %lld->%lld k%lld s%lld%s", (long long)s->N,
             (long long)s->H, (long long)s->W, (long long)s->Ci, (long long)s->Co, (long long)s->kh,
             (long long)s->stride, work->key->upsampled ? " up" : "");
    const double flops =
        2.0 * (double)(s->N * s->Ho * s->Wo * s->Co) * (double)(s->kh * s->kw * s->Ci);
    return bench_say(options,
                     json_pack("{s:s,s:s,s:s,s:s,s:f,s:f,s:f,s:i}", "case", "conv", "shape", shape,
                               "pass_", conv_pass_name(work->key->pass), "way", conv_way_name(way),
                               "seconds", seconds, "gflops", flops / seconds / 1e9, "error",
                               error_of(work), "default", (int)chosen));
}

// Times all ways of one pass; *best is the fastest. The definition itself is not among them.
static int tune(const BenchOptions *options, const ConvCase *key, ConvWay *best) {
    Work work;
    double least = INFINITY;
    int result = work_begin(&work, key);
    conv_way_force(WAY_COUNT);
    const ConvWay usual = conv_way(key->pass, &key->shape, key->upsampled);
    *best = usual;
    for (int way = WAY_REFERENCE + 1; result == 0 && way < WAY_COUNT; way++) {
        if (!conv_way_can((ConvWay)way, key->pass, &key->shape, key->upsampled)) continue;
        conv_way_force((ConvWay)way);
        const double seconds =
            bench_median(run, &work, options->seconds < 0 ? 0.2 : options->seconds, 3);
        conv_way_force(WAY_COUNT);
        result = seconds < 0 ? -1 : say(options, &work, (ConvWay)way, seconds, way == (int)usual);
        if (result == 0 && seconds < least) least = seconds, *best = (ConvWay)way;
    }
    work_done(&work);
    return result;
}

static int tune_all(const BenchOptions *options, const Seen *seen) {
    const size_t room = (size_t)(seen->count + 1) * LINE_ROOM;
    char *text = array_new(room, 1);
    size_t used = 0;
    int result = text ? 0 : -1;
    for (int i = 0; result == 0 && i < seen->count; i++) {
        ConvWay best;
        result = tune(options, &seen->cases[i], &best);
        const int more =
            result == 0 ? conv_table_format(text + used, room - used, &seen->cases[i], best) : 0;
        used += (size_t)more;
    }
    if (result == 0 && options->out) result = file_write(options->out, text, used);
    free(text);
    return result;
}

int bench_tune(const BenchOptions *options) {
    Seen *seen = array_new(1, sizeof *seen);
    if (!seen) return -1;
    conv_way_watch(see, seen);
    int result = bench_step_once(options);
    conv_way_watch(NULL, NULL);
    if (result == 0 && seen->full)
        result =
            error_int("bench tune: the step has more than %d passes of convolutions", MOST_CASES);
    if (result == 0) result = tune_all(options, seen);
    free(seen);
    return result;
}
