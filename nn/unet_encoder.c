// SPDX-License-Identifier: MIT
// The half that the U-Net and its control branch share: time embedding, down blocks, middle.
#include "base/error.h"
#include "base/memory.h"
#include "nn/unet.h"

#include <math.h>
#include <stdlib.h>

// ---- declaring ----------------------------------------------------------------------------------

void unet_encoder_declare(ParamSet *set, UnetEncoder *encoder, const UnetConfig *config) {
    int64_t width = config->channels[0];
    encoder->levels = config->levels;
    encoder->time_inputs = width;
    conv_declare(set, &encoder->conv_in, "conv_in", config->in_channels, width, 3, START_UNIFORM);
    linear_declare(set, &encoder->time1, "time_embedding.linear_1", width, 4 * width, true);
    linear_declare(set, &encoder->time2, "time_embedding.linear_2", 4 * width, 4 * width, true);
    char name[LAYER_NAME_SIZE];
    for (int i = 0; i < config->levels; i++)
        unet_down_declare(set, &encoder->down[i], layer_name(name, "down_blocks", "%d", i), config,
                          i, 4 * width);
    unet_middle_declare(set, &encoder->middle, "mid_block", config, 4 * width);
}

void unet_encoder_recompute(UnetEncoder *encoder, bool on) {
    for (int i = 0; i < encoder->levels; i++)
        for (int j = 0; j < encoder->down[i].layers; j++) {
            encoder->down[i].resnets[j].recompute = on;
            encoder->down[i].transformers[j].recompute = on;
        }
    encoder->middle.resnets[0].recompute = encoder->middle.resnets[1].recompute = on;
    encoder->middle.attention.recompute = on;
}

// ---- forward ------------------------------------------------------------------------------------

// Cosines, then sines, of t / 10000^(k / half), in float as the checkpoints were trained with.
static int write_sinusoid(Tensor *row, double timestep) {
    int64_t half = row->shape[1] / 2;
    float *values = array_new((size_t)row->shape[1], sizeof *values);
    if (!values) return -1;
    for (int64_t k = 0; k < half; k++) {
        float exponent = (float)-log(10000) * (float)k / (float)half;
        float angle = (float)timestep * expf(exponent);
        values[k] = cosf(angle);
        values[half + k] = sinf(angle);
    }
    int result = tensor_write_float(row, values);
    free(values);
    return result;
}

// The row of the first timestep stays; another's belongs to the tape.
static Tensor *sinusoid(UnetEncoder *encoder, double timestep) {
    Dtype dtype = encoder->time1.weight->dtype;
    if (encoder->time_row && encoder->time_of == timestep) return encoder->time_row;
    if (encoder->time_row) {
        Tensor *row = tape_result(dtype, DIMS(1, encoder->time_inputs));
        return row && write_sinusoid(row, timestep) == 0 ? row : NULL;
    }
    encoder->time_row = tensor_new(SHAPE(dtype, 1, encoder->time_inputs));
    encoder->time_of = timestep;
    if (encoder->time_row && write_sinusoid(encoder->time_row, timestep) == 0)
        return encoder->time_row;
    unet_encoder_done(encoder);
    return NULL;
}

void unet_encoder_done(UnetEncoder *encoder) {
    tensor_free(encoder->time_row);
    encoder->time_row = NULL;
}

Tensor *unet_encoder_time(UnetEncoder *encoder, double timestep) {
    Scope scope = scope_begin();
    Tensor *row = sinusoid(encoder, timestep);
    Tensor *hidden = op_silu(linear_forward(&encoder->time1, row, NONE));
    return scope_end(scope, op_silu(linear_forward(&encoder->time2, hidden, NONE)));
}

int unet_encoder_forward(UnetEncoder *encoder, Tensor *h, Tensor *time, Tensor *context,
                         UnetFeatures *features) {
    *features = (UnetFeatures){0};
    features->skips[features->count++] = h;
    Scope scope = scope_begin();
    for (int i = 0; i < encoder->levels; i++)
        h = unet_down_forward(&encoder->down[i], h, time, context, features);
    features->mid = unet_middle_forward(&encoder->middle, h, time, context);
    Tensor *kept[UNET_MAX_SKIPS + 1];
    for (int i = 0; i < features->count; i++) kept[i] = features->skips[i];
    kept[features->count] = features->mid;
    scope_end_many(scope, kept, features->count + 1);
    return features->mid ? 0 : -1;
}

// ---- features -----------------------------------------------------------------------------------

int unet_features_hold(UnetFeatures *held, const UnetFeatures *features) {
    *held = (UnetFeatures){.count = features->count};
    const Tensor *mid = features->mid;
    held->mid = tensor_view(features->mid, mid->ndim, mid->shape);
    bool whole = held->mid != NULL;
    for (int i = 0; i < features->count && whole; i++) {
        Tensor *skip = features->skips[i];
        held->skips[i] = tensor_view(skip, skip->ndim, skip->shape);
        whole = held->skips[i] != NULL;
    }
    if (whole) return 0;
    unet_features_free(held);
    return -1;
}

void unet_features_free(UnetFeatures *held) {
    for (int i = 0; i < held->count; i++) tensor_free(held->skips[i]);
    tensor_free(held->mid);
    *held = (UnetFeatures){0};
}

int unet_skip_count(const UnetConfig *config) {
    return config->levels * ((int)config->layers + 1);
}
