// SPDX-License-Identifier: MIT
// Group norm on float rows of channels. Rows are summed per channel in a fixed number of blocks, so
// that the result does not depend on the number of threads; groups are formed from channel sums.
#include "base/error.h"
#include "cpu/cpu.h"
#include "cpu/fast_kernel.h"
#include "cpu/fast_vector.h"

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

static void add_rows(const float *x, int64_t rows, int64_t channels, float *sum) {
    for (int64_t i = 0; i < rows; i++)
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) sum[c] += x[i * channels + c];
}

static void add_squares(const float *x, int64_t rows, int64_t channels, const float *center,
                        float *sum) {
    for (int64_t i = 0; i < rows; i++)
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) {
            float d = x[i * channels + c] - center[c];
            sum[c] += d * d;
        }
}

static void normalise_rows(const float *x, int64_t rows, int64_t channels, const float *center,
                           const float *scale, const float *bias, bool silu, float *y) {
    for (int64_t i = 0; i < rows; i++, x += channels, y += channels) {
        if (silu) {
#pragma omp simd
            for (int64_t c = 0; c < channels; c++) {
                float z = (x[c] - center[c]) * scale[c] + bias[c];
                y[c] = z * vector_sigmoid(z);
            }
        } else {
#pragma omp simd
            for (int64_t c = 0; c < channels; c++) y[c] = (x[c] - center[c]) * scale[c] + bias[c];
        }
    }
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

INLINED float dz_of(float weight, float bias, float xhat, float dy, bool silu) {
    if (!silu) return dy;
    float z = xhat * weight + bias, s = vector_sigmoid(z);
    return dy * s * (1.0f + z * (1.0f - s));
}

// Sums of dz and of dz xhat. Booleans are constants where this and the next are inlined: a choice
// inside the loop would keep it scalar.
INLINED void sums_of(const float *x, const float *dy, int64_t rows, int64_t channels, Norm norm,
                     bool silu, float *dbias, float *dweight) {
    const float *center = norm.center, *rstd = norm.rstd, *weight = norm.weight, *bias = norm.bias;
    for (int64_t i = 0; i < rows; i++, x += channels, dy += channels)
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) {
            float xhat = (x[c] - center[c]) * rstd[c];
            float dz = dz_of(silu ? weight[c] : 0, silu ? bias[c] : 0, xhat, dy[c], silu);
            dbias[c] += dz;
            dweight[c] += dz * xhat;
        }
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
                       const float *sum, const float *dot, bool silu, bool add, float *dx) {
    const float *center = norm.center, *rstd = norm.rstd, *weight = norm.weight, *bias = norm.bias;
    for (int64_t i = 0; i < rows; i++, x += channels, dy += channels, dx += channels)
#pragma omp simd
        for (int64_t c = 0; c < channels; c++) {
            float xhat = (x[c] - center[c]) * rstd[c];
            float dz = dz_of(weight[c], silu ? bias[c] : 0, xhat, dy[c], silu);
            float d = rstd[c] * (dz * weight[c] - sum[c] - xhat * dot[c]);
            dx[c] = add ? dx[c] + d : d;
        }
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
    double *affine = malloc((size_t)(2 * images * channels) * sizeof *affine + 1);
    if (!affine) return FAST_DECLINES;
    int result = backward_images(args, affine);
    for (int64_t image = 0; result == 0 && image < images; image++) {
        const double *sums = affine + 2 * image * channels;
        write_affine(args->bias, sums, image == 0);
        write_affine(args->weight, sums + channels, image == 0);
    }
    free(affine);
    return result;
}
