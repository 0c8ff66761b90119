// SPDX-License-Identifier: MIT
// The systems that are scored side by side: where the features come from, and the rule that makes
// a mask of them.
#ifndef EVAL_SYSTEM_H
#define EVAL_SYSTEM_H

#include "data/dataset.h"
#include "eval/features.h"
#include "eval/posthoc.h"

#include <stdbool.h>

typedef enum {
    RULE_MAP,        // gen2seg's point prompting (posthoc.h)
    RULE_MAP_DISC,   // that within a disc around each point, what is connected with a point
    RULE_HALF_SPACE, // closer to the query than to black (branch_readout.h)
    RULE_DISC,       // the trivial rows (trivial.h)
    RULE_FLOOD,
    RULE_WHOLE,
    RULE_ORACLE,
    RULE_FOLDER // masks from files (mask_folder.h)
} SystemRule;

// name, features, rule, only what is connected with a point
// clang-format off
#define SYSTEM_LIST(SYSTEM)                                            \
    SYSTEM("gen2seg",            FEATURES_PLAIN,  RULE_MAP,        false) \
    SYSTEM("gen2seg+cc",         FEATURES_PLAIN,  RULE_MAP,        true)  \
    SYSTEM("gen2seg+disc",       FEATURES_PLAIN,  RULE_MAP_DISC,   true)  \
    SYSTEM("prompt2seg",         FEATURES_BRANCH, RULE_HALF_SPACE, false) \
    SYSTEM("prompt2seg+map",     FEATURES_BRANCH, RULE_MAP,        false) \
    SYSTEM("prompt2seg+map+cc",  FEATURES_BRANCH, RULE_MAP,        true)  \
    SYSTEM("disc",               FEATURES_NONE,   RULE_DISC,       false) \
    SYSTEM("flood",              FEATURES_NONE,   RULE_FLOOD,      false) \
    SYSTEM("color",              FEATURES_RAW,    RULE_MAP,        false) \
    SYSTEM("color+cc",           FEATURES_RAW,    RULE_MAP,        true)  \
    SYSTEM("color+disc",         FEATURES_RAW,    RULE_MAP_DISC,   true)  \
    SYSTEM("whole",              FEATURES_NONE,   RULE_WHOLE,      false) \
    SYSTEM("oracle",             FEATURES_NONE,   RULE_ORACLE,     false)
// clang-format on

// What a read-out can be set to; each rule reads its own.
typedef struct {
    double sigma;        // RULE_MAP, RULE_MAP_DISC, RULE_HALF_SPACE: of the query
    SimilarityForm form; // RULE_MAP, RULE_MAP_DISC
    int threshold;       // RULE_MAP, RULE_MAP_DISC
    double disc, flood;  // as TrivialOptions
} Readout;

typedef struct {
    char *name; // owned
    FeatureKind features;
    SystemRule rule;
    bool component;
    char *folder;    // RULE_FOLDER, owned
    Readout readout; // in force
    bool fixed;      // not to be fitted
    int64_t missing; // RULE_FOLDER: masks that were not there, since the caller set it to 0
} System;

// One instance of a sample with its prompts.
typedef struct {
    const char *set;
    const Sample *sample;
    const Instance *instance;
    const uint8_t *truth; // [H,W], 0/1
    PixelPoint points[EVAL_MAX_POINTS];
    int point_count;
    PixelPoint second;  // another first point, with prompt.kind=both
    Features *features; // of the sample's image
} Target;

typedef struct {
    System *items;
    size_t count;
} SystemList;

// The systems that the configuration names, in that order; without names all of the list that the
// model allows. Fails, naming it, on an unknown or doubled name, a system that the model lacks the
// function for, or a folder that does not exist.
int systems_new(const EvalConfig *config, const EvalModel *model, SystemList *list);

// Behind every system with a read-out that can be fitted, adds "NAME fixed", its copy that is not.
int systems_add_fixed(SystemList *list);

// Fills an empty list with a copy "NAME@random", with a read-out of its own, of every system but
// those that read masks.
int systems_add_random(const SystemList *systems, SystemList *list);

// Takes a zeroed one too.
void systems_free(SystemList *list);

// NULL, without an error, when there is none of that name.
System *systems_find(const SystemList *list, const char *name);

bool system_can_be_fitted(const System *system);

// The options of RULE_MAP.
PosthocOptions system_posthoc(const System *system);

// The system's mask [H,W], 0/1, with the target's points.
int system_predict(System *system, Target *target, uint8_t *mask);

// IoU of a mask with the target, without what the sample ignores.
double target_score(const Target *target, const uint8_t *mask);

#endif
