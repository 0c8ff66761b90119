// SPDX-License-Identifier: MIT
// A VAE from nothing: L1 + MSE on pixels and on 8x8 box means (which carry colour where texture
// would win), and a small KL term. For the miniature world; the published VAE stays as it is.
#include "train/task.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>

enum { BOX = 8 };
static const double FRESH_LOG_VARIANCE = -6; // else noise drowns the first latents

// Training has a scaling factor of its own, so that it goes on to the same bits from a checkpoint,
// which has the factor of finish.
static int prepare(TaskContext *context, TaskStart start) {
    Model *model = context->model;
    model->vae->config.scaling_factor = vae_config_named("sd2")->scaling_factor;
    Param *bias = params_find(&model->vae->params, "quant_conv.bias");
    if (start != START_RANDOM || !bias) return 0;
    int64_t count = tensor_numel(bias->tensor);
    float *values = array_new((size_t)count, sizeof *values);
    if (!values || tensor_read_float(bias->tensor, values) != 0) {
        free(values);
        return -1;
    }
    for (int64_t i = count / 2; i < count; i++) values[i] = (float)FRESH_LOG_VARIANCE;
    int result = tensor_write_float(bias->tensor, values);
    free(values);
    return result;
}

static Tensor *box_means(Tensor *x) {
    if (!x) return NULL;
    int64_t n = x->shape[0], h = x->shape[1] / BOX, w = x->shape[2] / BOX, c = x->shape[3];
    return op_mean(op_reshape(x, DIMS(n * h, BOX, w, BOX, c)), 1u << 1 | 1u << 3);
}

static Tensor *distance(Tensor *a, Tensor *b) {
    return op_add(op_l1_loss(a, b, NONE), op_mse_loss(a, b, NONE));
}

// Sum over the latent of (mean^2 + exp(logvar) - 1 - logvar) / 2, mean over images.
static Tensor *kl_term(Tensor *mean, Tensor *logvar) {
    Tensor *sum = op_add(op_square(mean), op_sub(op_exp(logvar), op_affine(logvar, 1, 1)));
    if (!sum) return NULL;
    return op_affine(op_sum(sum, REDUCE_ALL), 0.5 / (double)mean->shape[0], 0);
}

static Tensor *loss(TaskContext *context, const DeviceBatch *batch, Tensor **shown,
                    Tensor **prompt) {
    const TrainConfig *config = context->config;
    Tensor *moments = vae_encode_moments(context->model->vae, batch->image);
    *prompt = NONE;
    if (!moments) return NULL;
    int64_t channels = tensor_side(moments, -1) / 2;
    Tensor *mean = op_slice(moments, -1, 0, channels);
    Tensor *logvar = op_clamp(op_slice(moments, -1, channels, channels), -30, 20);
    if (!mean || !logvar) return NULL;
    Tensor *noise = task_noise(
        mean->ndim, mean->shape, batch->host->first,
        rng_stream((uint64_t)config->seed, "vae noise", (uint64_t)batch->host->index, 0));
    Tensor *spread = op_mul(op_exp(op_affine(logvar, 0.5, 0)), noise);
    double scaling = context->model->vae->config.scaling_factor;
    Tensor *y = vae_decode(context->model->vae, op_affine(op_add(mean, spread), scaling, 0));
    *shown = tape_keep(op_affine(y, 127.5, 127.5));
    if (!*shown) return NULL;
    Tensor *pixels = distance(y, batch->image);
    Tensor *boxes = distance(box_means(y), box_means(batch->image));
    return op_add(op_add(pixels, op_affine(boxes, config->vae_box, 0)),
                  op_affine(kl_term(mean, logvar), config->vae_kl, 0));
}

typedef struct {
    double count, sum, squares;
} Spread;

static int add_latents(Vae *vae, const Batch *host, Spread *spread) {
    DeviceBatch batch;
    Tensor *moments =
        device_batch_begin(&batch, host) == 0 ? vae_encode_moments(vae, batch.image) : NULL;
    Tensor *mean = moments ? op_slice(moments, -1, 0, tensor_side(moments, -1) / 2) : NULL;
    if (mean) {
        double count = (double)tensor_numel(mean);
        spread->count += count;
        spread->sum += count * tensor_item(op_mean(mean, REDUCE_ALL));
        spread->squares += count * tensor_item(op_mean(op_square(mean), REDUCE_ALL));
    }
    tape_reset();
    device_batch_done(&batch);
    return mean && !error_is_set() ? 0 : -1;
}

// Latents are used at unit deviation: the saved scaling factor becomes 1 / deviation over some
// images.
static int finish(TaskContext *context, Loader *loader) {
    Vae *vae = context->model->vae;
    Spread spread = {0};
    bool recording = tape_record(false);
    int result = 0;
    for (Batch *host; result == 0 && (host = loader_next(loader));) {
        result = add_latents(vae, host, &spread);
        batch_free(host);
    }
    tape_record(recording);
    if (result != 0 || error_is_set()) return -1;
    double average = spread.sum / spread.count;
    double variance = (spread.squares - spread.sum * average) / fmax(1, spread.count - 1);
    double deviation = sqrt(variance);
    if (!(deviation > 0)) return error_int("vae: the latents have no spread");
    vae->config.scaling_factor = 1 / deviation;
    return 0;
}

const Task task_vae = {.name = "vae", .prepare = prepare, .loss = loss, .finish = finish};
