// SPDX-License-Identifier: MIT
// What the tasks share. See task.h.
#include "train/task.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

const Task *task_find(const TrainConfig *config) {
    static const Task *const tasks[] = {&task_vae, &task_diffusion, &task_gen2seg,
                                        &task_prompt2seg};
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
                          .bf16 = config->precision == PRECISION_BF16,
                          .seed = (uint64_t)config->seed,
                          .train_unet = config->task == TASK_DIFFUSION ||
                                        config->task == TASK_GEN2SEG ||
                                        (branch && config->prompt_unet),
                          .train_vae = config->task == TASK_VAE,
                          .train_branch = branch,
                          .without_branch = !branch};
}

int task_check_start(const TrainConfig *config) {
    if (config->model[0] == '\0')
        return error_int("model: say where training starts: a model folder, sd2 or miniature");
    if (config->random_unet && !task_model_options(config).train_unet)
        return error_int("random_unet: task %s does not train the U-Net, whose weights stay those "
                         "of the model folder",
                         task_find(config)->name);
    return 0;
}

PredictSettings task_predict_settings(const TrainConfig *config) {
    return (PredictSettings){
        .normalise = config->normalise == NORMALISE_AFFINE ? PREDICT_AFFINE : PREDICT_MINMAX,
        .x0 = config->predict_x0 == 0 ? PREDICT_X0_IMAGE : PREDICT_X0_ZERO,
        .resolution = config->predict_resolution,
        .prompt_sigma = config->prompt_sigma,
        .encoding = (ConditionEncoding)config->prompt_encoding,
    };
}

bool task_is_sample_step(const TaskContext *context) {
    int64_t every = context->config->sample_every, step = context->step + 1;
    return every > 0 && (step % every == 0 || step == 1);
}

Tensor *task_noise(int ndim, const int64_t *shape, int first, Rng rng) {
    Tensor *noise = tape_result(F32, ndim, shape);
    size_t count = noise ? (size_t)tensor_numel(noise) : 0;
    float *values = noise ? array_new(count, sizeof *values) : NULL;
    if (!values) return NULL;
    for (size_t i = 0; i < count / (size_t)shape[0] * (size_t)first; i++) rng_normal(&rng);
    for (size_t i = 0; i < count; i++) values[i] = (float)rng_normal(&rng);
    int written = tensor_write_float(noise, values);
    free(values);
    return written == 0 ? noise : NULL;
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
    return device_batch_fill(device, batch);
}

int device_batch_fill(DeviceBatch *device, const Batch *batch) {
    device->host = batch;
    if (tensor_write(device->image, batch->image) != 0) return -1;
    if (tensor_write(device->labels, batch->labels) != 0) return -1;
    return tensor_write(device->no_background, batch->no_background);
}

void device_batch_done(DeviceBatch *device) {
    tensor_free(device->image);
    tensor_free(device->labels);
    tensor_free(device->no_background);
    tensor_free(device->condition);
    tensor_free(device->prompted);
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

// Pixel weights and target; see task.h. An image of one kind only has weights of mean 1.
static void weigh(const int8_t *object, int64_t pixels, int balance, float *weight, float *target) {
    int64_t inside = 0, outside = 0;
    for (int64_t i = 0; i < pixels; i++) inside += object[i] > 0, outside += object[i] == 0;
    double half = inside > 0 && outside > 0 ? 0.5 : 1, all = (double)pixels;
    if (balance != BALANCE_HALVES && inside > 0) outside = inside;
    if (balance == BALANCE_PIXELS && inside > 0) half = (double)inside / all;
    if (balance == BALANCE_ROOT && inside > 0) half *= sqrt((double)inside / all);
    for (int64_t i = 0; i < pixels; i++) {
        double share = object[i] > 0 ? (double)inside : (double)outside;
        weight[i] = object[i] < 0 ? 0 : (float)(half * all / share);
        for (int c = 0; c < 3; c++) target[3 * i + c] = object[i] > 0 ? 1 : 0;
    }
}

float *task_target(const Batch *batch, const int8_t *object, int balance) {
    int64_t pixels = (int64_t)batch->height * batch->width, n = batch->count;
    float *target = array_new((size_t)(n * pixels) * 4, sizeof *target);
    for (int64_t b = 0; target && b < n; b++)
        weigh(object + b * pixels, pixels, balance, target + (3 * n + b) * pixels,
              target + 3 * b * pixels);
    return target;
}

Tensor *task_image_loss(Tensor *image, const float *target) {
    if (!image || !target) return NULL;
    int64_t n = image->shape[0], h = image->shape[1], w = image->shape[2];
    Tensor *colors = tape_result(F32, DIMS(n, h, w, 3)),
           *weight = tape_result(F32, DIMS(n, h, w, 1));
    if (!colors || !weight || tensor_write(colors, target) != 0) return NULL;
    if (tensor_write(weight, target + 3 * n * h * w) != 0) return NULL;
    return op_mse_loss(op_affine(image, 1 / 255.0, 0), colors, weight);
}

// Mean of the weights over each latent cell [N,h,w,1].
static Tensor *cell_weights(const Tensor *latent, const float *weights, const Batch *batch) {
    int64_t n = latent->shape[0], h = latent->shape[1], w = latent->shape[2];
    Tensor *weight = tape_result(F32, DIMS(n * h, batch->height / h, w, batch->width / w));
    if (!weight || tensor_write(weight, weights) != 0) return NULL;
    return op_reshape(op_mean(weight, 1u << 1 | 1u << 3), DIMS(n, h, w, 1));
}

Tensor *task_latent_loss(const TaskContext *context, const Batch *batch, Tensor *v,
                         const float *target) {
    if (!v || !target) return NULL;
    int64_t n = batch->count, h = batch->height, w = batch->width;
    Tensor *image = tape_result(F32, DIMS(n, h, w, 3));
    if (!image || tensor_write(image, target) != 0) return NULL;
    Tensor *latent = vae_encode_mean(context->model->vae, op_affine(image, 2, -1));
    if (!latent) return NULL;
    Tensor *weight = cell_weights(latent, target + 3 * n * h * w, batch);
    return op_mse_loss(model_clean_training(context->model, v), latent, weight);
}

Tensor *task_show(const TaskContext *context, Tensor *v) {
    if (!task_is_sample_step(context)) return NONE;
    bool recording = tape_record(false);
    Tensor *image = tape_keep(task_decode(context, v));
    tape_record(recording);
    return image;
}
