// SPDX-License-Identifier: MIT
// How a model wants to be asked: p2s.json in its folder. Without the file, or for a key that is
// missing, the published gen2seg's way.
#ifndef EVAL_PREDICT_SETTINGS_H
#define EVAL_PREDICT_SETTINGS_H

#include "eval/condition.h"
#include "eval/config.h"

#include <stdint.h>

typedef enum {
    PREDICT_MINMAX, // decoder output to 0..255 by its own minimum and maximum, method 2.5
    PREDICT_AFFINE  // 127.5 (y + 1), clamped to 0..255
} PredictNormalise;

typedef enum {
    PREDICT_X0_IMAGE, // the clean latent takes its small share of the image's latent, method 2.6
    PREDICT_X0_ZERO   // it does not, as in training
} PredictX0;

typedef struct {
    PredictNormalise normalise; // "normalise": "minmax" or "affine"
    PredictX0 x0;               // "x0": "image" or "zero"
    int64_t resolution;         // "resolution": longer side that the network sees; 0 = the image's
    double prompt_sigma;        // "prompt_sigma": of the branch's Gaussian prompts, in sides
    ConditionEncoding encoding; // "prompt_encoding": "gaussian", "similarity" or "both"
} PredictSettings;

// minmax, image, 768, 0.01, gaussian.
PredictSettings predict_settings_default(void);

// Gives them what an evaluation's configuration says otherwise.
void predict_settings_override(PredictSettings *settings, const EvalConfig *config);

// Reads FOLDER/p2s.json. An unknown key or a value that is not possible is an error; no such file
// is none.
int predict_settings_read(PredictSettings *settings, const char *folder);

// Writes FOLDER/p2s.json, atomically.
int predict_settings_write(const PredictSettings *settings, const char *folder);

#endif
