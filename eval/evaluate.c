// SPDX-License-Identifier: MIT
// Setting up an evaluation and running it set by set. See evaluate.h.
#include "eval/evaluate_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

#define PROGRESS_SECONDS 15

static size_t find_set(const Evaluation *evaluation, const char *name) {
    for (size_t i = 0; i < evaluation->set_count; i++)
        if (strcmp(evaluation->benchmarks[i].name, name) == 0) return i;
    return SIZE_MAX;
}

static int open_set(Evaluation *evaluation, const char *item) {
    Benchmark opened;
    if (benchmark_open(item, &opened)) return -1;
    const bool doubled = find_set(evaluation, opened.name) != SIZE_MAX;
    if (doubled) error_int("sets: two are called \"%s\"; give one another name=", opened.name);
    const int64_t limit = evaluation->config->images;
    if (limit && opened.count > limit) opened.count = limit;
    evaluation->benchmarks[evaluation->set_count++] = opened;
    return doubled ? -1 : 0;
}

static int open_sets(Evaluation *evaluation) {
    const ConfigList *sets = &evaluation->config->sets;
    if (sets->count == 0) return error_int("sets: none is given, for example scenes:split=val");
    evaluation->benchmarks = array_new(sets->count, sizeof *evaluation->benchmarks);
    evaluation->results = array_new(sets->count, sizeof *evaluation->results);
    int result = evaluation->benchmarks && evaluation->results ? 0 : -1;
    for (size_t i = 0; i < sets->count && result == 0; i++)
        result = open_set(evaluation, sets->items[i]);
    return result;
}

static int find_fit_set(Evaluation *evaluation) {
    const char *name = evaluation->config->fit;
    evaluation->fit_set = SIZE_MAX;
    if (!*name) return 0;
    evaluation->fit_set = find_set(evaluation, name);
    if (evaluation->fit_set == SIZE_MAX)
        return error_int("fit: no set is called \"%s\"; it must be one of those in sets", name);
    return systems_add_fixed(&evaluation->systems);
}

static int find_page_system(Evaluation *evaluation) {
    const SystemList *systems = &evaluation->systems;
    const char *name = evaluation->config->page_system;
    System *found = *name ? systems_find(systems, name) : systems_find(systems, "prompt2seg");
    if (*name && !found) return error_int("page.system: \"%s\" is not among the systems", name);
    if (!found) found = systems_find(systems, "gen2seg");
    evaluation->page_system = found ? found : &systems->items[0];
    return 0;
}

static int new_goals(Evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->set_count; i++) {
        SetResult *result = &evaluation->results[i];
        result->goals = array_new(evaluation->systems.count, sizeof *result->goals);
        if (!result->goals) return -1;
    }
    return 0;
}

static int set_up(Evaluation *evaluation) {
    const EvalConfig *config = evaluation->config;
    if (systems_new(config, evaluation->model, &evaluation->systems)) return -1;
    if (open_sets(evaluation) || find_fit_set(evaluation) || find_page_system(evaluation) ||
        new_goals(evaluation))
        return -1;
    if (config->prompts == PROMPTS_BOTH &&
        systems_add_random(&evaluation->systems, &evaluation->random_systems))
        return -1;
    evaluation->report = report_new((uint64_t)config->seed);
    evaluation->attached = json_object();
    return evaluation->report && evaluation->attached ? 0 : -1;
}

Evaluation *evaluation_new(const EvalConfig *config, const EvalModel *model) {
    Evaluation *evaluation = array_new(1, sizeof *evaluation);
    if (!evaluation) return NULL;
    evaluation->config = config;
    evaluation->model = model;
    if (set_up(evaluation) == 0) return evaluation;
    evaluation_free(evaluation);
    return NULL;
}

static void result_free(SetResult *result) {
    for (size_t i = 0; i < result->count; i++) {
        free(result->scored[i].image);
        free(result->scored[i].curves);
    }
    free(result->scored);
    free(result->goals);
    image_dependence_free(&result->dependence);
}

// A folder of masks that was begun and never finished goes.
static void remove_masks(Evaluation *evaluation) {
    const bool failed = error_is_set(); // that message stays
    if (evaluation->masks && folder_remove(evaluation->masks) && !failed) error_take();
    free(evaluation->masks);
}

void evaluation_free(Evaluation *evaluation) {
    if (!evaluation) return;
    remove_masks(evaluation);
    for (size_t i = 0; i < evaluation->set_count; i++) {
        benchmark_close(&evaluation->benchmarks[i]);
        result_free(&evaluation->results[i]);
    }
    free(evaluation->benchmarks);
    free(evaluation->results);
    systems_free(&evaluation->systems);
    systems_free(&evaluation->random_systems);
    report_free(evaluation->report);
    json_decref(evaluation->attached);
    free(evaluation);
}

size_t evaluation_set_count(const Evaluation *evaluation) {
    return evaluation->set_count;
}

const char *evaluation_set_name(const Evaluation *evaluation, size_t set) {
    return evaluation->benchmarks[set].name;
}

const Report *evaluation_report(const Evaluation *evaluation) {
    return evaluation->report;
}

int attach(Evaluation *evaluation, const char *key, const char *name, json_t *value) {
    json_t *object = json_object_get(evaluation->attached, key);
    if (!object && json_object_set_new(evaluation->attached, key, json_object()) == 0)
        object = json_object_get(evaluation->attached, key);
    if (json_object_set_new(object, name, value)) return error_int("results: cannot add %s", key);
    return 0;
}

static int begin_masks(Evaluation *evaluation) {
    if (!evaluation->config->masks) return 0;
    char *path = path_join(evaluation->config->out, "masks");
    if (path && folder_make(evaluation->config->out) == 0)
        evaluation->masks = folder_replace_begin(path);
    free(path);
    return evaluation->masks ? 0 : -1;
}

static int64_t images_to_do(const Evaluation *evaluation) {
    int64_t images = 0;
    for (size_t i = 0; i < evaluation->set_count; i++) images += evaluation->benchmarks[i].count;
    if (evaluation->fit_set != SIZE_MAX)
        images += evaluation->benchmarks[evaluation->fit_set].count;
    return images;
}

int evaluation_run(Evaluation *evaluation, bool quiet) {
    if (begin_masks(evaluation)) return -1;
    progress_begin(&evaluation->progress, "eval", "image", 0, images_to_do(evaluation),
                   PROGRESS_SECONDS, quiet);
    int result = evaluation->fit_set == SIZE_MAX ? 0 : evaluate_fit(evaluation);
    for (size_t i = 0; i < evaluation->set_count && result == 0; i++)
        result = evaluate_set(evaluation, i);
    progress_end(&evaluation->progress, evaluation->images_done, NULL);
    return result;
}
