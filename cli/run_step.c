// SPDX-License-Identifier: MIT
// Components: a whole training step of a task, AdamW, the learning rate.
#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/run.h"
#include "nn/weights.h"
#include "train/optimizer.h"
#include "train/schedule.h"
#include "train/task.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    TrainConfig train; // first, so that the rows of its keys fit
    int64_t step;
} StepKeys;
#define TRAIN_ROW(...) CONFIG_ROW(TrainConfig, __VA_ARGS__)
#define STEP_ROW(...) CONFIG_ROW(StepKeys, __VA_ARGS__)
static const ConfigKey step_rows[] = {TRAIN_KEYS(TRAIN_ROW) STEP_ROW(
    INT, step, "step", "0", "[0, 100000000]", "updates done before")};
static const ConfigTable step_table = {step_rows, sizeof step_rows / sizeof *step_rows};

// ---- a step of a task ---------------------------------------------------------------------------

static int32_t largest(const int32_t *labels, int64_t count) {
    int32_t most = 0;
    for (int64_t i = 0; i < count; i++)
        if (labels[i] > most) most = labels[i];
    return most;
}

static int fill_batch(Run *run, Batch *batch) {
    Tensor *image = run_tensor(run, "image"), *labels = run_tensor(run, "labels");
    Tensor *unknown = run_optional(run, "no_background");
    if (!image || !labels || !unknown) return -1;
    image->needs_grad = false; // as in training
    if (tensor_read(image, batch->image) != 0 || tensor_read(labels, batch->labels) != 0) return -1;
    if (unknown != NONE && tensor_read(unknown, batch->no_background) != 0) return -1;
    int64_t pixels = (int64_t)batch->height * batch->width;
    for (int b = 0; b < batch->count; b++)
        batch->instances[b] = largest(batch->labels + b * pixels, pixels);
    return 0;
}

static Batch *read_batch(Run *run) {
    const int64_t *shape = run_stored(run, "image")->shape;
    for (int i = 0; i < 4; i++)
        if (shape[i] > 8192) return error_null("tensor image has a side above 8192");
    Batch *batch = batch_new((int)shape[0], (int)shape[2], (int)shape[3]);
    if (batch && fill_batch(run, batch) == 0) return batch;
    batch_free(batch);
    return NULL;
}

// The sets with trained parameters.
static int trained_sets(const Model *model, ParamSet **sets) {
    ParamSet *all[TASK_SETS];
    int count = task_sets(model, all), kept = 0;
    for (int i = 0; i < count; i++)
        if (params_trained_elements(all[i]) > 0) sets[kept++] = all[i];
    return kept;
}

// Moment `kind` ("m" or "v") of every trained parameter of a set; *next is the optimiser's place.
static int read_moments(Run *run, const ParamSet *set, const char *title, const char *kind,
                        Tensor **moments, int64_t *next) {
    for (size_t i = 0; i < set->count; i++) {
        const Param *param = &set->items[i];
        if (!param->tensor->needs_grad) continue;
        char *name = text_format("%s.%s%s%s", kind, title, title[0] ? "." : "", param->name);
        const SafeTensor *stored = name ? run_stored(run, name) : NULL;
        free(name);
        if (!stored || weights_from_file_layout(param, stored, moments[(*next)++]) != 0) return -1;
    }
    return 0;
}

static int output_number(Run *run, const char *name, double value) {
    return run_output_values(run, name, SAFE_F64, 1, (const int64_t[]){1}, &value);
}

static int update(Run *run, const StepKeys *keys, ParamSet *const *sets, int count,
                  Optimizer *optimizer) {
    int64_t m = 0, v = 0;
    double norm = 0, rate = learning_rate(&keys->train, keys->step);
    if (optimizer_begin(optimizer, sets, count) != 0) return -1;
    for (int s = 0; s < count; s++) {
        const char *title = count > 1 ? sets[s]->title : "";
        if (read_moments(run, sets[s], title, "m", optimizer->m, &m) != 0 ||
            read_moments(run, sets[s], title, "v", optimizer->v, &v) != 0)
            return -1;
    }
    optimizer->step = keys->step;
    if (optimizer_update(optimizer, &keys->train, rate, &norm) != 0) return -1;
    for (int s = 0; s < count; s++)
        if (run_output_params(run, sets[s], count > 1 ? sets[s]->title : "") != 0) return -1;
    if (output_number(run, "norm", norm) != 0) return -1;
    return output_number(run, "rate", rate);
}

static int step_with(Run *run, const Task *task, const StepKeys *keys, Model *model,
                     const DeviceBatch *batch) {
    TaskContext context = {.config = &keys->train, .model = model, .step = keys->step};
    ParamSet *sets[TASK_SETS];
    Optimizer optimizer = {0};
    Tensor *shown = NONE, *prompt = NONE;
    if (task->prepare && task->prepare(&context, false) != 0) return -1;
    task_recompute(model, keys->train.recompute);
    Tensor *loss = task->loss(&context, batch, &shown, &prompt);
    if (run_output(run, "loss", loss) != 0 || run_output(run, "shown", shown) != 0) return -1;
    if (prompt != NONE && run_output(run, "prompt", prompt) != 0) return -1;
    int count = trained_sets(model, sets);
    int result = run_backward(run, sets, count);
    if (result == 0 && run_stored_at(run, "m.*", 0)) {
        if (!run_wants_gradients(run))
            return error_int(
                "moments are given, but no grad.loss: there is nothing to update with");
        result = update(run, keys, sets, count, &optimizer);
        optimizer_done(&optimizer);
    }
    return result;
}

static int step(Run *run, const Task *task, const StepKeys *keys, ModelOptions options) {
    DeviceBatch device = {0};
    Model *model = model_open(run_model(run), &options);
    Batch *batch = model ? read_batch(run) : NULL;
    int result = batch ? device_batch_begin(&device, batch) : -1;
    if (result == 0) result = step_with(run, task, keys, model, &device);
    tape_reset();
    device_batch_done(&device);
    batch_free(batch);
    model_free(model);
    return result;
}

static int step_gen2seg(Run *run, const void *given) {
    StepKeys keys = *(const StepKeys *)given;
    keys.train.task = TASK_GEN2SEG;
    return step(run, &task_gen2seg, &keys, task_model_options(&keys.train));
}

static int step_prompt2seg(Run *run, const void *given) {
    StepKeys keys = *(const StepKeys *)given;
    keys.train.task = TASK_PROMPT2SEG;
    return step(run, &task_prompt2seg, &keys, task_model_options(&keys.train));
}

// ---- adamw --------------------------------------------------------------------------------------

#define ADAMW_KEYS(KEY)                                                                        \
    KEY(DOUBLE, lr, "lr", "6e-5", "[0, 10]", "learning rate")                                  \
    KEY(DOUBLE, beta1, "beta1", "0.9", "[0, 1)", "first moment decay")                         \
    KEY(DOUBLE, beta2, "beta2", "0.999", "[0, 1)", "second moment decay")                      \
    KEY(DOUBLE, eps, "eps", "1e-8", "(0, 1]", "epsilon")                                       \
    KEY(DOUBLE, weight_decay, "weight_decay", "0.01", "[0, 1]", "decoupled, on all")           \
    KEY(DOUBLE, clip, "clip", "0", "[0, inf]", "largest global gradient norm; 0: no clipping") \
    KEY(INT, step, "step", "0", "[0, 100000000]", "updates done before")
typedef struct {
    ADAMW_KEYS(CONFIG_FIELD)
} AdamwKeys;
#define ADAMW_ROW(...) CONFIG_ROW(AdamwKeys, __VA_ARGS__)
static const ConfigKey adamw_rows[] = {ADAMW_KEYS(ADAMW_ROW)};
static const ConfigTable adamw_table = {adamw_rows, sizeof adamw_rows / sizeof *adamw_rows};

static int read_into(Run *run, const char *kind, const Param *param, Tensor *tensor) {
    char *name = text_format("%s.%s", kind, param->name);
    const SafeTensor *stored = name ? run_stored(run, name) : NULL;
    free(name);
    return stored ? weights_from_file_layout(param, stored, tensor) : -1;
}

// Every "param.NAME" as a vector.
static int declare_all(Run *run, ParamSet *set) {
    const SafeTensor *stored;
    for (size_t i = 0; (stored = run_stored_at(run, "param.*", i)); i++) {
        if (!params_vector(set, stored->name + strlen("param."), stored->numel, INIT_ZEROS, 0))
            return -1;
        Param *param = params_last(set);
        if (stored->ndim > PARAM_FILE_DIMS)
            return error_int("tensor %s has more than %d sides", stored->name, PARAM_FILE_DIMS);
        param->file_ndim = stored->ndim;
        memcpy(param->file_shape, stored->shape, (size_t)stored->ndim * sizeof *stored->shape);
        if (tensor_materialize(param->tensor) != 0 ||
            weights_from_file_layout(param, stored, param->tensor) != 0 ||
            tensor_grad_alloc(param->tensor) != 0 ||
            read_into(run, "g", param, param->tensor->grad) != 0)
            return -1;
        param->tensor->has_grad = true;
    }
    params_train(set, "");
    return 0;
}

static int output_vector(Run *run, const char *kind, const Param *param, const Tensor *tensor) {
    float *values = array_new((size_t)tensor_numel(tensor), sizeof *values);
    char *name = text_format("%s.%s", kind, param->name);
    int result = values && name ? tensor_read_float(tensor, values) : -1;
    if (result == 0)
        result =
            run_output_values(run, name, SAFE_F32, param->file_ndim, param->file_shape, values);
    free(name);
    free(values);
    return result;
}

static int adamw_with(Run *run, const AdamwKeys *keys, ParamSet *set, Optimizer *optimizer) {
    const TrainConfig config = {.beta1 = keys->beta1,
                                .beta2 = keys->beta2,
                                .eps = keys->eps,
                                .weight_decay = keys->weight_decay,
                                .clip = keys->clip};
    double norm;
    if (declare_all(run, set) != 0 || optimizer_begin(optimizer, &set, 1) != 0) return -1;
    for (size_t i = 0; i < set->count; i++)
        if (read_into(run, "m", &set->items[i], optimizer->m[i]) != 0 ||
            read_into(run, "v", &set->items[i], optimizer->v[i]) != 0)
            return -1;
    optimizer->step = keys->step;
    if (optimizer_update(optimizer, &config, keys->lr, &norm) != 0) return -1;
    for (size_t i = 0; i < set->count; i++) {
        const Param *param = &set->items[i];
        if (output_vector(run, "param", param, param->tensor) != 0 ||
            output_vector(run, "m", param, optimizer->m[i]) != 0 ||
            output_vector(run, "v", param, optimizer->v[i]) != 0)
            return -1;
    }
    return output_number(run, "norm", norm);
}

static int adamw(Run *run, const void *keys) {
    ParamSet set = {0};
    Optimizer optimizer = {0};
    int result = params_begin(&set, "adamw", F32);
    if (result == 0) result = adamw_with(run, keys, &set, &optimizer);
    optimizer_done(&optimizer);
    params_done(&set);
    return result;
}

// ---- lr -----------------------------------------------------------------------------------------

static int rates(Run *run, const void *given) {
    const StepKeys *keys = given;
    Tensor *steps = run_tensor(run, "steps");
    int64_t count = steps ? steps->shape[0] : 0;
    int32_t *numbers = array_new((size_t)count, sizeof *numbers);
    double *values = array_new((size_t)count, sizeof *values);
    int result = steps && numbers && values ? tensor_read(steps, numbers) : -1;
    for (int64_t i = 0; result == 0 && i < count; i++)
        values[i] = learning_rate(&keys->train, numbers[i]);
    if (result == 0) result = run_output_values(run, "rates", SAFE_F64, 1, &count, values);
    free(numbers);
    free(values);
    return result;
}

// ---- the table ----------------------------------------------------------------------------------

#define STEP_INPUTS                                                                              \
    {                                                                                            \
        {"image", RUN_IMAGE, "N,3,H,W", false, "-1..1"},                                         \
            {"labels", RUN_INTEGER, "N,H,W", false, "0 background, 1..n instances, -1 ignored"}, \
            {"no_background", RUN_INTEGER, "N", true, "1: unlabelled pixels are no background"}, \
            {"m.*", RUN_FLOAT, "...", true,                                                      \
             "first moments of all trained parameters: the step is "                             \
             "done, with the gradients of grad.loss"},                                           \
        {                                                                                        \
            "v.*", RUN_FLOAT, "...", true, "second moments"                                      \
        }                                                                                        \
    }
#define STEP_OUTPUTS(...)                                                                       \
    {                                                                                           \
        {"loss", RUN_FLOAT, "1", false, NULL},                                                  \
            {"shown", RUN_IMAGE, "N,3,H,W", false, "the predicted image, about 0..255"},        \
            {"param.*", RUN_FLOAT, "...", false, "with moments: the weights after the update"}, \
            {"norm", RUN_FLOAT, "1", false, "with moments: the gradients' before clipping"},    \
            {"rate", RUN_FLOAT, "1", false, "with moments: the learning rate"}, __VA_ARGS__     \
    }

// clang-format off
static const Component components[] = {
    {"step.gen2seg", "a training step of gen2seg; its timestep, prompt and schedule are the model's",
     .needs_model = true, .gradients = true, .inputs = STEP_INPUTS, .outputs = STEP_OUTPUTS({0}),
     .keys = &step_table, .keys_size = sizeof(StepKeys), .run = step_gen2seg},
    {"step.prompt2seg", "a training step of Prompt2Seg; its prompts are drawn from the seed",
     .needs_model = true, .gradients = true, .inputs = STEP_INPUTS,
     .outputs = STEP_OUTPUTS({"prompt", RUN_IMAGE, "N,P,H,W", false, "the condition that was drawn"}),
     .keys = &step_table, .keys_size = sizeof(StepKeys), .run = step_prompt2seg},
    {"adamw", "one update, clipped by the global norm",
     .inputs = {{"param.*", RUN_FLOAT, "...", false, NULL}, {"g.*", RUN_FLOAT, "...", false, "gradients"},
                {"m.*", RUN_FLOAT, "...", false, "first moments"}, {"v.*", RUN_FLOAT, "...", false, "second moments"}},
     .outputs = {{"param.*", RUN_FLOAT, "...", false, NULL}, {"m.*", RUN_FLOAT, "...", false, NULL},
                 {"v.*", RUN_FLOAT, "...", false, NULL}, {"norm", RUN_FLOAT, "1", false, "before clipping"}},
     .keys = &adamw_table, .keys_size = sizeof(AdamwKeys), .run = adamw},
    {"lr", "learning rate by optimiser step",
     .inputs = {{"steps", RUN_INTEGER, "K", false, "counted from 0"}},
     .outputs = {{"rates", RUN_FLOAT, "K", false, "F64"}},
     .keys = &step_table, .keys_size = sizeof(StepKeys), .run = rates},
};
// clang-format on

const ComponentGroup components_step = {components, sizeof components / sizeof components[0]};
