// SPDX-License-Identifier: MIT
// Validation during training: the model as it stands is scored by eval/ on the sets of
// validate.sets, and every score is a line of RUN/validation.jsonl:
//
//   {"step": n, "score": x, "sets": {SET: {SYSTEM: {"miou": x, "ci95": [lo, hi]}}}, "seconds": t}
//
// `score` is the mean over the sets of the first system's mIoU; for task vae, which makes no masks,
// of {"vae": {"psnr": x}} (reconstruction.h). Nothing of the training depends on
// it: neither weights nor random streams.
#ifndef TRAIN_VALIDATE_H
#define TRAIN_VALIDATE_H

#include "eval/config.h"
#include "nn/model.h"
#include "train/config.h"
#include "train/event_file.h"
#include "train/run_log.h"

typedef struct {
    const TrainConfig *config;
    Model *model;
    EvalConfig eval;
    RunLog *log;
    int64_t step, best_step; // of the last and of the first best line; 0: none yet
    double score, best;      // of those
} Validation;

// Reads the settings, looks once whether the sets and systems exist, and opens validation.jsonl,
// cut back to `step`. Borrows config and model. Without train.validate_every nothing is ever due.
int validation_begin(Validation *validation, const TrainConfig *config, Model *model, int64_t step);
void validation_done(Validation *validation); // takes a zeroed one

// Whether `step` is one to validate at that has no line yet.
bool validation_due(const Validation *validation, int64_t step);

// The same of a run that is not open: 1 or 0, -1 and an error when its log cannot be read.
int validation_missing(const TrainConfig *config, int64_t step);

// Scores the model and writes the line and the event file's curves. *improved: better than every
// line before. An interrupt is an error.
int validation_run(Validation *validation, int64_t step, EventFile *events, bool *improved);

// Makes sure that the log is on the disk.
int validation_sync(Validation *validation);

#endif
