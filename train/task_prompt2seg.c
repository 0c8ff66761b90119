// SPDX-License-Identifier: MIT
// Prompt2Seg: a ControlNet branch on the frozen gen2seg model is trained so that only the prompted
// objects are coloured. Source: method 5.3 and 5.4.
#include "train/task.h"

#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "eval/condition.h"
#include "eval/predictor.h"
#include "eval/prompter.h"

#include <stdlib.h>
#include <string.h>

// A branch goes on with what it was shown before.
static int check_encoding(const TrainConfig *config) {
    PredictSettings settings;
    if (predict_settings_read(&settings, config->model) != 0) return -1;
    if ((int)settings.encoding == config->prompt_encoding) return 0;
    return error_int("prompt.encoding is \"%s\"; the branch of %s was trained with \"%s\": choose "
                     "that, or random_branch=true",
                     condition_names[config->prompt_encoding], config->model,
                     condition_names[settings.encoding]);
}

static int prepare(TaskContext *context, TaskStart start) {
    const TrainConfig *config = context->config;
    Model *model = context->model;
    const int each = condition_channels((ConditionEncoding)config->prompt_encoding);
    if (config->prompt_encoding != CONDITION_GAUSSIAN && config->prompt_unet)
        return error_int("prompt.encoding is \"%s\" and prompt.train_unet is true; the confidence "
                         "map is that of a frozen model",
                         condition_names[config->prompt_encoding]);
    const bool add = config->random_branch && start != START_CHECKPOINT;
    if (add || !model->control) return model_add_branch(model, each, (uint64_t)config->seed);
    if (start == START_FOLDER && check_encoding(config) != 0) return -1;
    const int64_t channels = model->control->config.condition_channels;
    if (channels % each == 0) return 0;
    return error_int(
        "prompt.encoding is \"%s\", %d channels per object; the model's branch has %lld",
        condition_names[config->prompt_encoding], each, (long long)channels);
}

// The prompts of a micro-batch, on the host.
typedef struct {
    int channels, objects; // of an image at most; each has as many channels
    float *map;            // Q [N,H,W,P]
    int32_t *prompted;     // [N,objects], 0 = unused
    Image *features;       // [N] what the model paints without prompts, when the encoding asks
    int8_t *object;        // [N,H,W]: 1 on prompted objects, 0 elsewhere, -1 ignored
    uint8_t *mask;         // [H,W], scratch
    int64_t *areas;        // [ids + 1], scratch
} Prompts;

static void prompts_done(Prompts *prompts, int count) {
    for (int b = 0; prompts->features && b < count; b++) image_free(&prompts->features[b]);
    free(prompts->features);
    free(prompts->map);
    free(prompts->prompted);
    free(prompts->object);
    free(prompts->mask);
    free(prompts->areas);
}

static int prompts_begin(Prompts *prompts, const Batch *batch, int channels, int objects) {
    size_t pixels = (size_t)batch->height * (size_t)batch->width, n = (size_t)batch->count;
    int32_t most = 0;
    for (int b = 0; b < batch->count; b++)
        if (batch->instances[b] > most) most = batch->instances[b];
    *prompts = (Prompts){.channels = channels,
                         .objects = objects,
                         .map = array_new(n * pixels * (size_t)channels, sizeof(float)),
                         .prompted = array_new(n * (size_t)objects, sizeof(int32_t)),
                         .object = array_new(n * pixels, 1),
                         .mask = array_new(pixels, 1),
                         .areas = array_new((size_t)most + 1, sizeof(int64_t))};
    bool made = prompts->map && prompts->prompted && prompts->object && prompts->mask;
    return made && prompts->areas ? 0 : -1;
}

// A random instance of at least min_area pixels that is not yet prompted; 0 when there is none.
static int32_t choose(Prompts *prompts, const Batch *batch, int b, const int32_t *taken, int count,
                      double min_area, Rng *rng) {
    int64_t pixels = (int64_t)batch->height * batch->width;
    const int32_t *labels = batch->labels + b * pixels;
    memset(prompts->areas, 0, ((size_t)batch->instances[b] + 1) * sizeof *prompts->areas);
    for (int64_t i = 0; i < pixels; i++)
        if (labels[i] > 0) prompts->areas[labels[i]]++;
    for (int k = 0; k < count; k++)
        if (taken[k] > 0) prompts->areas[taken[k]] = 0;
    int32_t candidates = 0;
    for (int32_t id = 1; id <= batch->instances[b]; id++)
        candidates += (double)prompts->areas[id] >= min_area;
    if (candidates == 0) return 0;
    int64_t wanted = (int64_t)rng_below(rng, (uint64_t)candidates);
    for (int32_t id = 1; id <= batch->instances[b]; id++)
        if ((double)prompts->areas[id] >= min_area && wanted-- == 0) return id;
    return 0;
}

// Draws the points of one object inside `id` (0: on the background) and rasterises them.
static int draw_points(Prompts *prompts, const TrainConfig *config, const Batch *batch, int b,
                       int object, int32_t id, Rng *rng) {
    int width = batch->width, height = batch->height;
    int64_t pixels = (int64_t)width * height;
    const int32_t *labels = batch->labels + b * pixels;
    PromptPoint points[CONDITION_MOST_POINTS];
    for (int64_t i = 0; i < pixels; i++) prompts->mask[i] = labels[i] == id;
    int64_t count = 1 + (int64_t)rng_below(rng, (uint64_t)config->prompt_points);
    for (int64_t p = 0; p < count; p++) {
        PixelPoint point;
        int found = prompt_random(prompts->mask, width, height, rng_uniform(rng), &point);
        if (found <= 0) return found;
        points[p] = (PromptPoint){point.x, point.y};
    }
    for (int64_t i = 0; id > 0 && i < pixels; i++)
        if (prompts->mask[i]) prompts->object[b * pixels + i] = 1;
    PromptMapSize size = {height, width, height, width, prompts->channels};
    return condition_write((ConditionEncoding)config->prompt_encoding, &size, points, (int)count,
                           config->prompt_sigma, prompts->features ? &prompts->features[b] : NULL,
                           object, prompts->map + b * pixels * prompts->channels);
}

static int make_prompts(Prompts *prompts, const TrainConfig *config, const Batch *batch) {
    int64_t pixels = (int64_t)batch->height * batch->width;
    for (int b = 0; b < batch->count; b++) {
        Rng rng = rng_stream((uint64_t)config->seed, "prompt", (uint64_t)batch->index,
                             (uint64_t)(batch->first + b));
        const int32_t ignored = batch->no_background[b] ? 0 : -1; // the largest such label
        for (int64_t i = b * pixels; i < (b + 1) * pixels; i++)
            prompts->object[i] = batch->labels[i] <= ignored ? -1 : 0;
        bool empty = rng_uniform(&rng) < config->prompt_empty;
        int wanted = 1 + (int)rng_below(&rng, (uint64_t)prompts->objects);
        int32_t *taken = prompts->prompted + b * prompts->objects;
        for (int k = 0; k < wanted; k++) {
            if (!empty)
                taken[k] = choose(prompts, batch, b, taken, k, config->prompt_min_area, &rng);
            if (taken[k] == 0 && k > 0) break;
            if (draw_points(prompts, config, batch, b, k, taken[k], &rng) != 0) return -1;
        }
    }
    return 0;
}

// What the frozen model paints of the latent z [N,h,w,4] without prompts, as inference has it.
static int paint(const TaskContext *context, Prompts *prompts, const Batch *batch, Tensor *z) {
    const PredictSettings settings = task_predict_settings(context->config);
    Model *model = context->model;
    const size_t each = 3 * (size_t)batch->height * (size_t)batch->width;
    const size_t n = (size_t)batch->count;
    const bool recording = tape_record(false);
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->infer_context, NULL);
    Tensor *decoded = predictor_decode(model, &settings, z, v);
    tape_record(recording);
    float *values = decoded ? array_new(n * each, sizeof *values) : NULL;
    prompts->features = array_new(n, sizeof *prompts->features);
    int result = values && prompts->features ? tensor_read_float(decoded, values) : -1;
    for (size_t b = 0; b < n && result == 0; b++) {
        result = image_new(&prompts->features[b], batch->width, batch->height, 3);
        for (size_t i = 0; i < each && result == 0; i++)
            prompts->features[b].pixels[i] = (uint8_t)values[b * each + i];
    }
    free(values);
    return result;
}

// Against white on the prompted objects and black elsewhere.
static Tensor *target_loss(const TaskContext *context, const Batch *batch, Tensor *v,
                           const int8_t *object, Tensor **shown) {
    const TrainConfig *config = context->config;
    float *target = task_target(batch, object, (int)config->prompt_balance);
    Tensor *loss = NULL;
    if (config->prompt_loss == PROMPT_LOSS_LATENT) {
        *shown = task_show(context, v);
        if (*shown) loss = task_latent_loss(context, batch, v, target);
    } else {
        Tensor *image = *shown = tape_keep(task_decode(context, v));
        loss = task_image_loss(image, target);
    }
    free(target);
    return loss;
}

// Where neither the prompts nor the loss need what the model makes of the image.
static bool repeats(const TaskContext *context) {
    return context->config->prompt_encoding == CONDITION_GAUSSIAN &&
           context->config->prompt_loss == PROMPT_LOSS_PROMPTED;
}

// Draws the prompts, after the frozen model's painting of the latent z where they ask for it, and
// brings them to tensors of the tape.
static int draw(const TaskContext *context, Prompts *prompts, const Batch *batch, Tensor *z,
                Tensor **map, Tensor **ids) {
    const TrainConfig *config = context->config;
    int64_t n = batch->count, h = batch->height, w = batch->width;
    if (config->prompt_encoding != CONDITION_GAUSSIAN &&
        (!z || paint(context, prompts, batch, z) != 0))
        return -1;
    if (make_prompts(prompts, config, batch) != 0) return -1;
    *map = tape_keep(tape_result(F32, DIMS(n, h, w, prompts->channels)));
    *ids = tape_result(I32, DIMS(n, prompts->objects));
    if (!*map || !*ids || tensor_write(*map, prompts->map) != 0) return -1;
    return tensor_write(*ids, prompts->prompted);
}

// Image and prompts to the loss; `prompts` where they have not been fed.
static Tensor *prompted_loss(TaskContext *context, const DeviceBatch *batch, Prompts *prompts,
                             Tensor **shown, Tensor **prompt) {
    const TrainConfig *config = context->config;
    Model *model = context->model;
    Tensor *map = batch->condition, *ids = batch->prompted;
    Tensor *z = vae_encode_mean(model->vae, batch->image);
    if (!map && draw(context, prompts, batch->host, z, &map, &ids) != 0) return NULL;
    *prompt = map;
    UnetResiduals residuals;
    if (controlnet_forward(model->control, z, MODEL_TIMESTEP, model->train_context, map, 1,
                           &residuals) != 0)
        return NULL;
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->train_context, &residuals);
    if (config->prompt_loss != PROMPT_LOSS_PROMPTED)
        return target_loss(context, batch->host, v, prompts->object, shown);
    Tensor *image = *shown = tape_keep(task_decode(context, v));
    ColoringOptions options = coloring_options_default(COLORING_PROMPTED);
    options.variance = config->loss_variance;
    options.separation = config->loss_separation;
    options.mean = config->loss_mean;
    options.separation_factor = config->loss_factor;
    return op_coloring_loss(op_affine(image, config->loss_scale, 0), batch->labels,
                            batch->no_background, ids, options);
}

static int begin(const TaskContext *context, Prompts *prompts, const Batch *batch) {
    const int channels = (int)context->model->control->config.condition_channels;
    const int each = condition_channels((ConditionEncoding)context->config->prompt_encoding);
    return prompts_begin(prompts, batch, channels, channels / each);
}

static int feed(const TaskContext *context, DeviceBatch *batch) {
    const Batch *host = batch->host;
    int64_t n = host->count, h = host->height, w = host->width;
    Prompts prompts;
    if (!repeats(context)) return 0;
    int result = begin(context, &prompts, host);
    if (result == 0) result = make_prompts(&prompts, context->config, host);
    if (result == 0 && !batch->condition) {
        batch->condition = tensor_new(SHAPE(F32, n, h, w, prompts.channels));
        batch->prompted = tensor_new(SHAPE(I32, n, prompts.objects));
        if (!batch->condition || !batch->prompted) result = -1;
    }
    if (result == 0) result = tensor_write(batch->condition, prompts.map);
    if (result == 0) result = tensor_write(batch->prompted, prompts.prompted);
    prompts_done(&prompts, host->count);
    return result;
}

static Tensor *loss(TaskContext *context, const DeviceBatch *batch, Tensor **shown,
                    Tensor **prompt) {
    Prompts prompts;
    Tensor *result = NULL;
    if (batch->condition) return prompted_loss(context, batch, NULL, shown, prompt);
    if (begin(context, &prompts, batch->host) == 0)
        result = prompted_loss(context, batch, &prompts, shown, prompt);
    prompts_done(&prompts, batch->host->count);
    return result;
}

// At the start only the closed gates learn; what lies before them waits for them to open.
static bool behind_gate(const char *name, void *context) {
    (void)context;
    return strncmp(name, "controlnet.", 11) == 0 &&
           strncmp(name, "controlnet.controlnet_down_blocks.", 34) != 0 &&
           strncmp(name, "controlnet.controlnet_mid_block.", 32) != 0;
}

const Task task_prompt2seg = {.name = "prompt2seg",
                              .prepare = prepare,
                              .feed = feed,
                              .repeats = repeats,
                              .loss = loss,
                              .may_be_zero = behind_gate,
                              .zero_reason = "they lie behind zero convolutions"};
