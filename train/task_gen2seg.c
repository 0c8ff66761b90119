// SPDX-License-Identifier: MIT
// gen2seg: the U-Net is trained so that the decoded image gives every instance a colour of its own.
// Source: method 2.1 to 2.6.
#include "train/task.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

static ColoringOptions coloring_options(const TrainConfig *config) {
    bool paper = config->loss_form == LOSS_PAPER;
    ColoringOptions options = coloring_options_default(paper ? COLORING_PAPER : COLORING_CODE);
    options.variance = config->loss_variance;
    options.separation = config->loss_separation;
    options.mean = config->loss_mean;
    if (!paper) options.separation_factor = config->loss_factor;
    options.cap = (int)config->loss_cap;
    return options;
}

// The centroid (0..1) and area of every instance of an image, by id: {x, y, area}.
static double (*measure(const Batch *batch, int64_t b))[3] {
    int64_t h = batch->height, w = batch->width;
    double(*sums)[3] = array_new((size_t)batch->instances[b] + 1, sizeof *sums);
    for (int64_t i = 0; sums && i < h * w; i++) {
        int32_t label = batch->labels[b * h * w + i];
        if (label <= 0) continue;
        sums[label][0] += (double)(i % w) / (double)w;
        sums[label][1] += (double)(i / w) / (double)h;
        sums[label][2] += 1;
    }
    for (int32_t id = 1; sums && id <= batch->instances[b]; id++)
        for (int c = 0; c < 2 && sums[id][2] > 0; c++) sums[id][c] /= sums[id][2];
    return sums;
}

// Colours instances by where they are and how large: red and green by the centroid, blue by area.
static int color_by_place(const Batch *batch, float *target) {
    const double darkest = 0.2;
    int64_t pixels = (int64_t)batch->height * batch->width;
    for (int64_t b = 0; b < batch->count; b++) {
        double(*sums)[3] = measure(batch, b);
        if (!sums) return -1;
        for (int64_t i = b * pixels; i < (b + 1) * pixels; i++) {
            if (batch->labels[i] <= 0) continue;
            const double *object = sums[batch->labels[i]];
            double values[] = {object[0], object[1], fmin(1, 2 * sqrt(object[2] / (double)pixels))};
            for (int c = 0; c < 3; c++)
                target[3 * i + c] = (float)(darkest + (1 - darkest) * values[c]);
        }
        free(sums);
    }
    return 0;
}

// 1 on objects, 0 on background, -1 where labels say nothing.
static void mark_objects(const Batch *batch, int8_t *object) {
    int64_t pixels = (int64_t)batch->height * batch->width;
    for (int64_t i = 0; i < batch->count * pixels; i++) {
        const int32_t ignored = batch->no_background[i / pixels] ? 0 : -1; // the largest such label
        object[i] = batch->labels[i] > 0 ? 1 : batch->labels[i] <= ignored ? -1 : 0;
    }
}

// First steps on easier ground: a fixed target, in the latent.
static Tensor *first_loss(const TaskContext *context, const Batch *batch, Tensor *v) {
    size_t pixels = (size_t)batch->count * (size_t)batch->height * (size_t)batch->width;
    int8_t *object = array_new(pixels, 1);
    if (object) mark_objects(batch, object);
    float *target = object ? task_target(batch, object, BALANCE_HALVES) : NULL;
    bool places = context->config->first_target == FIRST_PLACE;
    Tensor *loss = NULL;
    if (target && (!places || color_by_place(batch, target) == 0))
        loss = task_latent_loss(context, batch, v, target);
    free(object);
    free(target);
    return loss;
}

static Tensor *loss(TaskContext *context, const DeviceBatch *batch, Tensor **shown,
                    Tensor **prompt) {
    const TrainConfig *config = context->config;
    Model *model = context->model;
    *prompt = NONE;
    Tensor *z = vae_encode_mean(model->vae, batch->image);
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->train_context, NULL);
    if (context->step < config->first_steps) {
        *shown = task_show(context, v);
        return *shown ? first_loss(context, batch->host, v) : NULL;
    }
    Tensor *image = *shown = tape_keep(task_decode(context, v));
    return op_coloring_loss(op_affine(image, config->loss_scale, 0), batch->labels,
                            batch->no_background, NONE, coloring_options(config));
}

static bool repeats(const TaskContext *context) {
    return context->step >= context->config->first_steps;
}

const Task task_gen2seg = {.name = "gen2seg", .repeats = repeats, .loss = loss};
