// SPDX-License-Identifier: MIT
// Checkpoints. See checkpoint.h.
#include "train/checkpoint.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "base/file.h"
#include "base/job.h"
#include "base/text.h"
#include "train/frozen.h"
#include "train/task.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char *checkpoints_folder(const char *run) {
    return path_join(run, "checkpoints");
}

static json_t *read_state(const char *path) {
    json_error_t problem;
    json_t *state = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    if (!state && problem.line < 1) return error_null("%s", problem.text);
    if (!state) return error_null("%s:%d: %s", path, problem.line, problem.text);
    return state;
}

static json_t *state_of(const char *folder) {
    char *path = path_join(folder, "state.json");
    json_t *state = path ? read_state(path) : NULL;
    free(path);
    return state;
}

// Which kernels compute; "" where only shapes and threads decide the bits.
static const char *kernels_in_use(void) {
    const char *kernels = backend_current() ? backend_current()->kernels : NULL;
    return kernels ? kernels : "";
}

// `before`: the state of the checkpoint that frozen weights were linked from, NULL without.
static int save_state(const char *folder, const TrainConfig *config, const Model *model,
                      int64_t step, const json_t *before) {
    json_t *frozen = frozen_digests(model, folder, json_object_get(before, "frozen"));
    if (!frozen) return -1;
    json_t *state = json_pack("{s:I, s:s, s:I, s:I, s:i, s:s, s:o}", "step", (json_int_t)step,
                              "task", task_find(config)->name, "seed", (json_int_t)config->seed,
                              "threads", (json_int_t)config->threads, "processes", job_size(),
                              "kernels", kernels_in_use(), "frozen", frozen);
    char *text = state ? json_dumps(state, JSON_INDENT(2)) : NULL;
    char *path = path_join(folder, "state.json");
    int result = text && path ? file_write(path, text, strlen(text)) : -1;
    if (result != 0) error_int("%s: the state cannot be written", folder);
    free(path);
    free(text);
    json_decref(state);
    return result;
}

static int save_into(const char *folder, const TrainConfig *config, const Model *model,
                     const Optimizer *optimizer) {
    const PredictSettings settings = task_predict_settings(config);
    char *latest = checkpoint_latest(config->run);
    json_t *before = latest ? state_of(latest) : NULL;
    char *path = path_join(folder, "optimizer.safetensors");
    int result = latest && !before ? -1 : 0;
    if (result == 0) result = model_save(model, folder, latest ? latest : config->model);
    if (result == 0) result = predict_settings_write(&settings, folder);
    if (result == 0) result = path ? optimizer_save(optimizer, path) : -1;
    if (result == 0) result = save_state(folder, config, model, optimizer->step, before);
    json_decref(before);
    free(latest);
    free(path);
    return result;
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

// The step that a link leads to, -1 without one.
static int64_t linked_step(const char *folder, const char *name) {
    char target[64];
    char *link = path_join(folder, name);
    ssize_t length = link ? readlink(link, target, sizeof target - 1) : -1;
    free(link);
    if (length < 0) return -1;
    target[length] = '\0';
    return step_of(target);
}

// How many of the names are checkpoints of a later step.
static int64_t later_than(int64_t step, char *const *names, size_t count) {
    int64_t later = 0;
    for (size_t i = 0; i < count; i++) later += step_of(names[i]) > step;
    return later;
}

// Removes what killed saves left behind, then all but the newest `keep` and the best.
static int remove_old(const char *folder, int64_t newest, int64_t keep) {
    size_t count = 0;
    char **names = folder_list(folder, &count);
    if (!names) return -1;
    int64_t best = linked_step(folder, "best");
    int result = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_left_over(names[i], newest)) continue;
        if (remove_named(folder, names[i]) != 0) result = -1;
        names[i][0] = '\0';
    }
    for (size_t i = 0; i < count; i++) {
        int64_t step = step_of(names[i]);
        if (step < 0 || step == best || later_than(step, names, count) < keep) continue;
        if (remove_named(folder, names[i]) != 0) result = -1;
    }
    folder_list_free(names, count);
    return result;
}

static int point(const char *folder, const char *link, const char *name) {
    char *path = path_join(folder, link);
    int result = path ? link_replace(name, path) : -1;
    free(path);
    return result;
}

// Puts what was written aside in its place and points `latest` to it, or leaves neither.
static int publish(const char *folder, const char *name, const char *aside, const char *path) {
    if (folder_replace_commit(aside, path) != 0) {
        folder_remove(aside);
        return -1;
    }
    if (point(folder, "latest", name) == 0) return 0;
    if (linked_step(folder, "latest") != step_of(name)) folder_remove(path);
    return -1;
}

// `latest` before `best`: who resumes in between finds the best by its log, in a checkpoint that
// will stay.
static int save_step(const char *folder, const char *name, const TrainConfig *config,
                     const Model *model, const Optimizer *optimizer, bool is_best) {
    char *path = path_join(folder, name);
    char *aside = path && folder_make(folder) == 0 ? folder_replace_begin(path) : NULL;
    int result = aside ? save_into(aside, config, model, optimizer) : -1;
    if (result != 0 && aside) folder_remove(aside);
    if (result == 0) result = publish(folder, name, aside, path);
    if (result == 0 && is_best) result = point(folder, "best", name);
    free(aside);
    free(path);
    return result == 0 ? remove_old(folder, optimizer->step, config->keep) : -1;
}

int checkpoint_mark_best(const char *run, int64_t step) {
    char *folder = checkpoints_folder(run), *name = text_format("step-%lld", (long long)step);
    char *path = folder && name ? path_join(folder, name) : NULL;
    int result = path ? 0 : -1;
    if (path && folder_exists(path) && linked_step(folder, "best") != step)
        result = point(folder, "best", name);
    free(path);
    free(name);
    free(folder);
    return result;
}

int checkpoint_save(const TrainConfig *config, const Model *model, const Optimizer *optimizer,
                    bool is_best) {
    char *folder = checkpoints_folder(config->run);
    char *name = text_format("step-%lld", (long long)optimizer->step);
    int result = folder && name ? save_step(folder, name, config, model, optimizer, is_best) : -1;
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
    const json_t *stored = json_object_get(state, "processes");
    int64_t processes = stored ? json_integer_value(stored) : 1;
    if (processes != job_size())
        return error_int("%s: the run began with %lld processes; with %d it would not continue to "
                         "the same bits (change \"processes\" there to go on all the same)",
                         path, (long long)processes, job_size());
    const char *kernels = json_string_value(json_object_get(state, "kernels"));
    if (kernels && strcmp(kernels, kernels_in_use()) != 0)
        return error_int("%s: the run began with the kernels \"%s\"; with \"%s\" it would not "
                         "continue to the same bits (P2S_ISA, P2S_CHOICES, P2S_PLAN_TABLE and "
                         "ONEDNN_MAX_CPU_ISA decide)",
                         path, kernels, kernels_in_use());
    *step = json_integer_value(at);
    return 0;
}

int checkpoint_state(const char *folder, const TrainConfig *config, int64_t *step) {
    char *path = path_join(folder, "state.json");
    json_t *state = path ? read_state(path) : NULL;
    int result = state ? check_state(path, state, config, step) : -1;
    json_decref(state);
    free(path);
    return result;
}

int checkpoint_verify(const char *folder) {
    json_t *state = state_of(folder);
    int result = state ? frozen_verify(folder, json_object_get(state, "frozen")) : -1;
    json_decref(state);
    return result;
}
