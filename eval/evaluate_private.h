// SPDX-License-Identifier: MIT
// What the parts of the evaluation share: evaluate.c (set-up), evaluate_set.c (scoring),
// evaluate_write.c (files), evaluate_page.c (pictures).
#ifndef EVAL_EVALUATE_PRIVATE_H
#define EVAL_EVALUATE_PRIVATE_H

#include "base/progress.h"
#include "eval/benchmark.h"
#include "eval/evaluate.h"
#include "eval/fit.h"
#include "eval/image_dependence.h"
#include "eval/system.h"

#include <jansson.h>

// An instance that was scored, for what is chosen when the whole set is known.
typedef struct {
    int64_t sample; // in the set
    int index;      // in the sample
    char *image;    // the sample's name, owned
    int64_t id;
    double area;
    PixelPoint point; // the first
    double iou;       // of the page's system
    double *curves;   // [systems][FIT_THRESHOLDS] with best_threshold, else NULL; owned
} Scored;

// Sums over instances.
typedef struct {
    double points;               // until the goal, all when it is never reached
    double iou[EVAL_MAX_POINTS]; // after 1, 2, ... points
    int64_t reached;
} PointsToGoal;

typedef struct {
    Scored *scored;
    size_t count, capacity;
    PointsToGoal *goals;         // [systems]
    int64_t crowd, small, empty; // instances that are not scored
    ImageDependence dependence;
} SetResult;

struct Evaluation {
    const EvalConfig *config;
    const EvalModel *model;
    Benchmark *benchmarks; // [set_count]
    SetResult *results;    // [set_count]
    size_t set_count;
    SystemList systems;
    SystemList random_systems; // for the random point too with prompt.kind=both, else empty
    System *page_system;       // in the list
    size_t fit_set;            // SIZE_MAX without one
    Fit *fit, *random_fit;     // while fitting
    Report *report;
    json_t *attached; // what results.json holds beside "sets"
    char *masks;      // the folder that masks are written to until the end, NULL without
    Progress progress;
    int64_t images_done;
};

// Called for every instance to be scored; the target's features are those of its image.
typedef int TargetVisit(Evaluation *evaluation, size_t set, int64_t sample, Target *target);

// Fits on the fit set; scores one set.
int evaluate_fit(Evaluation *evaluation);
int evaluate_set(Evaluation *evaluation, size_t set);

// Scores one system with 1 point, and clicking on with up to prompt.points: a row each. *first: the
// IoU with 1. mask: work space [H,W].
int score_points(Evaluation *evaluation, PointsToGoal *goal, System *system, const Target *given,
                 uint8_t *mask, double *first);

// The target with its second first point; scores one system with that.
Target target_second(const Target *target);
int score_second(Evaluation *evaluation, System *system, const Target *given, uint8_t *mask);

// "points_to_80" of a set in results.json and table.md, when there is more than one point.
int attach_goals(Evaluation *evaluation, size_t set);

// The page of one set as PNG under `folder`; nothing when no instance was scored.
int evaluate_page(Evaluation *evaluation, size_t set, const char *folder);

// The instance's mask without what the sample ignores. truth: [H,W], 0/1. Returns its pixels.
size_t target_truth(const Sample *sample, int index, uint8_t *truth);

// Puts value under attached[key][name]; takes it. NULL means that memory is out.
int attach(Evaluation *evaluation, const char *key, const char *name, json_t *value);

#endif
