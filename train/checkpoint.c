// SPDX-License-Identifier: MIT
// Checkpoints. See checkpoint.h.
#include "train/checkpoint.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "eval/predict_settings.h"
#include "train/task.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static char *checkpoints_folder(const char *run) {
    return path_join(run, "checkpoints");
}

static int save_state(const char *folder, const TrainConfig *config, int64_t step) {
    json_t *state =
        json_pack("{s:I, s:s, s:I, s:I}", "step", (json_int_t)step, "task", task_find(config)->name,
                  "seed", (json_int_t)config->seed, "threads", (json_int_t)config->threads);
    char *text = state ? json_dumps(state, JSON_INDENT(2)) : NULL;
    char *path = path_join(folder, "state.json");
    int result = text && path ? file_write(path, text, strlen(text)) : -1;
    if (result != 0) error_int("%s: the state cannot be written", folder);
    free(path);
    free(text);
    json_decref(state);
    return result;
}

static int save_settings(const char *folder, const TrainConfig *config) {
    PredictSettings settings = {
        .normalise = config->normalise == NORMALISE_AFFINE ? PREDICT_AFFINE : PREDICT_MINMAX,
        .x0 = config->predict_x0 == 0 ? PREDICT_X0_IMAGE : PREDICT_X0_ZERO,
        .resolution = config->predict_resolution,
        .prompt_sigma = config->prompt_sigma,
    };
    return predict_settings_write(&settings, folder);
}

static int save_into(const char *folder, const TrainConfig *config, const Model *model,
                     const Optimizer *optimizer) {
    char *latest = checkpoint_latest(config->run);
    int saved = model_save(model, folder, latest ? latest : config->model);
    free(latest);
    if (saved != 0 || save_settings(folder, config) != 0) return -1;
    char *path = path_join(folder, "optimizer.safetensors");
    int result = path ? optimizer_save(optimizer, path) : -1;
    free(path);
    return result == 0 ? save_state(folder, config, optimizer->step) : -1;
}

// The step of a folder name "step-N", -1 for any other name.
static int64_t step_of(const char *name) {
    int64_t step = -1;
    if (!text_starts_with(name, "step-")) return -1;
    if (text_to_int64(name + 5, 0, INT64_MAX, &step) != 0) error_take();
    return step;
}

static int remove_named(const char *folder, const char *name) {
    char *path = path_join(folder, name);
    int result = path ? folder_remove(path) : -1;
    free(path);
    return result;
}

// Steps above `newest` come from a save that was killed before `latest` named it.
static bool is_left_over(const char *name, int64_t newest) {
    bool aside = text_ends_with(name, ".p2s-tmp") || text_ends_with(name, ".p2s-old");
    return text_starts_with(name, "step-") && (aside || step_of(name) > newest);
}

// Removes what killed saves left behind, then the lowest steps until `keep` remain; never `newest`.
static int remove_old(const char *folder, int64_t newest, int64_t keep) {
    size_t count = 0;
    char **names = folder_list(folder, &count);
    if (!names) return -1;
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_left_over(names[i], newest)) continue;
        if (remove_named(folder, names[i]) != 0) result = -1;
        names[i][0] = '\0';
    }
    for (;;) {
        size_t lowest = count, present = 0;
        for (size_t i = 0; i < count; i++) {
            if (names[i][0] == '\0' || step_of(names[i]) < 0) continue;
            present++;
            if (lowest == count || step_of(names[i]) < step_of(names[lowest])) lowest = i;
        }
        if ((int64_t)present <= keep) break;
        if (remove_named(folder, names[lowest]) != 0) result = -1;
        names[lowest][0] = '\0';
    }
    folder_list_free(names, count);
    return result;
}

static int save_step(const char *folder, const char *name, const TrainConfig *config,
                     const Model *model, const Optimizer *optimizer) {
    char *path = path_join(folder, name), *link = path_join(folder, "latest");
    char *aside = path && link && folder_make(folder) == 0 ? folder_replace_begin(path) : NULL;
    int result = aside ? save_into(aside, config, model, optimizer) : -1;
    if (result == 0) result = folder_replace_commit(aside, path);
    if (result == 0) result = link_replace(name, link);
    free(aside);
    free(link);
    free(path);
    return result == 0 ? remove_old(folder, optimizer->step, config->keep) : -1;
}

int checkpoint_save(const TrainConfig *config, const Model *model, const Optimizer *optimizer) {
    char *folder = checkpoints_folder(config->run);
    char *name = text_format("step-%lld", (long long)optimizer->step);
    int result = folder && name ? save_step(folder, name, config, model, optimizer) : -1;
    free(name);
    free(folder);
    return result == 0 ? 0 : error_context("checkpoint of step %lld", (long long)optimizer->step);
}

char *checkpoint_latest(const char *run) {
    char *folder = checkpoints_folder(run);
    char *latest = folder ? path_join(folder, "latest") : NULL;
    free(folder);
    if (latest && folder_exists(latest)) return latest;
    struct stat info;
    if (latest && lstat(latest, &info) == 0)
        error_int("%s: leads to no checkpoint; remove the link to begin anew", latest);
    free(latest);
    return NULL;
}

static int check_state(const char *path, const json_t *state, const TrainConfig *config,
                       int64_t *step) {
    const char *task = json_string_value(json_object_get(state, "task"));
    const json_t *at = json_object_get(state, "step");
    int64_t seed = json_integer_value(json_object_get(state, "seed"));
    int64_t threads = json_integer_value(json_object_get(state, "threads"));
    if (!task || !json_is_integer(at) || json_integer_value(at) < 0)
        return error_int("%s: task or step is missing", path);
    if (strcmp(task, task_find(config)->name) != 0)
        return error_int("%s: the checkpoint is of task %s, the config says %s", path, task,
                         task_find(config)->name);
    if (seed != config->seed)
        return error_int("%s: the run began with seed %lld, the config says %lld", path,
                         (long long)seed, (long long)config->seed);
    if (threads != config->threads)
        return error_int("%s: the run began with %lld threads; with %lld it would not continue to "
                         "the same bits (give threads=%lld)",
                         path, (long long)threads, (long long)config->threads, (long long)threads);
    *step = json_integer_value(at);
    return 0;
}

int checkpoint_state(const char *folder, const TrainConfig *config, int64_t *step) {
    char *path = path_join(folder, "state.json");
    if (!path) return -1;
    json_error_t problem;
    json_t *state = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    int result = -1;
    if (state)
        result = check_state(path, state, config, step);
    else if (problem.line < 1)
        error_int("%s", problem.text);
    else
        error_int("%s:%d: %s", path, problem.line, problem.text);
    json_decref(state);
    free(path);
    return result;
}
