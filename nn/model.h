// SPDX-License-Identifier: MIT
// A model: the folder that diffusers reads and writes, opened as one thing.
//
//   DIR/unet, DIR/vae, DIR/controlnet (optional)   config.json, diffusion_pytorch_model.safetensors
//   DIR/scheduler/scheduler_config.json            (optional) prediction type and noise schedule
//   DIR/empty_prompt.safetensors                   train [77,D], infer [2,D]: the text encoder's
//                                                  answers to the empty prompt; a random
//                                                  miniature's `train` has 2 rows too
#ifndef NN_MODEL_H
#define NN_MODEL_H

#include "nn/controlnet.h"
#include "nn/schedule.h"
#include "nn/unet.h"
#include "nn/vae.h"

#define MODEL_WEIGHTS_STEM "diffusion_pytorch_model" // of every part
#define MODEL_WEIGHTS MODEL_WEIGHTS_STEM ".safetensors"
#define EMPTY_PROMPT_FILE "empty_prompt.safetensors"

enum { MODEL_TIMESTEP = 999 }; // the only one that is used: one step from noise-free to clean

typedef struct {
    Unet *unet;
    Vae *vae;
    ControlNet *control;   // NULL without a branch
    Tensor *train_context; // [1,T,D], T = 77 for Stable Diffusion
    Tensor *infer_context; // [1,T,D], T = 2
    Schedule schedule;
} Model;

// What to open and how.
typedef struct {
    Dtype dtype;         // F32, or F64 for gradient checks
    bool bf16;           // networks compute in BF16, on a device that has it; parameters stay F32
    bool without_branch; // leaves controlnet/ alone
    bool random_seed;    // a part that has a config.json but no weights starts from `seed`
    uint64_t seed;
    bool train_unet, train_vae, train_branch; // everything else is frozen
} ModelOptions;

// Opens a folder. An error when a part lacks its weights (unless
// random_seed), when the scheduler predicts anything but v, or when parts do not fit together.
Model *model_open(const char *folder, const ModelOptions *options);

// A model with random weights: a name that both unet.h and vae.h have built in ("sd2", "sd15",
// "miniature"), or a folder with config.json files, whatever weights it also holds. Built-in ones
// have no branch; see model_add_branch.
Model *model_init(const char *name, const ModelOptions *options);

// Gives a model a fresh branch beside its U-Net, in place of one it has; it is trained. channels:
// P.
int model_add_branch(Model *model, int64_t channels, uint64_t seed);

void model_free(Model *model);

// Writes the folder: parts, model_index.json, scheduler, empty prompt. Each file is replaced
// atomically; who wants all or nothing gives a folder of folder_replace_begin.
// Weights of a part without trained parameters are linked (or copied) from the model folder `from`
// where that has them; NULL writes all. `from` must hold what the model was opened from.
int model_save(const Model *model, const char *folder, const char *from);
// The parts alone: "unet", "vae" or "controlnet".
int model_save_part(const Model *model, const char *folder, const char *part);

// model_save with the weights as F16, half the size; they are rounded.
int model_save_half(const Model *model, const char *folder);

// From v to the clean latent at timestep 999. Training: -noise v. Inference: signal z - noise v, as
// the published pipeline does.
Tensor *model_clean_training(const Model *model, Tensor *v);
Tensor *model_clean_inference(const Model *model, Tensor *z, Tensor *v);

// Image sides must be multiples of this: 8 for Stable Diffusion.
int64_t model_image_multiple(const Model *model);

#endif
