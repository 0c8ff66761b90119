// SPDX-License-Identifier: MIT
// Validation. See validate.h.
#include "train/validate.h"

#include "base/clock.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "eval/benchmark.h"
#include "eval/evaluate.h"
#include "eval/predictor.h"
#include "train/reconstruction.h"
#include "train/task.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { NUMBER_DIGITS = 9, TAG_SIZE = 160 };

// ---- settings -----------------------------------------------------------------------------------

static int copy_list(ConfigList *to, const ConfigList *from) {
    free(to->items);
    to->items = array_new(from->count, sizeof *to->items);
    for (size_t i = 0; to->items && i < from->count; i++, to->count++)
        if (!(to->items[i] = string_copy(from->items[i]))) return -1;
    return to->items ? 0 : -1;
}

static int make_settings(Validation *validation) {
    const TrainConfig *config = validation->config;
    EvalConfig *eval = &validation->eval;
    if (config->validate_sets.count == 0)
        return error_int("validate.sets: none is given, for example scenes:split=val");
    if (config_defaults(&eval_table, eval) != 0) return -1;
    eval->images = config->validate_images;
    eval->dependence = eval->pictures = 0;
    for (size_t i = 0; i < config->validate_options.count; i++)
        if (config_override(&eval_table, eval, config->validate_options.items[i],
                            "validate.options") != 0)
            return -1;
    if (eval->sets.count > 0 || eval->systems.count > 0)
        return error_int("validate.options: sets and systems have their own keys");
    if (copy_list(&eval->sets, &config->validate_sets) != 0) return -1;
    if (config->task == TASK_VAE) return 0;
    if (config->validate_systems.count == 0)
        return config_set(&eval_table, eval, "systems", task_find(config)->name, "validate");
    return copy_list(&eval->systems, &config->validate_systems);
}

// ---- scoring ------------------------------------------------------------------------------------

static int check_finite(double value, const char *set, const char *system) {
    if (isfinite(value)) return 0;
    return error_int("%s: the score of %s is %g, expected a finite number", set, system, value);
}

static int add_row(json_t *rows, const char *system, const ReportScore *score) {
    json_t *row =
        json_pack("{s:f, s:[f,f]}", "miou", score->miou, "ci95", score->ci95[0], score->ci95[1]);
    return json_object_set_new(rows, system, row) == 0 ? 0 : error_int("validation: no memory");
}

static int add_curve(EventFile *events, int64_t step, const char *set, const char *system,
                     double miou) {
    char tag[TAG_SIZE];
    snprintf(tag, sizeof tag, "validation/%s/%s", set, system);
    return event_file_scalars(events, step, &(EventScalar){tag, miou}, 1);
}

static int score_set(const Validation *validation, const Evaluation *evaluation, size_t set,
                     int64_t step, EventFile *events, json_t *rows, double *first) {
    const ConfigList *systems = &validation->eval.systems;
    const char *name = evaluation_set_name(evaluation, set);
    for (size_t i = 0; i < systems->count; i++) {
        ReportScore score;
        if (report_score(evaluation_report(evaluation), name, systems->items[i], &score) != 0 ||
            check_finite(score.miou, name, systems->items[i]) != 0 ||
            check_finite(score.ci95[0] + score.ci95[1], name, systems->items[i]) != 0 ||
            add_row(rows, systems->items[i], &score) != 0 ||
            add_curve(events, step, name, systems->items[i], score.miou) != 0)
            return -1;
        if (i == 0) *first = score.miou;
    }
    return 0;
}

static int collect(Validation *validation, const Evaluation *evaluation, int64_t step,
                   EventFile *events, json_t *sets) {
    size_t count = evaluation_set_count(evaluation);
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        json_t *rows = json_object();
        double first = 0;
        if (json_object_set_new(sets, evaluation_set_name(evaluation, i), rows) != 0 ||
            score_set(validation, evaluation, i, step, events, rows, &first) != 0)
            return -1;
        sum += first;
    }
    validation->score = sum / (double)count;
    return 0;
}

// The auto-encoder has no masks to be scored: its row is how well it gives images back.
static int score_vae(Validation *validation, int64_t step, EventFile *events, json_t *sets) {
    const ConfigList *items = &validation->eval.sets;
    double sum = 0;
    for (size_t i = 0; i < items->count; i++) {
        Benchmark set;
        double psnr = 0;
        int result = benchmark_open(items->items[i], &set);
        if (result == 0)
            result = reconstruction_psnr(validation->model->vae, &set, validation->config, &psnr);
        if (result == 0) result = check_finite(psnr, set.name, "vae (psnr)");
        if (result == 0) result = add_curve(events, step, set.name, "psnr", psnr);
        if (result == 0 &&
            json_object_set_new(sets, set.name, json_pack("{s:{s:f}}", "vae", "psnr", psnr)) != 0)
            result = error_int("validation: no memory");
        benchmark_close(&set);
        if (result != 0) return -1;
        sum += psnr;
    }
    validation->score = sum / (double)items->count;
    return 0;
}

static int write_line(const Validation *validation, int64_t step, json_t *sets, double seconds) {
    char *text = json_dumps(sets, JSON_REAL_PRECISION(NUMBER_DIGITS));
    char *line = text ? text_format("{\"step\": %lld, \"score\": %.9g, \"sets\": %s, "
                                    "\"seconds\": %.4g}\n",
                                    (long long)step, validation->score, text, seconds)
                      : NULL;
    int result = line ? run_log_add(validation->log, line) : -1;
    free(line);
    free(text);
    return result;
}

static int score_masks(Validation *validation, int64_t step, EventFile *events, json_t *sets) {
    PredictSettings settings = task_predict_settings(validation->config);
    predict_settings_override(&settings, &validation->eval);
    Predictor *predictor = predictor_open(validation->model, &settings);
    EvalModel view = predictor ? predictor_eval_model(predictor) : (EvalModel){0};
    Evaluation *evaluation = predictor ? evaluation_new(&validation->eval, &view) : NULL;
    int result = evaluation ? evaluation_run(evaluation, true) : -1;
    if (result == 0) result = collect(validation, evaluation, step, events, sets);
    evaluation_free(evaluation);
    predictor_close(predictor);
    return result;
}

static int score_model(Validation *validation, int64_t step, EventFile *events) {
    double start = clock_seconds();
    json_t *sets = json_object();
    int result = validation->config->task == TASK_VAE ? score_vae(validation, step, events, sets)
                                                      : score_masks(validation, step, events, sets);
    const EventScalar score = {"validation/score", validation->score};
    if (result == 0) result = event_file_scalars(events, step, &score, 1);
    if (result == 0) result = write_line(validation, step, sets, clock_seconds() - start);
    json_decref(sets);
    return result;
}

static void note_line(Validation *validation, int64_t step, double score) {
    validation->step = step;
    validation->score = score;
    if (validation->best_step > 0 && score <= validation->best) return;
    validation->best_step = step;
    validation->best = score;
}

static int visit(void *context, const json_t *line) {
    const json_t *score = json_object_get(line, "score");
    if (!json_is_number(score)) return error_int("a line of validation without its score");
    note_line(context, json_integer_value(json_object_get(line, "step")), json_number_value(score));
    return 0;
}

// ---- public -------------------------------------------------------------------------------------

static int rehearse_vae(const Validation *validation) {
    const ConfigList *items = &validation->eval.sets;
    int result = 0;
    for (size_t i = 0; result == 0 && i < items->count; i++) {
        Benchmark set;
        result = benchmark_open(items->items[i], &set);
        benchmark_close(&set);
    }
    return result;
}

// Opens what a validation needs and closes it again.
static int rehearse(const Validation *validation) {
    if (validation->config->task == TASK_VAE) return rehearse_vae(validation);
    const PredictSettings settings = task_predict_settings(validation->config);
    Predictor *predictor = predictor_open(validation->model, &settings);
    EvalModel view = predictor ? predictor_eval_model(predictor) : (EvalModel){0};
    Evaluation *evaluation = predictor ? evaluation_new(&validation->eval, &view) : NULL;
    int result = evaluation ? 0 : -1;
    evaluation_free(evaluation);
    predictor_close(predictor);
    return result;
}

int validation_begin(Validation *validation, const TrainConfig *config, Model *model,
                     int64_t step) {
    *validation = (Validation){.config = config, .model = model};
    if (config->validate_every == 0) return 0;
    if (config->task == TASK_DIFFUSION)
        return error_int(
            "train.validate_every: task diffusion makes no masks that could be scored");
    if (make_settings(validation) != 0 || rehearse(validation) != 0)
        return error_context("validation");
    char *path = path_join(config->run, "validation.jsonl");
    validation->log = path ? run_log_open(path, step, visit, validation) : NULL;
    free(path);
    return validation->log ? 0 : -1;
}

void validation_done(Validation *validation) {
    run_log_close(validation->log);
    config_free(&eval_table, &validation->eval);
    *validation = (Validation){0};
}

bool validation_due(const Validation *validation, int64_t step) {
    const TrainConfig *config = validation->config;
    if (config->validate_every == 0 || step <= validation->step) return false;
    return step % config->validate_every == 0 || step == config->steps;
}

int validation_missing(const TrainConfig *config, int64_t step) {
    Validation logged = {.config = config};
    char *path = path_join(config->run, "validation.jsonl");
    int result = path ? run_log_read(path, step, visit, &logged) : -1;
    free(path);
    return result == 0 ? validation_due(&logged, step) : -1;
}

int validation_run(Validation *validation, int64_t step, EventFile *events, bool *improved) {
    if (score_model(validation, step, events) != 0) return error_context("validation");
    note_line(validation, step, validation->score);
    *improved = validation->best_step == step;
    return 0;
}

int validation_sync(Validation *validation) {
    return validation->log ? run_log_sync(validation->log) : 0;
}
