// SPDX-License-Identifier: MIT
// Diffusion pretraining: the U-Net learns to predict v = signal * noise - noise_share * z of noisy
// latents, without labels. What gen2seg then starts from, where no published weights are used.
// Source: Salimans and Ho 2022, appendix D; the schedule is the model's.
#include "train/task.h"

#include "autograd/tape.h"

#include <math.h>

enum { GROUP = 4, SAMPLE_STEPS = 25, SAMPLES = 4 };

// a * x + b * y
static Tensor *mix(double a, Tensor *x, double b, Tensor *y) {
    return op_add(op_affine(x, a, 0), op_affine(y, b, 0));
}

// Images of a group share a timestep; those of a batch lie in equal strata of 0..999. Which image
// is in which group does not depend on how processes divide the batch.
static Tensor *group_loss(const TaskContext *context, Tensor *z, Tensor *noise, int timestep) {
    const Model *model = context->model;
    double signal = (double)model->schedule.signal[timestep],
           share = (double)model->schedule.noise[timestep];
    Tensor *noisy = mix(signal, z, share, noise), *target = mix(signal, noise, -share, z);
    Tensor *v = unet_forward(model->unet, noisy, timestep, model->train_context, NULL);
    return op_mse_loss(v, target, NONE);
}

// Pictures from pure noise: DDIM without randomness, in SAMPLE_STEPS trailing steps.
static Tensor *sample(const TaskContext *context, const Tensor *like) {
    const Model *model = context->model;
    const Schedule *schedule = &model->schedule;
    int64_t count = like->shape[0] < SAMPLES ? like->shape[0] : SAMPLES;
    bool recording = tape_record(false);
    Tensor *x = task_noise(4, (int64_t[]){count, like->shape[1], like->shape[2], like->shape[3]}, 0,
                           rng_stream((uint64_t)context->config->seed, "diffusion sample", 0, 0));
    for (int i = SAMPLE_STEPS; x && i > 0; i--) {
        int t = i * SCHEDULE_STEPS / SAMPLE_STEPS - 1, next = t - SCHEDULE_STEPS / SAMPLE_STEPS;
        double signal = (double)schedule->signal[t], share = (double)schedule->noise[t];
        Tensor *v = unet_forward(model->unet, x, t, model->train_context, NULL);
        Tensor *clean = mix(signal, x, -share, v), *noise = mix(share, x, signal, v);
        x = next < 0
                ? clean
                : mix((double)schedule->signal[next], clean, (double)schedule->noise[next], noise);
    }
    Tensor *image = op_affine(vae_decode(model->vae, x), 127.5, 127.5);
    tape_record(recording);
    return image;
}

static Tensor *loss(TaskContext *context, const DeviceBatch *batch, Tensor **shown,
                    Tensor **prompt) {
    *prompt = *shown = NONE;
    Tensor *z = vae_encode_mean(context->model->vae, batch->image);
    uint64_t seed = (uint64_t)context->config->seed, index = (uint64_t)batch->host->index;
    const int begin = batch->host->first;
    Tensor *noise =
        z ? task_noise(z->ndim, z->shape, begin, rng_stream(seed, "diffusion", index, 0)) : NULL;
    if (!noise) return NULL;
    Rng rng = rng_stream(seed, "diffusion", index, 1);
    int64_t count = z->shape[0], groups = (context->config->batch + GROUP - 1) / GROUP;
    Tensor *total = NULL;
    for (int64_t g = 0; g < groups; g++) {
        double place = ((double)g + rng_uniform(&rng)) / (double)groups;
        int64_t first = g * GROUP - begin, end = first + GROUP;
        if (first < 0) first = 0;
        int64_t size = (end < count ? end : count) - first;
        if (size <= 0) continue;
        Tensor *part =
            group_loss(context, op_slice(z, 0, first, size), op_slice(noise, 0, first, size),
                       (int)fmin(place * SCHEDULE_STEPS, SCHEDULE_STEPS - 1));
        part = op_affine(part, (double)size / (double)count, 0);
        total = total ? op_add(total, part) : part;
        if (!total) return NULL;
    }
    if (task_is_sample_step(context)) *shown = tape_keep(sample(context, z));
    return *shown ? total : NULL;
}

const Task task_diffusion = {.name = "diffusion", .loss = loss};
