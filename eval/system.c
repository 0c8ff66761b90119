// SPDX-License-Identifier: MIT
// The list of systems and how each makes a mask. See system.h.
#include "eval/system.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "eval/branch_readout.h"
#include "eval/components.h"
#include "eval/iou.h"
#include "eval/mask_folder.h"
#include "eval/trivial.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name;
    FeatureKind features;
    SystemRule rule;
    bool component;
} Row;

static const Row rows[] = {
#define ROW(name, features, rule, component) {name, features, rule, component},
    SYSTEM_LIST(ROW)
#undef ROW
};
enum { ROW_COUNT = sizeof rows / sizeof *rows };

static const char folder_prefix[] = "masks:";

static bool model_has(const EvalModel *model, FeatureKind kind) {
    return (kind != FEATURES_PLAIN || model->features) &&
           (kind != FEATURES_BRANCH || model->prompted);
}

static Readout readout_of(const EvalConfig *config) {
    return (Readout){.sigma = config->sigma,
                     .form = (SimilarityForm)config->similarity,
                     .threshold = (int)config->threshold,
                     .disc = config->disc_radius,
                     .flood = config->flood};
}

static int check_new(const SystemList *list, const char *name) {
    return systems_find(list, name) ? error_int("\"%s\" is named twice", name) : 0;
}

// Appends a system and takes its name and folder (which may be NULL), also on failure.
static int append(SystemList *list, System system) {
    System *items = array_resize(list->items, list->count + 1, sizeof *items);
    if (items) list->items = items;
    if (!items || !system.name) {
        free(system.name);
        free(system.folder);
        return -1;
    }
    items[list->count++] = system;
    return 0;
}

static int add_row(SystemList *list, const Row *row, const Readout *readout) {
    if (check_new(list, row->name)) return -1;
    return append(list, (System){.name = string_copy(row->name),
                                 .features = row->features,
                                 .rule = row->rule,
                                 .component = row->component,
                                 .readout = *readout});
}

// A row and a folder are called like it; other rows are called "NAME@2", "NAME fixed" and so on.
static int check_name(const SystemList *list, const char *name) {
    if (!text_is_utf8(name) || name[0] == '.' || strpbrk(name, "@/") ||
        text_ends_with(name, " fixed") || strstr(name, " best threshold "))
        return error_int("masks:%s=...: expected a NAME in UTF-8 without @ and /, that neither "
                         "begins with a point nor ends like \"NAME fixed\" or \"NAME best "
                         "threshold (set)\"",
                         name);
    return check_new(list, name);
}

// "masks:NAME=FOLDER"
static int add_folder(SystemList *list, const char *item) {
    const char *name = item + strlen(folder_prefix), *equals = strchr(name, '=');
    if (!equals || equals == name || !equals[1])
        return error_int("found \"%s\", expected masks:NAME=FOLDER", item);
    if (!folder_exists(equals + 1)) return error_int("%s: no such folder", equals + 1);
    System system = {.name = text_format("%.*s", (int)(equals - name), name),
                     .rule = RULE_FOLDER,
                     .folder = string_copy(equals + 1)};
    if (!system.folder || (system.name && check_name(list, system.name))) {
        free(system.name);
        free(system.folder);
        return -1;
    }
    return append(list, system);
}

static int add_named(SystemList *list, const char *item, const EvalModel *model,
                     const Readout *readout) {
    if (text_starts_with(item, folder_prefix)) return add_folder(list, item);
    for (int i = 0; i < ROW_COUNT; i++) {
        if (strcmp(item, rows[i].name) != 0) continue;
        if (!model_has(model, rows[i].features))
            return error_int("\"%s\" needs a model%s", item,
                             rows[i].features == FEATURES_BRANCH ? " with a prompt branch" : "");
        return add_row(list, &rows[i], readout);
    }
    const char *near = text_nearest(item, &rows[0].name, ROW_COUNT, sizeof *rows);
    Text known = {0};
    for (int i = 0; i < ROW_COUNT; i++) text_add(&known, " %s", rows[i].name);
    error_int("unknown system \"%s\"%s%s%s; known are%s masks:NAME=FOLDER", item,
              near ? ", did you mean " : "", near ? near : "", near ? "?" : "",
              text_string(&known));
    text_free(&known);
    return -1;
}

int systems_new(const EvalConfig *config, const EvalModel *model, SystemList *list) {
    *list = (SystemList){0};
    const Readout readout = readout_of(config);
    int result = 0;
    for (size_t i = 0; i < config->systems.count && result == 0; i++)
        result = add_named(list, config->systems.items[i], model, &readout);
    for (int i = 0; i < ROW_COUNT && config->systems.count == 0 && result == 0; i++)
        if (model_has(model, rows[i].features)) result = add_row(list, &rows[i], &readout);
    if (result == 0) return 0;
    systems_free(list);
    return error_context("systems");
}

bool system_can_be_fitted(const System *system) {
    return !system->fixed && system->rule != RULE_WHOLE && system->rule != RULE_ORACLE &&
           system->rule != RULE_FOLDER;
}

// Adds the system, taken from its old list, and its copy.
static int append_with_fixed(SystemList *list, System *from) {
    System system = *from, copy = system;
    *from = (System){0};
    if (append(list, system)) return -1;
    if (!system_can_be_fitted(&system)) return 0;
    copy.name = text_format("%s fixed", system.name);
    copy.fixed = true;
    return append(list, copy);
}

int systems_add_fixed(SystemList *list) {
    SystemList all = {0};
    int result = 0;
    for (size_t i = 0; i < list->count && result == 0; i++)
        result = append_with_fixed(&all, &list->items[i]);
    systems_free(list);
    *list = all;
    return result;
}

int systems_add_random(const SystemList *systems, SystemList *list) {
    int result = 0;
    for (size_t i = 0; i < systems->count && result == 0; i++) {
        System copy = systems->items[i];
        if (copy.rule == RULE_FOLDER) continue;
        copy.name = text_format("%s@random", copy.name);
        result = append(list, copy);
    }
    return result;
}

void systems_free(SystemList *list) {
    for (size_t i = 0; i < list->count; i++) {
        free(list->items[i].name);
        free(list->items[i].folder);
    }
    free(list->items);
    *list = (SystemList){0};
}

System *systems_find(const SystemList *list, const char *name) {
    for (size_t i = 0; i < list->count; i++)
        if (strcmp(list->items[i].name, name) == 0) return &list->items[i];
    return NULL;
}

PosthocOptions system_posthoc(const System *system) {
    return (PosthocOptions){.sigma = system->readout.sigma,
                            .form = system->readout.form,
                            .threshold = system->readout.threshold,
                            .component = system->component};
}

static int predict_trivial(const System *system, TrivialRow row, const Target *target,
                           uint8_t *mask) {
    const TrivialInput input = {&target->sample->image, target->points, target->point_count,
                                target->truth};
    TrivialOptions options = trivial_options();
    options.disc_radius = system->readout.disc;
    options.flood_tolerance = system->readout.flood;
    return trivial_predict(row, &input, &options, mask);
}

static int predict_folder(System *system, const Target *target, uint8_t *mask) {
    const Image *image = &target->sample->image;
    const int found = mask_folder_read(system->folder, target->set, target->sample->name,
                                       target->instance->id, image->width, image->height, mask);
    if (found == 0 && target->point_count == 1) system->missing++;
    return found < 0 ? -1 : 0;
}

static int predict_map(const System *system, Target *target, uint8_t *mask) {
    const Image *image = &target->sample->image;
    const PosthocOptions options = system_posthoc(system);
    const uint8_t *map = features_map(target->features, system->features, target->points,
                                      target->point_count, &options);
    if (!map) return -1;
    memcpy(mask, map, (size_t)image->width * (size_t)image->height);
    return posthoc_threshold(mask, image->width, image->height, target->points, target->point_count,
                             &options);
}

// Against the claim that a network which only cuts its own post-hoc mask off learned anything.
static int predict_map_disc(const System *system, Target *target, uint8_t *mask) {
    const Image *image = &target->sample->image;
    const size_t pixels = (size_t)image->width * (size_t)image->height;
    const PosthocOptions options = system_posthoc(system);
    const uint8_t *map = features_map(target->features, system->features, target->points,
                                      target->point_count, &options);
    if (!map || predict_trivial(system, TRIVIAL_disc, target, mask) != 0) return -1;
    for (size_t i = 0; i < pixels; i++) mask[i] = mask[i] && map[i] > options.threshold;
    return components_keep(mask, image->width, image->height, target->points, target->point_count);
}

static int predict_half_space(const System *system, Target *target, uint8_t *mask) {
    const Image *features =
        features_get(target->features, system->features, target->points, target->point_count);
    if (!features) return -1;
    return branch_readout(features, target->points, target->point_count, system->readout.sigma,
                          mask);
}

int system_predict(System *system, Target *target, uint8_t *mask) {
    switch (system->rule) {
    case RULE_MAP:
        return predict_map(system, target, mask);
    case RULE_MAP_DISC:
        return predict_map_disc(system, target, mask);
    case RULE_HALF_SPACE:
        return predict_half_space(system, target, mask);
    case RULE_DISC:
        return predict_trivial(system, TRIVIAL_disc, target, mask);
    case RULE_FLOOD:
        return predict_trivial(system, TRIVIAL_flood, target, mask);
    case RULE_WHOLE:
        return predict_trivial(system, TRIVIAL_whole, target, mask);
    case RULE_ORACLE:
        return predict_trivial(system, TRIVIAL_oracle, target, mask);
    case RULE_FOLDER:
        return predict_folder(system, target, mask);
    }
    return error_int("system %s has no rule", system->name);
}

double target_score(const Target *target, const uint8_t *mask) {
    const Image *image = &target->sample->image;
    return iou_score(mask, target->truth, target->sample->ignore,
                     (size_t)image->width * (size_t)image->height);
}
