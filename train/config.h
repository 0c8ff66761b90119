// SPDX-License-Identifier: MIT
// Every key of a training config. From this table come the struct, the YAML reader, the overrides,
// `p2s train --help` and the resolved config.yaml of a run (base/config.h).
#ifndef TRAIN_CONFIG_H
#define TRAIN_CONFIG_H

#include "base/config.h"

// clang-format off
#define TRAIN_KEYS(KEY)                                                                                                                      \
    KEY(STRING, run,            "run",                    "runs/train", "", "folder of this run; made if missing, locked while in use")       \
    KEY(CHOICE, task,           "task",                   "gen2seg", "vae|diffusion|gen2seg|prompt2seg", "what is trained")                             \
    KEY(STRING, model,          "model",                  "", "", "starting weights: a model folder, or sd2 or miniature for random ones")    \
    KEY(BOOL,   random_branch,  "random_branch",          "false", "", "prompt2seg: begin with a fresh branch, whatever the model folder holds") \
    KEY(BOOL,   random_unet,    "random_unet",            "false", "", "diffusion, gen2seg: begin with a random U-Net, whatever the model folder holds") \
    KEY(INT,    seed,           "seed",                   "0", "[0, 4294967295]", "every random choice follows from it")                      \
    KEY(INT,    threads,        "threads",                "0", "[0, 1024]", "threads for arithmetic; 0 = all, shared by a machine's processes") \
    KEY(CHOICE, device,         "device",                 "cpu", "cpu|cuda", "where tensors live")                                            \
    KEY(INT,    steps,          "train.steps",            "30000", "[1, 100000000]", "optimiser steps")                                       \
    KEY(INT,    batch,          "train.batch",            "2", "[1, 4096]", "images of a micro-batch, of all processes together")                                        \
    KEY(INT,    accumulate,     "train.accumulate",       "1", "[1, 4096]", "micro-batches whose mean gradient makes a step")                 \
    KEY(DOUBLE, lr,             "train.lr",               "6e-5", "(0, 10]", "learning rate after warm-up")                                   \
    KEY(INT,    warmup,         "train.warmup",           "100", "[0, 10000000]", "steps of linear warm-up; the first has rate 0")            \
    KEY(CHOICE, schedule,       "train.schedule",         "exponential", "constant|exponential|cosine", "course of the rate after warm-up")   \
    KEY(INT,    schedule_steps, "train.schedule_steps",   "0", "[0, 100000000]", "step at which the schedule ends; 0 = train.steps")          \
    KEY(DOUBLE, final_ratio,    "train.final_ratio",      "0.05", "[0, 1]", "rate at the end of the schedule over the peak rate")             \
    KEY(DOUBLE, beta1,          "train.beta1",            "0.9", "[0, 1)", "AdamW's first moment decay")                                      \
    KEY(DOUBLE, beta2,          "train.beta2",            "0.999", "[0, 1)", "AdamW's second moment decay")                                   \
    KEY(DOUBLE, eps,            "train.eps",              "1e-8", "(0, 1]", "AdamW's epsilon")                                                \
    KEY(DOUBLE, weight_decay,   "train.weight_decay",     "0.01", "[0, 1]", "AdamW's decoupled decay, on all parameters")                     \
    KEY(DOUBLE, clip,           "train.clip",             "1", "[0, inf]", "largest global gradient norm; 0 = no clipping")                   \
    KEY(CHOICE, precision,      "train.precision",        "f32", "f32|tf32|bf16", "products and activations, on CUDA; parameters, their gradients, statistics and the loss stay f32") \
    KEY(BOOL,   recompute,      "train.recompute",        "false", "", "recompute blocks in the backward pass: less memory, more time")       \
    KEY(INT,    checkpoint_every, "train.checkpoint_every", "1000", "[1, 100000000]", "steps between checkpoints")                            \
    KEY(INT,    keep,           "train.keep",             "2", "[1, 1000000]", "checkpoints that stay; older ones are removed")               \
    KEY(INT,    sample_every,   "train.sample_every",     "500", "[0, 100000000]", "steps between sample pictures; 0 = none")                 \
    KEY(INT,    validate_every, "train.validate_every",   "0", "[0, 100000000]", "steps between validations, and one at the end; 0 = none")          \
    KEY(LIST,   validate_sets,  "validate.sets",          "", "", "sets that are scored, as in p2s eval: TYPE:key=value:...")                 \
    KEY(LIST,   validate_systems, "validate.systems",     "", "", "rows that are scored; the first one's mean decides what is best; empty = the task's name") \
    KEY(INT,    validate_images, "validate.images",       "16", "[0, 100000000]", "images of each set that are scored, the first ones (task vae: the first of a fixed shuffle); 0 = all") \
    KEY(LIST,   validate_options, "validate.options",     "", "", "further settings of p2s eval, each KEY=VALUE: readout.threshold=8, ...")    \
    KEY(CHOICE, normalise,      "train.normalise",        "batch", "batch|image|affine", "decoder output to 0..255: min-max over the batch or each image (method 2.5), or 127.5 (y + 1)") \
    KEY(INT,    first_steps,    "train.first_steps",      "0", "[0, 100000000]", "gen2seg: first steps on a fixed target, in the latent")               \
    KEY(CHOICE, first_target,   "train.first_target",     "white", "white|place", "that target: objects white on black, or in a colour of their centroid and area") \
    KEY(CHOICE, loss_form,      "loss.form",              "code", "code|paper", "gen2seg's loss as released or as printed (method 2.3, 2.2)") \
    KEY(DOUBLE, loss_variance,  "loss.variance",          "1", "[0, inf)", "weight of the intra-instance term")                               \
    KEY(DOUBLE, loss_separation, "loss.separation",       "300", "[0, inf)", "weight of the inter-instance term")                             \
    KEY(DOUBLE, loss_mean,      "loss.mean",              "300", "[0, inf)", "weight of the mean-level term")                                 \
    KEY(DOUBLE, loss_factor,    "loss.factor",            "10", "[0, inf)", "the code form's further factor on separation")                   \
    KEY(DOUBLE, loss_scale,     "loss.scale",             "1", "(0, 1000]", "the normalised image is multiplied by this before the loss")     \
    KEY(INT,    loss_cap,       "loss.cap",               "0", "[0, 1000000]", "largest number of counted ids of an image, 0 = no cap; the released code has 1251") \
    KEY(CHOICE, prompt_loss,    "prompt.loss",            "prompted", "prompted|fixed|latent", "method 5.4, or squared error to white on the object and black elsewhere, of the image or of its latent") \
    KEY(CHOICE, prompt_balance, "prompt.balance",         "halves", "halves|object|root|pixels", "fixed, latent: object and rest weigh alike, or all pixels of an image do: 1 over the object's area, over its square root, or 1") \
    KEY(CHOICE, prompt_encoding, "prompt.encoding",       "gaussian", "gaussian|similarity|both", "what the branch sees of an object: a Gaussian at its points, a confidence map (how alike the frozen model's own feature image is to its colour there), or a channel with each") \
    KEY(DOUBLE, prompt_sigma,   "prompt.sigma",           "0.01", "[1e-6, 1]", "deviation of the Gaussian prompt over the image side")        \
    KEY(INT,    prompt_points,  "prompt.points",          "1", "[1, 64]", "most points of a prompt; each prompt draws 1..this many")          \
    KEY(DOUBLE, prompt_min_area, "prompt.min_area",       "16", "[1, inf)", "smallest instance in pixels that is prompted")                   \
    KEY(DOUBLE, prompt_empty,   "prompt.empty",           "0", "[0, 1]", "share of prompts on background, whose target is all black")         \
    KEY(DOUBLE, prompt_copied_rate, "prompt.copied_rate", "1", "[0, 1]", "share of train.lr for what the branch copied from the U-Net, so that it keeps what it sees") \
    KEY(BOOL,   prompt_unet,    "prompt.train_unet",      "false", "", "train the U-Net along with the branch (an upper bound, not Prompt2Seg)") \
    KEY(DOUBLE, vae_kl,         "vae.kl",                 "1e-6", "[0, inf)", "weight of the KL term, summed over the latent")                \
    KEY(DOUBLE, vae_box,        "vae.box",                "3", "[0, inf)", "weight of the loss on 8x8 box means, which carries colour")       \
    KEY(CHOICE, predict_x0,     "predict.x0",             "image", "image|zero", "how the trained model is asked: clean latent with the image's share or without (method 2.6)") \
    KEY(INT,    predict_resolution, "predict.resolution", "768", "[0, 65528]", "longer side at which the trained model is asked; 0 = the image's own") \
    KEY(STRING, data_set,       "data.set",               "scenes", "", "type of data set (p2s info data lists them)")                        \
    KEY(LIST,   data_sets,      "data.sets",              "", "", "several sets to mix instead, each TYPE:key=value:... with weight, height, width, fit, index and data.*'s path, split, subset, seed, size, count") \
    KEY(STRING, data_hypersim,  "data.hypersim",          "", "", "root folder of Hypersim; before data.path")                             \
    KEY(STRING, data_vkitti2,   "data.vkitti2",           "", "", "root folder of Virtual KITTI 2; before data.path")                      \
    KEY(STRING, data_coco,      "data.coco",              "", "", "root folder of COCO; before data.path")                                 \
    KEY(STRING, data_clevrtex,  "data.clevrtex",          "", "", "root folder of ClevrTex; before data.path")                             \
    KEY(STRING, data_index,     "data.index",             "", "", "index that p2s prepare wrote: empty = where it lies by default, if it is there; required = it must be; none; or a file") \
    KEY(STRING, data_path,      "data.path",              "", "", "root folder of the data set")                                              \
    KEY(STRING, data_split,     "data.split",             "", "", "split, as the data set names it; empty = its default")                     \
    KEY(STRING, data_subset,    "data.subset",            "", "", "subset, as the data set names it")                                         \
    KEY(INT,    data_count,     "data.count",             "0", "[0, 100000000]", "generated sets: number of images; 0 = default")             \
    KEY(INT,    height,         "data.height",            "480", "[8, 8192]", "images are resized to this height, a multiple of the VAE's factor") \
    KEY(INT,    width,          "data.width",             "640", "[8, 8192]", "and to this width")                                            \
    KEY(CHOICE, data_fit,       "data.fit",               "resize", "resize|crop", "bring images to that size by resizing or by a random crop (method 2.8)") \
    KEY(BOOL,   flip,           "data.flip",              "true", "", "flip images and labels together with probability 1/2")                 \
    KEY(INT,    workers,        "data.workers",           "1", "[0, 256]", "threads that read and resize images")                             \
    KEY(INT,    ahead,          "data.ahead",             "8", "[1, 1024]", "batches made in advance")
// clang-format on

enum { TASK_VAE, TASK_DIFFUSION, TASK_GEN2SEG, TASK_PROMPT2SEG };
enum { SCHEDULE_CONSTANT, SCHEDULE_EXPONENTIAL, SCHEDULE_COSINE };
enum { NORMALISE_BATCH, NORMALISE_IMAGE, NORMALISE_AFFINE };
enum { LOSS_CODE, LOSS_PAPER };
enum { PRECISION_F32, PRECISION_TF32, PRECISION_BF16 };
enum { PROMPT_LOSS_PROMPTED, PROMPT_LOSS_FIXED, PROMPT_LOSS_LATENT };
enum { FIRST_WHITE, FIRST_PLACE };
enum { BALANCE_HALVES, BALANCE_OBJECT, BALANCE_ROOT, BALANCE_PIXELS };

typedef struct {
    TRAIN_KEYS(CONFIG_FIELD)
} TrainConfig;

extern const ConfigTable train_table;

#endif
