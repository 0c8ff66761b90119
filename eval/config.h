// SPDX-License-Identifier: MIT
// Every key of an evaluation. From this table come the struct, the YAML reader, the overrides and
// the resolved config.yaml beside the results (base/config.h).
#ifndef EVAL_CONFIG_H
#define EVAL_CONFIG_H

#include "base/config.h"

// clang-format off
#define EVAL_KEYS(KEY)                                                                                                                                                  \
    KEY(STRING, model,          "model",              "", "", "folder of the model; may be empty when no system needs one")                                             \
    KEY(STRING, out,            "out",                "runs/eval", "", "folder of the results; made if missing")                                                        \
    KEY(INT,    threads,        "threads",            "0", "[0, 1024]", "threads for arithmetic; 0 = all processors")                                                   \
    KEY(STRING, device,         "device",             "", "", "where tensors live; empty = the program's default")                                                      \
    KEY(INT,    seed,           "seed",               "0", "[0, 4294967295]", "of random prompts and of the bootstrap")                                                 \
    KEY(LIST,   sets,           "sets",               "", "", "what is scored, each TYPE:key=value:... with the keys name, path, split, subset, seed, size, count")     \
    KEY(INT,    images,         "limit.images",       "0", "[0, 100000000]", "first images of each set that are scored; 0 = all")                                       \
    KEY(INT,    instances,      "limit.instances",    "0", "[0, 1000000000]", "first instances of each set that are scored; 0 = all")                                   \
    KEY(DOUBLE, min_area,       "limit.min_area",     "0", "[0, inf)", "smallest annotated area in pixels that is scored")                                              \
    KEY(CHOICE, prompts,        "prompt.kind",        "center", "center|random|both", "first point: the interior-most pixel, a random inner one, or a row with each")       \
    KEY(INT,    points,         "prompt.points",      "1", "[1, 9]", "points per object; each further one on what is still missed")                                     \
    KEY(DOUBLE, prompt_sigma,   "prompt.sigma",       "0", "[0, 1]", "deviation of the branch's Gaussian prompt over the image side; 0 = as the model was trained")     \
    KEY(INT,    resolution,     "predict.resolution", "-1", "[-1, 65528]", "longer side that the network sees; 0 = the image's, -1 = as the model says")                \
    KEY(LIST,   systems,        "systems",            "", "", "rows of the table, or masks:NAME=FOLDER; empty = all that the model allows")                             \
    KEY(DOUBLE, sigma,          "readout.sigma",      "0.01", "(0, 1]", "deviation of the Gaussian query over the image side")                                          \
    KEY(CHOICE, similarity,     "readout.similarity", "paper", "paper|code", "similarity to the query: clamped as printed, or as released")                             \
    KEY(INT,    threshold,      "readout.threshold",  "3", "[0, 255]", "a pixel is in the mask when its filtered similarity is above")                                  \
    KEY(DOUBLE, disc_radius,    "readout.disc",       "0.125", "(0, 2]", "radius of the disc row over sqrt(width * height)")                                            \
    KEY(DOUBLE, flood,          "readout.flood",      "30", "[0, 442]", "greatest distance in RGB of the flood row")                                                    \
    KEY(STRING, fit,            "fit",                "", "", "name of the set on which every system's read-out is fitted; empty = not")                                \
    KEY(BOOL,   best_threshold, "best_threshold",     "false", "", "add rows with the threshold that is best for each set and for each image, which look at the truth") \
    KEY(INT,    dependence,     "image_dependence",   "40", "[0, 100000]", "images of each set on which the branch gets the same central point; 0 = none")              \
    KEY(INT,    pictures,       "page.pictures",      "1", "[0, 50]", "best, median and worst instances on each set's page; 0 = no pages")                             \
    KEY(STRING, page_system,    "page.system",        "", "", "whose masks the pages show; empty = prompt2seg, else gen2seg, else the first")                           \
    KEY(BOOL,   masks,          "export.masks",       "false", "", "write every system's first mask of every instance under OUT/masks")
// clang-format on

enum { PROMPTS_CENTER, PROMPTS_RANDOM, PROMPTS_BOTH };
enum { EVAL_MAX_POINTS = 9 };

typedef struct {
    EVAL_KEYS(CONFIG_FIELD)
} EvalConfig;

extern const ConfigTable eval_table;

#endif
