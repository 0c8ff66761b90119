// SPDX-License-Identifier: MIT
// Scores systems on sets with the same prompts, and writes what came out.
#ifndef EVAL_EVALUATE_H
#define EVAL_EVALUATE_H

#include "eval/features.h"
#include "eval/report.h"

#include <stdbool.h>

typedef struct Evaluation Evaluation;

// Opens the sets and finds the systems; computes and writes nothing. Borrows both arguments. Fails
// when a set or system is unknown or doubled, a folder is missing, or `fit` or `page.system` names
// none of them.
Evaluation *evaluation_new(const EvalConfig *config, const EvalModel *model);
void evaluation_free(Evaluation *evaluation);

// Scores every instance of every set that is no crowd, not smaller than limit.min_area and not
// wholly ignored, with every system. Each is given the same first point; further points of a system
// follow from its own mask, and with n points it appears as "NAME@n". With prompt.kind=both it also
// appears as "NAME@random", with a random first point alone (not systems that read masks). With
// `fit` a system's read-out is first fitted (fit.h) on that set, apart for random points, and "NAME
// fixed" has the configured one. With
// best_threshold, systems with a threshold also appear as "NAME best threshold (set)" and
// "(image)", chosen from fit_thresholds. Fails, naming the sample, on one that cannot be read, and
// when the program is interrupted. `quiet`: no progress line.
int evaluation_run(Evaluation *evaluation, bool quiet);

// The sets, in order, by their names; the scores of all that was run.
size_t evaluation_set_count(const Evaluation *evaluation);
const char *evaluation_set_name(const Evaluation *evaluation, size_t set);
const Report *evaluation_report(const Evaluation *evaluation);

// Writes into config->out, each file or folder in the place of an older one at once: the report
// (report.h), config.yaml, pages/SET.png, and with export.masks masks/SYSTEM/SET/IMAGE/ID.png.
// Beside "sets", results.json has
//   fitted            {"on": SET, "systems": {SYSTEM: {settings and the mIoU they reached there}}}
//   image_dependence  {SET: {"images": n, "deviation": x, "level": x}} (image_dependence.h)
//   differences       {SET: {SYSTEM: {OTHER: {"difference": x, "ci95": [lo, hi]}}}}, SYSTEM being
//                     the one on the pages
//   points_to_80      {SET: {SYSTEM: {"mean": x, "reached": share}}}, points until IoU is 0.8;
//                     where it is never reached prompt.points counts
//   missing_masks     {SET: {SYSTEM: n}}
//   skipped           {SET: {"crowd": n, "small": n, "empty": n}}: below limit.min_area; no pixel
//                     but ignored ones
// each only where it applies. Pages come last; pages and masks that an earlier evaluation left are
// not removed.
int evaluation_write(Evaluation *evaluation);

#endif
