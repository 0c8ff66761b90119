// SPDX-License-Identifier: MIT
// gen2seg: the U-Net is trained so that the decoded image gives every instance a colour of its own.
// Source: method 2.1 to 2.6.
#include "train/task.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"

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

// First steps on easier ground: objects white, everything else black.
static Tensor *foreground(const TaskContext *context, const DeviceBatch *batch, Tensor *image) {
    size_t pixels =
        (size_t)batch->host->count * (size_t)batch->host->height * (size_t)batch->host->width;
    int8_t *object = array_new(pixels, 1);
    if (!object) return NULL;
    for (size_t i = 0; i < pixels; i++) {
        int32_t label = batch->host->labels[i];
        object[i] = (int8_t)(label > 0 ? 1 : label);
    }
    Tensor *loss = task_foreground_loss(context, image, object);
    free(object);
    return loss;
}

static Tensor *loss(TaskContext *context, const DeviceBatch *batch, Tensor **shown,
                    Tensor **prompt) {
    const TrainConfig *config = context->config;
    Model *model = context->model;
    *prompt = NONE;
    Tensor *z = vae_encode_mean(model->vae, batch->image);
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->train_context, NULL);
    Tensor *image = *shown = tape_keep(task_decode(context, v));
    if (context->step < config->foreground_steps) return foreground(context, batch, image);
    return op_coloring_loss(op_affine(image, config->loss_scale, 0), batch->labels,
                            batch->no_background, NONE, coloring_options(config));
}

static bool never(const char *name, void *context) {
    (void)name, (void)context;
    return false;
}

const Task task_gen2seg = {
    .name = "gen2seg", .loss = loss, .may_be_zero = never, .zero_reason = ""};
