// SPDX-License-Identifier: MIT
// Group norm on float rows of channels. Rows are summed per channel in a fixed number of blocks, so
// that the result does not depend on the number of threads; groups are formed from channel sums.
#include "base/error.h"
#include "base/memory.h"
#include "cpu/cpu.h"
#include "cpu/fast_kernel.h"
#include "cpu/fast_vec.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCKS = 16 };

// One image, and scratch rows of one value per channel.
typedef struct {
    int64_t rows, channels;
    float *center, *rstd;     // per channel
    float *first, *second;    // sums of the blocks [BLOCKS,channels]
    double *sum, *second_sum; // over all blocks
    float *memory;
    bool split; // threads share this image
} Work;

// Images of a batch go to one thread each where that leaves none idle; the sums are the same.
static bool shares_images(const group_norm_args *args) {
    int64_t images = args->x->shape[0], threads = cpu_threads();
    return images >= threads && (images % threads == 0 || images >= 4 * threads);
}

static bool work_init(Work *work, const group_norm_args *args) {
    int64_t channels = tensor_side(args->x, -1), images = args->x->shape[0];
    size_t c = (size_t)channels;
    *work = (Work){.channels = channels};
    work->rows = images && channels ? tensor_numel(args->x) / images / channels : 0;
    work->memory = malloc((2 * BLOCKS + 2) * c * sizeof(float) + 2 * c * sizeof(double) + 1);
    work->split = !shares_images(args) && work->rows * channels > 1 << 14;
    if (!work->memory) return false;
    work->sum = (double *)(void *)work->memory;
    work->second_sum = work->sum + c;
    work->center = (float *)(void *)(work->second_sum + c);
    work->rstd = work->center + c;
    work->first = work->rstd + c;
    work->second = work->first + BLOCKS * c;
    return true;
}

static void total(const Work *work, const float *blocks, double *sum) {
    for (int64_t c = 0; c < work->channels; c++) {
        sum[c] = 0;
        for (int64_t b = 0; b < BLOCKS; b++) sum[c] += (double)blocks[b * work->channels + c];
    }
}

// The loops below go over registers of channels, and for each over some rows whose bytes the cache
// holds, so that what belongs to a channel stays in registers. `lanes` and booleans are constants
// where a body is inlined, except for the last channels.
enum { ROWS_AT_A_TIME = 32 };

#define OVER_ROWS_AND_CHANNELS(...)                                                  \
    for (int64_t row_ = 0; row_ < rows; row_ += ROWS_AT_A_TIME) {                    \
        int64_t first = row_ * channels;                                             \
        int64_t count = rows - row_ < ROWS_AT_A_TIME ? rows - row_ : ROWS_AT_A_TIME; \
        int64_t c = 0;                                                               \
        for (int64_t lanes = LANES; c + LANES <= channels; c += LANES) __VA_ARGS__   \
        for (int64_t lanes = channels - c; lanes > 0; lanes = 0) __VA_ARGS__         \
    }

INLINED Vec load(const float *from, int64_t lanes) {
    return lanes == LANES ? vec_load(from) : vec_load_part(from, lanes);
}

INLINED void store(float *to, Vec value, int64_t lanes) {
    if (lanes == LANES)
        vec_store(to, value);
    else
        vec_store_part(to, value, lanes);
}

static void add_rows(const float *x, int64_t rows, int64_t channels, float *sum) {
    OVER_ROWS_AND_CHANNELS({
        Vec total = load(sum + c, lanes);
        for (int64_t i = 0; i < count; i++) total += load(x + first + i * channels + c, lanes);
        store(sum + c, total, lanes);
    })
}

static void add_squares(const float *x, int64_t rows, int64_t channels, const float *center,
                        float *sum){OVER_ROWS_AND_CHANNELS({
    Vec total = load(sum + c, lanes), middle = load(center + c, lanes);
    for (int64_t i = 0; i < count; i++) {
        Vec d = load(x + first + i * channels + c, lanes) - middle;
        total = vec_multiply_add(d, d, total);
    }
    store(sum + c, total, lanes);
})}

INLINED void normalise(const float *x, int64_t rows, int64_t channels, const float *center,
                       const float *scale, const float *bias, bool silu, float *y) {
    OVER_ROWS_AND_CHANNELS({
        Vec middle = load(center + c, lanes), factor = load(scale + c, lanes);
        Vec offset = load(bias + c, lanes);
        for (int64_t i = 0; i < count; i++) {
            int64_t at = first + i * channels + c;
            Vec z = vec_multiply_add(load(x + at, lanes) - middle, factor, offset);
            store(y + at, silu ? z * vec_sigmoid(z) : z, lanes);
        }
    })
}

static void normalise_rows(const float *x, int64_t rows, int64_t channels, const float *center,
                           const float *scale, const float *bias, bool silu, float *y) {
    if (silu)
        normalise(x, rows, channels, center, scale, bias, true, y);
    else
        normalise(x, rows, channels, center, scale, bias, false, y);
}

// Sums over a group's channels and rows, divided by their number.
static double group_mean(const Work *work, const double *sums, int64_t group, int64_t width) {
    double sum = 0;
    for (int64_t c = group * width; c < (group + 1) * width; c++) sum += sums[c];
    return sum / (double)(width * work->rows);
}

static void spread(float *channels, int64_t group, int64_t width, float value) {
    for (int64_t c = group * width; c < (group + 1) * width; c++) channels[c] = value;
}

static void forward_image(const group_norm_args *args, Work *work, int64_t image) {
    int64_t channels = work->channels, rows = work->rows, width = channels / args->groups;
    const float *x = (const float *)args->x->data + image * rows * channels;
    const float *weight = args->weight->data, *bias = args->bias->data;
    float *y = (float *)args->y->data + image * rows * channels;
    float *mean = (float *)args->mean->data + image * args->groups;
    float *rstd = (float *)args->rstd->data + image * args->groups;
    memset(work->first, 0, 2 * BLOCKS * (size_t)channels * sizeof(float));
#pragma omp parallel for schedule(static) if (work->split)
    for (int64_t b = 0; b < BLOCKS; b++) {
        int64_t begin = b * rows / BLOCKS, end = (b + 1) * rows / BLOCKS;
        add_rows(x + begin * channels, end - begin, channels, work->first + b * channels);
    }
    total(work, work->first, work->sum);
    for (int64_t g = 0; g < args->groups; g++) {
        mean[g] = (float)group_mean(work, work->sum, g, width);
        spread(work->center, g, width, mean[g]);
    }
#pragma omp parallel for schedule(static) if (work->split)
    for (int64_t b = 0; b < BLOCKS; b++) {
        int64_t begin = b * rows / BLOCKS, end = (b + 1) * rows / BLOCKS;
        add_squares(x + begin * channels, end - begin, channels, work->center,
                    work->second + b * channels);
    }
    total(work, work->second, work->sum);
    for (int64_t g = 0; g < args->groups; g++) {
        rstd[g] = (float)(1 / sqrt(group_mean(work, work->sum, g, width) + args->eps));
        for (int64_t c = g * width; c < (g + 1) * width; c++) work->rstd[c] = rstd[g] * weight[c];
    }
#pragma omp parallel for schedule(static) if (work->split)
    for (int64_t b = 0; b < BLOCKS; b++) {
        int64_t begin = b * rows / BLOCKS, end = (b + 1) * rows / BLOCKS;
        normalise_rows(x + begin * channels, end - begin, channels, work->center, work->rstd, bias,
                       args->silu, y + begin * channels);
    }
}

static int forward_one(const group_norm_args *args, int64_t image) {
    Work work;
    bool made = work_init(&work, args);
    if (made) forward_image(args, &work, image);
    free(work.memory);
    return !made;
}

int ISA(fast_group_norm_forward)(const group_norm_args *args) {
    int failed = 0;
    int64_t images = args->x->shape[0];
    if (shares_images(args)) {
#pragma omp parallel for schedule(static) reduction(| : failed)
        for (int64_t image = 0; image < images; image++) failed |= forward_one(args, image);
    } else { // not a team of one: a team inside it would be made anew every time
        for (int64_t image = 0; image < images; image++) failed |= forward_one(args, image);
    }
    return failed ? error_int("group_norm: out of memory") : 0;
}

// What backward reads along the channels of one image.
typedef struct {
    const float *center, *rstd, *weight, *bias; // weight and bias are not read without silu
    bool silu;
} Norm;

// The gradient before SiLU.
INLINED Vec dz_of(Vec weight, Vec bias, Vec xhat, Vec dy, bool silu) {
    if (!silu) return dy;
    Vec z = vec_multiply_add(xhat, weight, bias), s = vec_sigmoid(z);
    return dy * s * vec_multiply_add(z, vec_all(1) - s, vec_all(1));
}

// Sums of dz and of dz xhat.
INLINED void sums_of(const float *x, const float *dy, int64_t rows, int64_t channels, Norm norm,
                     bool silu, float *dbias, float *dweight) {
    OVER_ROWS_AND_CHANNELS({
        Vec middle = load(norm.center + c, lanes), rstd = load(norm.rstd + c, lanes);
        Vec weight = silu ? load(norm.weight + c, lanes) : vec_all(0);
        Vec bias = silu ? load(norm.bias + c, lanes) : vec_all(0);
        Vec sum = load(dbias + c, lanes), dot = load(dweight + c, lanes);
        for (int64_t i = 0; i < count; i++) {
            int64_t at = first + i * channels + c;
            Vec xhat = (load(x + at, lanes) - middle) * rstd;
            Vec dz = dz_of(weight, bias, xhat, load(dy + at, lanes), silu);
            sum += dz;
            dot = vec_multiply_add(dz, xhat, dot);
        }
        store(dbias + c, sum, lanes);
        store(dweight + c, dot, lanes);
    })
}

static void add_gradients(const float *x, const float *dy, int64_t rows, int64_t channels,
                          Norm norm, float *dbias, float *dweight) {
    if (norm.silu)
        sums_of(x, dy, rows, channels, norm, true, dbias, dweight);
    else
        sums_of(x, dy, rows, channels, norm, false, dbias, dweight);
}

// dx = rstd (weight dz - sum - xhat dot)
INLINED void slopes_of(const float *x, const float *dy, int64_t rows, int64_t channels, Norm norm,
                       const float *sums, const float *dots, bool silu, bool add, float *dx) {
    OVER_ROWS_AND_CHANNELS({
        Vec middle = load(norm.center + c, lanes), rstd = load(norm.rstd + c, lanes);
        Vec weight = load(norm.weight + c, lanes), sum = load(sums + c, lanes);
        Vec dot = load(dots + c, lanes), bias = silu ? load(norm.bias + c, lanes) : vec_all(0);
        for (int64_t i = 0; i < count; i++) {
            int64_t at = first + i * channels + c;
            Vec xhat = (load(x + at, lanes) - middle) * rstd;
            Vec dz = dz_of(weight, bias, xhat, load(dy + at, lanes), silu);
            Vec d = rstd * (dz * weight - sum - xhat * dot);
            store(dx + at, add ? load(dx + at, lanes) + d : d, lanes);
        }
    })
}

static void input_gradients(const float *x, const float *dy, int64_t rows, int64_t channels,
                            Norm norm, const float *sum, const float *dot, bool add, float *dx) {
    if (norm.silu && add)
        slopes_of(x, dy, rows, channels, norm, sum, dot, true, true, dx);
    else if (norm.silu)
        slopes_of(x, dy, rows, channels, norm, sum, dot, true, false, dx);
    else if (add)
        slopes_of(x, dy, rows, channels, norm, sum, dot, false, true, dx);
    else
        slopes_of(x, dy, rows, channels, norm, sum, dot, false, false, dx);
}

static void write_affine(const Tensor *tensor, const double *sums, bool first) {
    if (!tensor->needs_grad) return;
    float *gradient = tensor->grad->data;
    bool add = tensor->has_grad || !first;
    for (int64_t c = 0; c < tensor->shape[0]; c++)
        gradient[c] = (add ? gradient[c] : 0.0f) + (float)sums[c];
}

// `affine` [2,C] receives what bias and weight get from this image.
static void backward_image(const group_norm_args *args, Work *work, int64_t image, double *affine) {
    int64_t channels = work->channels, rows = work->rows, width = channels / args->groups;
    int64_t start = image * rows * channels;
    const float *x = (const float *)args->x->data + start;
    const float *dy = (const float *)args->y->grad->data + start;
    Norm norm = {work->center, work->rstd, args->weight->data, args->bias->data, args->silu};
    for (int64_t g = 0; g < args->groups; g++) {
        spread(work->center, g, width, ((float *)args->mean->data)[image * args->groups + g]);
        spread(work->rstd, g, width, ((float *)args->rstd->data)[image * args->groups + g]);
    }
    memset(work->first, 0, 2 * BLOCKS * (size_t)channels * sizeof(float));
#pragma omp parallel for schedule(static) if (work->split)
    for (int64_t b = 0; b < BLOCKS; b++) {
        int64_t begin = b * rows / BLOCKS, end = (b + 1) * rows / BLOCKS;
        add_gradients(x + begin * channels, dy + begin * channels, end - begin, channels, norm,
                      work->first + b * channels, work->second + b * channels);
    }
    total(work, work->first, work->sum);
    total(work, work->second, work->second_sum);
    memcpy(affine, work->sum, (size_t)channels * sizeof *affine);
    memcpy(affine + channels, work->second_sum, (size_t)channels * sizeof *affine);
    if (!args->x->needs_grad) return;
    for (int64_t c = 0; c < channels; c++) {
        work->sum[c] *= (double)norm.weight[c];
        work->second_sum[c] *= (double)norm.weight[c];
    }
    for (int64_t g = 0; g < args->groups; g++) { // the first block's sums are done with
        spread(work->first, g, width, (float)group_mean(work, work->sum, g, width));
        spread(work->second, g, width, (float)group_mean(work, work->second_sum, g, width));
    }
    float *dx = (float *)args->x->grad->data + start;
#pragma omp parallel for schedule(static) if (work->split)
    for (int64_t b = 0; b < BLOCKS; b++) {
        int64_t begin = b * rows / BLOCKS, end = (b + 1) * rows / BLOCKS;
        input_gradients(x + begin * channels, dy + begin * channels, end - begin, channels, norm,
                        work->first, work->second, args->x->has_grad, dx + begin * channels);
    }
}

static int backward_one(const group_norm_args *args, int64_t image, double *affine) {
    Work work;
    bool made = work_init(&work, args);
    if (made) backward_image(args, &work, image, affine + 2 * image * tensor_side(args->x, -1));
    free(work.memory);
    return !made;
}

static int backward_images(const group_norm_args *args, double *affine) {
    int failed = 0;
    int64_t images = args->x->shape[0];
    if (shares_images(args)) {
#pragma omp parallel for schedule(static) reduction(| : failed)
        for (int64_t image = 0; image < images; image++)
            failed |= backward_one(args, image, affine);
    } else {
        for (int64_t image = 0; image < images; image++)
            failed |= backward_one(args, image, affine);
    }
    return failed ? error_int("group_norm: out of memory") : 0;
}

int ISA(fast_group_norm_backward)(const group_norm_args *args) {
    bool reads_x = args->silu || args->x->needs_grad || args->weight->needs_grad;
    int64_t images = args->x->shape[0], channels = tensor_side(args->x, -1);
    if (!reads_x || images == 0) return FAST_DECLINES;
    double *affine = array_new_unset((size_t)(2 * images * channels), sizeof *affine);
    if (!affine) return error_context("group_norm");
    int result = backward_images(args, affine);
    for (int64_t image = 0; result == 0 && image < images; image++) {
        const double *sums = affine + 2 * image * channels;
        write_affine(args->bias, sums, image == 0);
        write_affine(args->weight, sums + channels, image == 0);
    }
    free(affine);
    return result;
}
