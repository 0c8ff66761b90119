// SPDX-License-Identifier: MIT
// Model folders. See model.h.
#include "nn/model.h"

#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "nn/netconfig.h"
#include "nn/weights.h"

#include <stdlib.h>
#include <string.h>

enum { LONG_PROMPT = 77, SHORT_PROMPT = 2 };

// ---- the empty prompt ---------------------------------------------------------------------------

static Tensor *context_of(Dtype dtype, int64_t rows, int64_t width, const float *values) {
    Tensor *context = tensor_new(SHAPE(dtype, 1, rows, width));
    if (context && tensor_write_float(context, values) != 0) {
        tensor_free(context);
        return NULL;
    }
    return context;
}

// Distinct rows, none of them zero, so that attention has something to tell apart. The short prompt
// is the start of the long one, as behind a causal mask.
static int random_prompt(Model *model, Dtype dtype, uint64_t seed) {
    int64_t width = model->unet->config.context_width;
    int64_t rows = width >= 512 ? LONG_PROMPT : SHORT_PROMPT;
    float *values = array_new((size_t)(rows * width), sizeof *values);
    if (!values) return -1;
    Rng rng = rng_stream(seed, "empty prompt", 0, 0);
    for (int64_t i = 0; i < rows * width; i++) values[i] = (float)rng_normal(&rng);
    model->train_context = context_of(dtype, rows, width, values);
    model->infer_context = context_of(dtype, SHORT_PROMPT, width, values);
    free(values);
    return model->train_context && model->infer_context ? 0 : -1;
}

static Tensor *read_context(const SafeFile *file, const char *name, Dtype dtype, int64_t width) {
    const SafeTensor *stored = safetensors_find(file, name);
    if (!stored || stored->ndim != 2 || stored->shape[0] < 1 || stored->shape[1] != width)
        return error_null("tensor %s is missing or not [T,%lld]", name, (long long)width);
    float *values = array_new((size_t)stored->numel, sizeof *values);
    if (!values) return NULL;
    safetensors_read_float(stored, values);
    Tensor *context = context_of(dtype, stored->shape[0], width, values);
    free(values);
    return context;
}

static int read_prompt(Model *model, const char *path, Dtype dtype) {
    SafeFile *file = safetensors_open(path);
    if (!file) return -1;
    int64_t width = model->unet->config.context_width;
    model->train_context = read_context(file, "train", dtype, width);
    model->infer_context = read_context(file, "infer", dtype, width);
    safetensors_close(file);
    return model->train_context && model->infer_context ? 0 : error_context("%s", path);
}

static int fill_context(void *context, size_t index, void *values) {
    const Model *model = context;
    return tensor_read_float(index == 0 ? model->train_context : model->infer_context, values);
}

static int write_prompt(const Model *model, const char *path) {
    const Tensor *train = model->train_context, *infer = model->infer_context;
    SafeEntry entries[] = {{"train", SAFE_F32, 2, {train->shape[1], train->shape[2]}, NULL},
                           {"infer", SAFE_F32, 2, {infer->shape[1], infer->shape[2]}, NULL}};
    return safetensors_write(path, entries, 2, fill_context, (void *)model);
}

// ---- parts --------------------------------------------------------------------------------------

static char *part_path(const char *folder, const char *part, const char *file) {
    return text_format("%s/%s/%s", folder, part, file);
}

static bool has_part(const char *folder, const char *part) {
    char *path = part_path(folder, part, "config.json");
    bool found = path && file_exists(path);
    free(path);
    return found;
}

typedef enum { FROM_FILE, FROM_FILE_OR_SEED, FROM_SEED } Source;

static int load_part(ParamSet *params, const char *folder, bool train, Source source,
                     const ModelOptions *options) {
    uint64_t seed = options->seed;
    if (train) params_train(params, "");
    if (source == FROM_SEED) return params_init(params, seed);
    char *path = path_join(folder, params->title);
    if (!path) return -1;
    int result;
    if (source == FROM_FILE_OR_SEED && !weights_in_folder(path, MODEL_WEIGHTS_STEM))
        result = params_init(params, seed);
    else
        result = weights_load_folder(params, path, MODEL_WEIGHTS_STEM);
    free(path);
    return result;
}

// The networks of a folder, declared.
static int declare_parts(Model *model, const char *folder, const ModelOptions *options) {
    UnetConfig unet;
    VaeConfig vae;
    ControlNetConfig control;
    char *unet_path = part_path(folder, "unet", "config.json");
    char *vae_path = part_path(folder, "vae", "config.json");
    char *control_path = part_path(folder, "controlnet", "config.json");
    bool branch = !options->without_branch && has_part(folder, "controlnet");
    bool read = unet_path && vae_path && control_path && unet_config_read(&unet, unet_path) == 0 &&
                vae_config_read(&vae, vae_path) == 0 &&
                (!branch || controlnet_config_read(&control, control_path) == 0);
    free(unet_path);
    free(vae_path);
    free(control_path);
    if (!read) return -1;
    model->unet = unet_new(&unet, options->dtype);
    model->vae = vae_new(&vae, options->dtype);
    if (branch) model->control = controlnet_new(&control, options->dtype);
    return model->unet && model->vae && (!branch || model->control) ? 0 : -1;
}

static int check_fit(const Model *model) {
    const UnetConfig *unet = &model->unet->config;
    const VaeConfig *vae = &model->vae->config;
    if (unet->in_channels != vae->latent_channels || unet->out_channels != vae->latent_channels)
        return error_int("the U-Net maps %lld to %lld channels, the latents have %lld",
                         (long long)unet->in_channels, (long long)unet->out_channels,
                         (long long)vae->latent_channels);
    if (!model->control) return 0;
    const ControlNetConfig *control = &model->control->config;
    if (unet_skip_count(unet) != unet_skip_count(&control->encoder) ||
        unet->context_width != control->encoder.context_width ||
        memcmp(unet->channels, control->encoder.channels, sizeof unet->channels) != 0)
        return error_int("the branch is not built like the U-Net's encoder");
    if ((int64_t)1 << (control->widths - 1) != vae_factor(vae))
        return error_int("the branch makes its condition %d times smaller, the auto-encoder %lld",
                         1 << (control->widths - 1), (long long)vae_factor(vae));
    return 0;
}

static int load_parts(Model *model, const char *folder, const ModelOptions *options,
                      Source source) {
    if (load_part(&model->unet->params, folder, options->train_unet, source, options) != 0 ||
        load_part(&model->vae->params, folder, options->train_vae, source, options) != 0)
        return -1;
    if (!model->control) return 0;
    char *path = path_join(folder, "controlnet");
    bool stored = path && source != FROM_SEED && weights_in_folder(path, MODEL_WEIGHTS_STEM);
    free(path);
    if (!stored && source != FROM_FILE) {
        if (options->train_branch) params_train(&model->control->params, "");
        return controlnet_start(model->control, model->unet, options->seed);
    }
    return load_part(&model->control->params, folder, options->train_branch, source, options);
}

// ---- opening ------------------------------------------------------------------------------------

static int take_schedule(Model *model, const char *folder) {
    char *path = part_path(folder, "scheduler", "scheduler_config.json");
    if (!path) return -1;
    int result = 0;
    if (file_exists(path))
        result = schedule_read(&model->schedule, path);
    else
        schedule_make(&model->schedule, 0.00085, 0.012);
    free(path);
    return result;
}

static int take_prompt(Model *model, const char *folder, const ModelOptions *options,
                       Source source) {
    char *path = path_join(folder, EMPTY_PROMPT_FILE);
    if (!path) return -1;
    int result;
    if (file_exists(path))
        result = read_prompt(model, path, options->dtype);
    else if (source != FROM_FILE)
        result = random_prompt(model, options->dtype, options->seed);
    else
        result = error_int("%s is missing: the text encoder's answers to the empty prompt, tensors "
                           "train [77,%lld] and infer [2,%lld]; p2s prepare prompt makes it",
                           path, (long long)model->unet->config.context_width,
                           (long long)model->unet->config.context_width);
    free(path);
    return result;
}

static Model *with_precision(Model *model, const ModelOptions *options) {
    memory_return_freed(); // what weights were turned around in
    model->unet->bf16 = model->vae->bf16 = options->bf16;
    if (model->control) model->control->bf16 = options->bf16;
    return model;
}

static Model *open_folder(const char *folder, const ModelOptions *options, Source source) {
    if (!folder_exists(folder)) return error_null("%s: there is no such model folder", folder);
    Model *model = array_new(1, sizeof *model);
    if (!model) return NULL;
    if (declare_parts(model, folder, options) == 0 && check_fit(model) == 0 &&
        take_schedule(model, folder) == 0 && load_parts(model, folder, options, source) == 0 &&
        take_prompt(model, folder, options, source) == 0)
        return with_precision(model, options);
    error_context("model %s", folder);
    model_free(model);
    return NULL;
}

Model *model_open(const char *folder, const ModelOptions *options) {
    return open_folder(folder, options, options->random_seed ? FROM_FILE_OR_SEED : FROM_FILE);
}

static Model *init_named(const char *name, const ModelOptions *options) {
    Model *model = array_new(1, sizeof *model);
    if (!model) return NULL;
    model->unet = unet_new(unet_config_named(name), options->dtype);
    model->vae = vae_new(vae_config_named(name), options->dtype);
    schedule_make(&model->schedule, 0.00085, 0.012);
    if (model->unet && model->vae && load_parts(model, name, options, FROM_SEED) == 0 &&
        random_prompt(model, options->dtype, options->seed) == 0)
        return with_precision(model, options);
    model_free(model);
    return NULL;
}

Model *model_init(const char *name, const ModelOptions *options) {
    if (unet_config_named(name) && vae_config_named(name)) return init_named(name, options);
    return open_folder(name, options, FROM_SEED);
}

int model_add_branch(Model *model, int64_t channels, uint64_t seed) {
    const ControlNetConfig config =
        controlnet_config_beside(&model->unet->config, model->vae->config.levels, channels);
    ControlNet *control = controlnet_new(&config, model->unet->params.dtype);
    if (!control) return -1;
    control->bf16 = model->unet->bf16;
    params_train(&control->params, "");
    if (controlnet_start(control, model->unet, seed) != 0) {
        controlnet_free(control);
        return -1;
    }
    controlnet_free(model->control);
    model->control = control;
    return 0;
}

void model_free(Model *model) {
    if (!model) return;
    unet_free(model->unet);
    vae_free(model->vae);
    controlnet_free(model->control);
    tensor_free(model->train_context);
    tensor_free(model->infer_context);
    free(model);
}

// ---- saving -------------------------------------------------------------------------------------

static int write_part_config(const Model *model, const char *part, const char *path) {
    if (strcmp(part, "unet") == 0) return unet_config_write(&model->unet->config, path);
    if (strcmp(part, "vae") == 0) return vae_config_write(&model->vae->config, path);
    return controlnet_config_write(&model->control->config, path);
}

static const ParamSet *part_params(const Model *model, const char *part) {
    if (strcmp(part, "unet") == 0) return &model->unet->params;
    if (strcmp(part, "vae") == 0) return &model->vae->params;
    if (strcmp(part, "controlnet") == 0 && model->control) return &model->control->params;
    return error_null("model: it has no part %s", part);
}

static int save_part(const Model *model, const char *folder, const char *part, SafeType type) {
    const ParamSet *params = part_params(model, part);
    if (!params) return -1;
    char *inner = path_join(folder, part);
    char *config = part_path(folder, part, "config.json");
    char *weights = part_path(folder, part, MODEL_WEIGHTS);
    int result = -1;
    if (inner && config && weights && folder_make(inner) == 0 &&
        write_part_config(model, part, config) == 0)
        result = weights_save_as(params, weights, type);
    free(inner);
    free(config);
    free(weights);
    return result;
}

int model_save_part(const Model *model, const char *folder, const char *part) {
    return save_part(model, folder, part, SAFE_F32);
}

static int write_index(const Model *model, const char *folder) {
    json_t *root = json_pack(
        "{s:s,s:s,s:[s,s],s:[s,s],s:[s,s],s:[n,n],s:[n,n],s:[n,n],s:[n,n],s:b}", "_class_name",
        model->control ? "StableDiffusionControlNetPipeline" : "StableDiffusionPipeline",
        "_diffusers_version", "0.30.2", "unet", "diffusers", "UNet2DConditionModel", "vae",
        "diffusers", "AutoencoderKL", "scheduler", "diffusers", "DDIMScheduler", "text_encoder",
        "tokenizer", "safety_checker", "feature_extractor", "requires_safety_checker", 0);
    if (!root) return error_int("%s: out of memory", folder);
    if (model->control)
        json_object_set_new(root, "controlnet", json_pack("[s,s]", "diffusers", "ControlNetModel"));
    char *path = path_join(folder, "model_index.json");
    int result = path ? netconfig_write(path, root) : -1;
    free(path);
    json_decref(root);
    return result;
}

static int write_rest(const Model *model, const char *folder) {
    char *inner = path_join(folder, "scheduler"), *prompt = path_join(folder, EMPTY_PROMPT_FILE);
    char *schedule = part_path(folder, "scheduler", "scheduler_config.json");
    int result = -1;
    if (inner && prompt && schedule && folder_make(inner) == 0 &&
        schedule_write(&model->schedule, schedule) == 0 && write_prompt(model, prompt) == 0)
        result = write_index(model, folder);
    free(inner);
    free(prompt);
    free(schedule);
    return result;
}

// A part that nothing has changed is the same file, if `from` holds it.
static int save_or_link(const Model *model, const char *folder, const char *part,
                        const char *from) {
    const ParamSet *params = part_params(model, part);
    if (!params) return -1;
    char *old = from ? part_path(from, part, MODEL_WEIGHTS) : NULL;
    if (!old || params_trained_elements(params) > 0 || !file_exists(old)) {
        free(old);
        return model_save_part(model, folder, part);
    }
    char *inner = path_join(folder, part), *config = part_path(folder, part, "config.json");
    char *weights = part_path(folder, part, MODEL_WEIGHTS);
    int result = -1;
    if (inner && config && weights && folder_make(inner) == 0 &&
        write_part_config(model, part, config) == 0)
        result = file_link_or_copy(old, weights);
    free(old);
    free(inner);
    free(config);
    free(weights);
    return result;
}

int model_save(const Model *model, const char *folder, const char *from) {
    if (folder_make(folder) != 0 || save_or_link(model, folder, "unet", from) != 0 ||
        save_or_link(model, folder, "vae", from) != 0)
        return -1;
    if (model->control && save_or_link(model, folder, "controlnet", from) != 0) return -1;
    return write_rest(model, folder);
}

int model_save_half(const Model *model, const char *folder) {
    if (folder_make(folder) != 0 || save_part(model, folder, "unet", SAFE_F16) != 0 ||
        save_part(model, folder, "vae", SAFE_F16) != 0 ||
        (model->control && save_part(model, folder, "controlnet", SAFE_F16) != 0))
        return -1;
    return write_rest(model, folder);
}

// ---- from v to the clean latent -----------------------------------------------------------------

Tensor *model_clean_training(const Model *model, Tensor *v) {
    return op_affine(v, -(double)model->schedule.noise[MODEL_TIMESTEP], 0);
}

Tensor *model_clean_inference(const Model *model, Tensor *z, Tensor *v) {
    Scope scope = scope_begin();
    Tensor *signal = op_affine(z, (double)model->schedule.signal[MODEL_TIMESTEP], 0);
    return scope_end(scope, op_add(signal, model_clean_training(model, v)));
}

int64_t model_image_multiple(const Model *model) {
    return vae_factor(&model->vae->config);
}
