// SPDX-License-Identifier: MIT
// What the tasks share. See task.h.
#include "train/task.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>

const Task *task_find(const TrainConfig *config) {
    static const Task *const tasks[] = {&task_vae, &task_gen2seg, &task_prompt2seg};
    return tasks[config->task];
}

int task_sets(const Model *model, ParamSet **sets) {
    int count = 0;
    sets[count++] = &model->unet->params;
    sets[count++] = &model->vae->params;
    if (model->control) sets[count++] = &model->control->params;
    return count;
}

void task_recompute(Model *model, bool on) {
    unet_recompute(model->unet, on);
    vae_recompute(model->vae, on);
    if (model->control) controlnet_recompute(model->control, on);
}

ModelOptions task_model_options(const TrainConfig *config) {
    bool branch = config->task == TASK_PROMPT2SEG;
    return (ModelOptions){.dtype = F32,
                          .seed = (uint64_t)config->seed,
                          .train_unet =
                              config->task == TASK_GEN2SEG || (branch && config->prompt_unet),
                          .train_vae = config->task == TASK_VAE,
                          .train_branch = branch,
                          .without_branch = !branch};
}

PredictSettings task_predict_settings(const TrainConfig *config) {
    return (PredictSettings){
        .normalise = config->normalise == NORMALISE_AFFINE ? PREDICT_AFFINE : PREDICT_MINMAX,
        .x0 = config->predict_x0 == 0 ? PREDICT_X0_IMAGE : PREDICT_X0_ZERO,
        .resolution = config->predict_resolution,
        .prompt_sigma = config->prompt_sigma,
    };
}

int device_batch_begin(DeviceBatch *device, const Batch *batch) {
    int64_t n = batch->count, h = batch->height, w = batch->width;
    *device = (DeviceBatch){.host = batch,
                            .image = tensor_new(SHAPE(F32, n, h, w, 3)),
                            .labels = tensor_new(SHAPE(I32, n, h, w)),
                            .no_background = tensor_new(SHAPE(I32, n))};
    if (!device->image || !device->labels || !device->no_background) return -1;
    tensor_named(device->image, "image");
    tensor_named(device->labels, "labels");
    if (tensor_write(device->image, batch->image) != 0) return -1;
    if (tensor_write(device->labels, batch->labels) != 0) return -1;
    return tensor_write(device->no_background, batch->no_background);
}

void device_batch_done(DeviceBatch *device) {
    tensor_free(device->image);
    tensor_free(device->labels);
    tensor_free(device->no_background);
    *device = (DeviceBatch){0};
}

Tensor *task_decode(const TaskContext *context, Tensor *v) {
    const Model *model = context->model;
    Tensor *y = vae_decode(model->vae, model_clean_training(model, v));
    switch (context->config->normalise) {
    case NORMALISE_AFFINE:
        return op_affine(y, 127.5, 127.5);
    case NORMALISE_IMAGE:
        return op_minmax_normalise(y, MINMAX_TRAINING, true);
    default:
        return op_minmax_normalise(y, MINMAX_TRAINING, false);
    }
}

// Pixel weights with mean 1 over each image: half for the object, half for the rest.
static void balance(const int8_t *object, int64_t pixels, float *weight, float *target) {
    int64_t inside = 0, outside = 0;
    for (int64_t i = 0; i < pixels; i++) inside += object[i] > 0, outside += object[i] == 0;
    double half = inside > 0 && outside > 0 ? 0.5 : 1, all = (double)pixels;
    for (int64_t i = 0; i < pixels; i++) {
        double share = object[i] > 0 ? (double)inside : (double)outside;
        weight[i] = object[i] < 0 ? 0 : (float)(half * all / share);
        for (int c = 0; c < 3; c++) target[3 * i + c] = object[i] > 0 ? 1 : 0;
    }
}

Tensor *task_foreground_loss(const TaskContext *context, Tensor *image, const int8_t *object) {
    if (!image) return NULL;
    int64_t n = image->shape[0], h = image->shape[1], w = image->shape[2];
    Tensor *target = tape_result(F32, DIMS(n, h, w, 3)),
           *weight = tape_result(F32, DIMS(n, h, w, 1));
    float *host = array_new((size_t)(n * h * w) * 4, sizeof *host);
    if (!target || !weight || !host) return NULL;
    float *weights = host + 3 * n * h * w;
    for (int64_t b = 0; b < n; b++)
        balance(object + b * h * w, h * w, weights + b * h * w, host + 3 * b * h * w);
    int written = tensor_write(target, host) == 0 ? tensor_write(weight, weights) : -1;
    free(host);
    if (written != 0) return NULL;
    double scale = context->config->loss_scale;
    return op_huber_loss(op_affine(image, scale, 0), op_affine(target, 255 * scale, 0), weight);
}
