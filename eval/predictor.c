// SPDX-License-Identifier: MIT
// See predictor.h.
#include "eval/predictor.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "data/resample.h"
#include "eval/condition.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// What an image becomes before the network sees it.
typedef struct {
    int width, height;               // of the image
    int inner_width, inner_height;   // resized
    int padded_width, padded_height; // with repeated edges at the right and the bottom
} Geometry;

struct Predictor {
    Model *model;
    PredictSettings settings;
    Image image; // what the following belongs to; no pixels: to none
    Geometry geometry;
    Tensor *latent;
    UnetFeatures encoded;
    Image plain; // what the model paints without prompts, inner size; made when a condition asks
};

Predictor *predictor_open(Model *model, const PredictSettings *settings) {
    Predictor *predictor = array_new(1, sizeof *predictor);
    if (!predictor) return NULL;
    predictor->model = model;
    predictor->settings = settings ? *settings : predict_settings_default();
    return predictor;
}

static void forget(Predictor *predictor) {
    image_free(&predictor->image);
    predictor->image = (Image){0};
    image_free(&predictor->plain);
    predictor->plain = (Image){0};
    tensor_free(predictor->latent);
    predictor->latent = NULL;
    unet_features_free(&predictor->encoded);
    predictor->encoded = (UnetFeatures){0};
}

void predictor_close(Predictor *predictor) {
    if (!predictor) return;
    forget(predictor);
    free(predictor);
}

// ---- the image ----------------------------------------------------------------------------------

static int padded(int side, int64_t multiple) {
    return (int)((side + multiple - 1) / multiple * multiple);
}

static int measure(const Predictor *predictor, const Image *image, Geometry *geometry) {
    const int64_t longer = image->width > image->height ? image->width : image->height;
    const int64_t multiple = model_image_multiple(predictor->model);
    const int64_t resolution =
        predictor->settings.resolution > 0 ? predictor->settings.resolution : longer;
    *geometry = (Geometry){.width = image->width,
                           .height = image->height,
                           .inner_width = (int)(image->width * resolution / longer),
                           .inner_height = (int)(image->height * resolution / longer)};
    if (geometry->inner_width < 1 || geometry->inner_height < 1)
        return error_int("an image of %dx%d has no pixel left in one direction when its longer "
                         "side is %lld",
                         image->width, image->height, (long long)resolution);
    geometry->padded_width = padded(geometry->inner_width, multiple);
    geometry->padded_height = padded(geometry->inner_height, multiple);
    return 0;
}

// Repeats the last column and row of inner [h,w,3] in out [H,W,3].
static void pad(const Geometry *geometry, const float *inner, float *out) {
    for (int y = 0; y < geometry->padded_height; y++) {
        const int from_y = y < geometry->inner_height ? y : geometry->inner_height - 1;
        for (int x = 0; x < geometry->padded_width; x++) {
            const int from_x = x < geometry->inner_width ? x : geometry->inner_width - 1;
            const float *from =
                inner + 3 * ((size_t)from_y * (size_t)geometry->inner_width + (size_t)from_x);
            memcpy(out, from, 3 * sizeof *out);
            out += 3;
        }
    }
}

// The image in -1..1, resized and padded: [1,H,W,3], owned by the caller.
static Tensor *network_input(const Geometry *geometry, const Image *image) {
    const size_t count = 3 * (size_t)geometry->width * (size_t)geometry->height;
    const size_t inner_count = 3 * (size_t)geometry->inner_width * (size_t)geometry->inner_height;
    Tensor *input = tensor_new(SHAPE(F32, 1, geometry->padded_height, geometry->padded_width, 3));
    float *values = array_new(count, sizeof *values);
    float *inner = array_new(inner_count, sizeof *inner);
    float *out = input ? array_new((size_t)tensor_numel(input), sizeof *out) : NULL;
    bool made = values && inner && out;
    for (size_t i = 0; made && i < count; i++)
        values[i] = (float)image->pixels[i] / 255.0f * 2.0f - 1.0f;
    made = made && resize_bilinear_float(values, geometry->width, geometry->height, 3,
                                         geometry->inner_width, geometry->inner_height, inner) == 0;
    if (made) pad(geometry, inner, out);
    made = made && tensor_write_float(input, out) == 0;
    free(values);
    free(inner);
    free(out);
    if (made) return input;
    tensor_free(input);
    return NULL;
}

static bool same_image(const Image *a, const Image *b) {
    return a->pixels && a->width == b->width && a->height == b->height &&
           memcmp(a->pixels, b->pixels, 3 * (size_t)a->width * (size_t)a->height) == 0;
}

static int encode(Predictor *predictor, const Image *image) {
    Model *model = predictor->model;
    Tensor *input = network_input(&predictor->geometry, image);
    Tensor *z = input ? vae_encode_mean(model->vae, input) : NULL;
    UnetFeatures features;
    int result = -1;
    if (z && unet_encode(model->unet, z, MODEL_TIMESTEP, model->infer_context, &features) == 0 &&
        unet_features_hold(&predictor->encoded, &features) == 0) {
        predictor->latent = tensor_view(z, z->ndim, z->shape);
        result = predictor->latent ? 0 : -1;
    }
    tensor_free(input);
    return result;
}

// Makes latent and features those of this image.
static int take_image(Predictor *predictor, const Image *image) {
    if (image->channels != 3)
        return error_int("an image with %d channels, expected 3", image->channels);
    if (same_image(&predictor->image, image)) return 0;
    forget(predictor);
    if (measure(predictor, image, &predictor->geometry) != 0) return -1;
    if (encode(predictor, image) == 0 &&
        image_new(&predictor->image, image->width, image->height, 3) == 0) {
        memcpy(predictor->image.pixels, image->pixels,
               3 * (size_t)image->width * (size_t)image->height);
        return 0;
    }
    forget(predictor);
    return -1;
}

// ---- the features -------------------------------------------------------------------------------

Tensor *predictor_decode(Model *model, const PredictSettings *settings, Tensor *latent, Tensor *v) {
    Tensor *clean = settings->x0 == PREDICT_X0_IMAGE ? model_clean_inference(model, latent, v)
                                                     : model_clean_training(model, v);
    Tensor *y = vae_decode(model->vae, clean);
    if (settings->normalise == PREDICT_AFFINE) return op_clamp(op_affine(y, 127.5, 127.5), 0, 255);
    return op_minmax_normalise(y, MINMAX_INFERENCE, true);
}

static Tensor *decode(const Predictor *predictor, const UnetResiduals *residuals) {
    Model *model = predictor->model;
    Tensor *v = unet_decode(model->unet, &predictor->encoded, MODEL_TIMESTEP, model->infer_context,
                            residuals);
    return predictor_decode(model, &predictor->settings, predictor->latent, v);
}

// Cuts the padding off: [h,w,3], owned by the caller.
static float *cut(const Geometry *geometry, const Tensor *decoded) {
    const size_t row = 3 * (size_t)geometry->inner_width;
    float *values = array_new((size_t)tensor_numel(decoded), sizeof *values);
    if (!values) return NULL;
    if (tensor_read_float(decoded, values) != 0) {
        free(values);
        return NULL;
    }
    for (int y = 1; y < geometry->inner_height; y++)
        memmove(values + (size_t)y * row, values + 3 * (size_t)y * (size_t)geometry->padded_width,
                row * sizeof *values);
    return values;
}

// Drops the fractions, at the size that the network saw.
static int to_inner(const Geometry *geometry, const float *decoded, Image *inner) {
    if (image_new(inner, geometry->inner_width, geometry->inner_height, 3) != 0) return -1;
    for (size_t i = 0; i < 3 * (size_t)inner->width * (size_t)inner->height; i++)
        inner->pixels[i] = (uint8_t)fminf(fmaxf(decoded[i], 0.0f), 255.0f);
    return 0;
}

static int to_image(const Geometry *geometry, const float *decoded, Image *features) {
    Image inner = {0};
    int result = to_inner(geometry, decoded, &inner);
    if (result == 0)
        result =
            image_resize(&inner, geometry->width, geometry->height, RESAMPLE_LANCZOS, features);
    image_free(&inner);
    return result;
}

static int make_plain(Predictor *predictor) {
    if (predictor->settings.encoding == CONDITION_GAUSSIAN || predictor->plain.pixels) return 0;
    const Tensor *decoded = decode(predictor, NULL);
    float *values = decoded ? cut(&predictor->geometry, decoded) : NULL;
    const int result = values ? to_inner(&predictor->geometry, values, &predictor->plain) : -1;
    free(values);
    return result;
}

// The branch's condition [1,H,W,P]: the object in its first channel or channels.
static Tensor *condition_of(Predictor *predictor, const PixelPoint *points, int count) {
    const Geometry *geometry = &predictor->geometry;
    const PromptMapSize size = {.height = geometry->inner_height,
                                .width = geometry->inner_width,
                                .padded_height = geometry->padded_height,
                                .padded_width = geometry->padded_width,
                                .channels = predictor->model->control->config.condition_channels};
    PromptPoint inner[EVAL_MAX_POINTS];
    for (int i = 0; i < count; i++) {
        const double x = geometry->width > 1 ? points[i].x / (geometry->width - 1.0) : 0.5;
        const double y = geometry->height > 1 ? points[i].y / (geometry->height - 1.0) : 0.5;
        inner[i] = (PromptPoint){x * (geometry->inner_width - 1), y * (geometry->inner_height - 1)};
    }
    if (make_plain(predictor) != 0) return NULL;
    Tensor *map = tape_result(F32, DIMS(1, size.padded_height, size.padded_width, size.channels));
    float *values = map ? array_new((size_t)tensor_numel(map), sizeof *values) : NULL;
    const bool made =
        values &&
        condition_write(predictor->settings.encoding, &size, inner, count,
                        predictor->settings.prompt_sigma, &predictor->plain, 0, values) == 0 &&
        tensor_write_float(map, values) == 0;
    free(values);
    return made ? map : NULL;
}

// A prompt, and the picture that a confidence map of it is drawn on.
typedef struct {
    const Image *drawn_on;
    const PixelPoint *points;
    int count;
} Prompt;

static Tensor *prompted(Predictor *predictor, const Image *image, const Prompt *prompt) {
    Model *model = predictor->model;
    const bool drawn = predictor->settings.encoding != CONDITION_GAUSSIAN;
    if (take_image(predictor, drawn ? prompt->drawn_on : image) != 0) return NULL;
    Tensor *condition = condition_of(predictor, prompt->points, prompt->count);
    UnetResiduals residuals;
    if (!condition || take_image(predictor, image) != 0 ||
        controlnet_forward(model->control, predictor->latent, MODEL_TIMESTEP, model->infer_context,
                           condition, 1, &residuals) != 0)
        return NULL;
    return decode(predictor, &residuals);
}

static Tensor *unprompted(Predictor *predictor, const Image *image) {
    return take_image(predictor, image) == 0 ? decode(predictor, NULL) : NULL;
}

// prompt: NULL for none.
static float *decoded_image(Predictor *predictor, const Image *image, const Prompt *prompt) {
    const bool recording = tape_record(false);
    Tensor *decoded = prompt ? prompted(predictor, image, prompt) : unprompted(predictor, image);
    float *values = decoded ? cut(&predictor->geometry, decoded) : NULL;
    tape_reset();
    tape_record(recording);
    return values;
}

static int predict(Predictor *predictor, const Image *image, const Prompt *prompt,
                   Image *features) {
    float *decoded = decoded_image(predictor, image, prompt);
    const int result = decoded ? to_image(&predictor->geometry, decoded, features) : -1;
    free(decoded);
    return result;
}

float *predictor_decoded(Predictor *predictor, const Image *image, int *width, int *height) {
    float *decoded = decoded_image(predictor, image, NULL);
    *width = predictor->geometry.inner_width;
    *height = predictor->geometry.inner_height;
    return decoded;
}

int predictor_features(Predictor *predictor, const Image *image, Image *features) {
    return predict(predictor, image, NULL, features);
}

static int branch_features(Predictor *predictor, const Image *image, const Image *drawn_on,
                           const PixelPoint *points, int count, Image *features) {
    if (!predictor->model->control) return error_int("the model has no prompt branch");
    if (count > EVAL_MAX_POINTS)
        return error_int("%d points, expected at most %d", count, EVAL_MAX_POINTS);
    if (points_check(points, count, image->width, image->height) != 0) return -1;
    if (drawn_on->width != image->width || drawn_on->height != image->height)
        return error_int("a prompt drawn on an image of %dx%d, for one of %dx%d", drawn_on->width,
                         drawn_on->height, image->width, image->height);
    const Prompt prompt = {drawn_on, points, count};
    return predict(predictor, image, &prompt, features);
}

int predictor_branch_features(Predictor *predictor, const Image *image, const PixelPoint *points,
                              int count, Image *features) {
    return branch_features(predictor, image, image, points, count, features);
}

// ---- for the evaluation -------------------------------------------------------------------------

static int eval_features(void *context, const Image *image, Image *features) {
    return predictor_features(context, image, features);
}

static int eval_prompted(void *context, const Image *image, const Image *drawn_on,
                         const PixelPoint *points, int count, Image *features) {
    return branch_features(context, image, drawn_on, points, count, features);
}

EvalModel predictor_eval_model(Predictor *predictor) {
    return (EvalModel){.context = predictor,
                       .features = eval_features,
                       .prompted = predictor->model->control ? eval_prompted : NULL};
}
