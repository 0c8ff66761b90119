// SPDX-License-Identifier: MIT
// What is trained, and on which loss: one file per task, train/task_<name>.c. A task makes the loss
// of one micro-batch; the loop (trainer.c) does the rest.
#ifndef TRAIN_TASK_H
#define TRAIN_TASK_H

#include "autograd/rng.h"
#include "data/loader.h"
#include "eval/predict_settings.h"
#include "nn/model.h"
#include "train/config.h"

// One micro-batch on the device. Tensors are owned by it.
typedef struct {
    const Batch *host;
    Tensor *image;         // F32 [N,H,W,3] in [-1,1]
    Tensor *labels;        // I32 [N,H,W], -1 ignored
    Tensor *no_background; // I32 [N]
    Tensor *condition;     // prompt2seg, NULL where feed made none: F32 [N,H,W,P]
    Tensor *prompted;      // with it: I32 [N,objects], ids, 0 = unused
} DeviceBatch;

typedef struct {
    const TrainConfig *config;
    Model *model;
    int64_t step; // optimiser step in the making, from 0
} TaskContext;

typedef enum { START_RANDOM, START_FOLDER, START_CHECKPOINT } TaskStart;
enum { FINISH_IMAGES = 64 };

typedef struct {
    const char *name;
    // (optional) Makes what the task needs and the model lacks. `start`: where the model comes
    // from.
    int (*prepare)(TaskContext *context, TaskStart start);
    // (optional) Makes what the loss needs beside the batch, where that is possible before it;
    // writes to tensors of the batch, which it makes if they are not there.
    int (*feed)(const TaskContext *context, DeviceBatch *batch);
    // (optional) Whether the loss of this step reads nothing but what has been fed and the model,
    // so that it can be recorded and replayed; without: never.
    bool (*repeats)(const TaskContext *context);
    // The loss, one element. Records on the tape; `shown` receives the predicted image [N,H,W,3] in
    // 0..255 and `prompt` the condition image [N,H,W,P], both kept, where there are such, else
    // NONE.
    Tensor *(*loss)(TaskContext *context, const DeviceBatch *batch, Tensor **shown,
                    Tensor **prompt);
    // (optional) Whether a parameter ("controlnet.conv_in.weight") may have an exactly zero
    // gradient at the first step; the reason is printed. Without: none may.
    bool (*may_be_zero)(const char *name, void *context);
    const char *zero_reason;
    // (optional) Before every checkpoint: sets what the saved model needs in vae->config, which is
    // as before afterwards; the loader gives batches of train.batch unflipped images, at least
    // FINISH_IMAGES in all.
    int (*finish)(TaskContext *context, Loader *loader);
} Task;

extern const Task task_vae, task_diffusion, task_gen2seg, task_prompt2seg;

// The task of a config, and how its model is opened: what is trained, everything else is frozen.
const Task *task_find(const TrainConfig *config);
ModelOptions task_model_options(const TrainConfig *config);

// Whether the config says where a new run starts, in a way that suits its task.
int task_check_start(const TrainConfig *config);

// How the trained model wants to be asked.
PredictSettings task_predict_settings(const TrainConfig *config);

// The parameter sets of a model, at most TASK_SETS; returns how many.
enum { TASK_SETS = 3 };
int task_sets(const Model *model, ParamSet **sets);

// Whether the step in the making ends with a sample picture.
bool task_is_sample_step(const TaskContext *context);

// Normal noise of a shape [N,...], F32, a result on the tape: that of images `first` .. first + N -
// 1 of a batch.
Tensor *task_noise(int ndim, const int64_t *shape, int first, Rng rng);

// Gradient checkpointing in all parts of a model.
void task_recompute(Model *model, bool on);

// Tensors for a batch, with its values; fill: the values of another batch of the same shape.
int device_batch_begin(DeviceBatch *device, const Batch *batch);
int device_batch_fill(DeviceBatch *device, const Batch *batch);
void device_batch_done(DeviceBatch *device);

// What gen2seg and Prompt2Seg share: latent z [N,h,w,4] and prediction v -> normalised image
// [N,H,W,3] in about 0..255 (method 2.1, steps 4 to 6; the zero-latent form of x0).
Tensor *task_decode(const TaskContext *context, Tensor *v);

// A target image [N,H,W,3], 1 on `object` pixels and 0 elsewhere, and behind it pixel weights
// [N,H,W,1], 0 where object < 0; both on the host, for the caller to free. object: map [N,H,W].
// BALANCE_HALVES: object and rest weigh alike, which calls a pixel object as soon as it is likelier
// than its share. BALANCE_OBJECT: every pixel weighs half the inverse of the object's area, so that
// the loss is near 1 - IoU; BALANCE_ROOT: of the area's root, where small objects count less;
// BALANCE_PIXELS: every weight is 1.
float *task_target(const Batch *batch, const int8_t *object, int balance);

// Weighted mean squared error (white = 1) between an image [N,H,W,3] in 0..255 and a target of
// task_target. Squares, because the absolute error of a small object has its least at all black.
Tensor *task_image_loss(Tensor *image, const float *target);

// The same between the clean latent of v and the latent of the target: the decoder, most of a
// step, is not needed.
Tensor *task_latent_loss(const TaskContext *context, const Batch *batch, Tensor *v,
                         const float *target);

// What a loss without the decoder shows: the decoded image, kept, at sample steps; else NONE.
Tensor *task_show(const TaskContext *context, Tensor *v);

#endif
