// SPDX-License-Identifier: MIT
// Going through a set: prompts, masks, scores. See evaluate.h.
#include "eval/evaluate_private.h"

#include "autograd/rng.h"
#include "base/error.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/text.h"
#include "eval/prompter.h"
#include "eval/published.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static size_t pixels_of(const Sample *sample) {
    return (size_t)sample->image.width * (size_t)sample->image.height;
}

size_t target_truth(const Sample *sample, int index, uint8_t *truth) {
    size_t count = 0;
    sample_mask(sample, index, truth);
    for (size_t i = 0; i < pixels_of(sample); i++) {
        truth[i] = truth[i] && !(sample->ignore && sample->ignore[i]);
        count += truth[i];
    }
    return count;
}

static int random_point(const Evaluation *evaluation, int64_t index, const Target *target,
                        PixelPoint *point) {
    char purpose[128];
    snprintf(purpose, sizeof purpose, "prompt/%s", target->set);
    Rng rng = rng_stream((uint64_t)evaluation->config->seed, purpose, (uint64_t)index,
                         (uint64_t)target->instance->id);
    return prompt_random(target->truth, target->sample->image.width, target->sample->image.height,
                         rng_uniform(&rng), point);
}

// The first point; with prompt.kind=both the random one too, in `second`.
static int first_points(const Evaluation *evaluation, int64_t index, Target *target) {
    const int kind = evaluation->config->prompts;
    if (kind == PROMPTS_RANDOM) return random_point(evaluation, index, target, target->points);
    if (kind == PROMPTS_BOTH && random_point(evaluation, index, target, &target->second) < 0)
        return -1;
    return prompt_center(target->truth, target->sample->image.width, target->sample->image.height,
                         target->points);
}

typedef struct {
    size_t set;
    TargetVisit *visit;
    int64_t left; // instances that may still be visited
    bool scores;  // counts what it skips, tests image dependence
} Walk;

// Whether an instance is to be scored; otherwise counts why not. Writes its truth.
static bool is_scored(Evaluation *evaluation, const Walk *walk, const Sample *sample, int i,
                      uint8_t *truth) {
    const Instance *instance = &sample->instances[i];
    SetResult *result = &evaluation->results[walk->set];
    int64_t *reason = instance->crowd                                 ? &result->crowd
                      : instance->area < evaluation->config->min_area ? &result->small
                      : target_truth(sample, i, truth) == 0           ? &result->empty
                                                                      : NULL;
    if (reason && walk->scores) ++*reason;
    return !reason;
}

static int visit_instance(Evaluation *evaluation, Walk *walk, int64_t index, const Sample *sample,
                          int i, uint8_t *truth, Features *features) {
    const Instance *instance = &sample->instances[i];
    if (walk->left == 0 || !is_scored(evaluation, walk, sample, i, truth)) return 0;
    walk->left--;
    Target target = {.set = evaluation->benchmarks[walk->set].name,
                     .sample = sample,
                     .instance = instance,
                     .truth = truth,
                     .features = features};
    target.point_count = 1;
    int result = first_points(evaluation, index, &target) < 0 ? -1 : 0;
    if (result == 0) result = walk->visit(evaluation, walk->set, index, &target);
    features_forget_prompted(features);
    return result;
}

static bool wants_dependence(const Evaluation *evaluation, const Walk *walk) {
    if (!walk->scores ||
        evaluation->results[walk->set].dependence.images >= evaluation->config->dependence)
        return false;
    for (size_t i = 0; i < evaluation->systems.count; i++)
        if (evaluation->systems.items[i].features == FEATURES_BRANCH) return true;
    return false;
}

static int visit_read(Evaluation *evaluation, Walk *walk, int64_t index, const Sample *sample) {
    uint8_t *truth = array_new(pixels_of(sample), 1);
    if (!truth) return -1;
    Features features;
    features_begin(&features, evaluation->model, &sample->image);
    int result = 0;
    if (wants_dependence(evaluation, walk) &&
        image_dependence_add(&evaluation->results[walk->set].dependence, evaluation->model,
                             &sample->image) < 0)
        result = -1;
    for (int i = 0; i < sample->instance_count && result == 0; i++)
        result = visit_instance(evaluation, walk, index, sample, i, truth, &features);
    features_done(&features);
    free(truth);
    return result;
}

static int visit_sample(Evaluation *evaluation, Walk *walk, int64_t index) {
    const Benchmark *benchmark = &evaluation->benchmarks[walk->set];
    if (interrupt_requested()) return error_int("interrupted");
    Sample sample;
    if (dataset_read(benchmark->set, index, &sample))
        return error_context("set %s, image %lld", benchmark->name, (long long)index);
    int result = visit_read(evaluation, walk, index, &sample);
    if (result) error_context("set %s, image %s", benchmark->name, sample.name);
    sample_free(&sample);
    progress_update(&evaluation->progress, ++evaluation->images_done, benchmark->name);
    return result;
}

static int visit_set(Evaluation *evaluation, size_t set, TargetVisit *visit, bool scores) {
    const int64_t limit = evaluation->config->instances;
    Walk walk = {set, visit, limit ? limit : INT64_MAX, scores};
    int result = 0;
    for (int64_t i = 0; i < evaluation->benchmarks[set].count && walk.left && result == 0; i++)
        result = visit_sample(evaluation, &walk, i);
    return result;
}

static json_t *fitted_json(const System *system, double miou) {
    json_t *json = json_pack("{s:f}", "miou", miou);
    const Readout *readout = &system->readout;
    const bool maps = system->rule == RULE_MAP || system->rule == RULE_MAP_DISC;
    if (maps || system->rule == RULE_HALF_SPACE)
        json_object_set_new(json, "sigma", json_real(readout->sigma));
    if (maps) {
        json_object_set_new(json, "similarity",
                            json_string(readout->form == SIMILARITY_PAPER ? "paper" : "code"));
        json_object_set_new(json, "threshold", json_integer(readout->threshold));
    }
    if (system->rule == RULE_DISC || system->rule == RULE_MAP_DISC)
        json_object_set_new(json, "disc", json_real(readout->disc));
    if (system->rule == RULE_FLOOD) json_object_set_new(json, "flood", json_real(readout->flood));
    return json;
}

static int fit_visit(Evaluation *evaluation, size_t set, int64_t sample, Target *target) {
    (void)set;
    (void)sample;
    Target second = target_second(target);
    return fit_add(evaluation->fit, target) || fit_add(evaluation->random_fit, &second) ? -1 : 0;
}

// Puts the best read-outs into the systems of the list, and into the JSON.
static int apply_fit(const Fit *fit, const SystemList *list, json_t *json) {
    double *miou = array_new(list->count, sizeof *miou);
    int result = miou ? fit_apply(fit, miou) : -1;
    for (size_t i = 0; i < list->count && result == 0; i++)
        if (system_can_be_fitted(&list->items[i]))
            json_object_set_new(json, list->items[i].name, fitted_json(&list->items[i], miou[i]));
    free(miou);
    return result;
}

static int apply_fits(Evaluation *evaluation) {
    json_t *json = json_object();
    if (apply_fit(evaluation->fit, &evaluation->systems, json) ||
        apply_fit(evaluation->random_fit, &evaluation->random_systems, json)) {
        json_decref(json);
        return -1;
    }
    return attach(evaluation, "fitted", "on",
                  json_string(evaluation->benchmarks[evaluation->fit_set].name)) ||
                   attach(evaluation, "fitted", "systems", json)
               ? -1
               : 0;
}

int evaluate_fit(Evaluation *evaluation) {
    evaluation->fit = fit_new(&evaluation->systems);
    evaluation->random_fit = evaluation->fit ? fit_new(&evaluation->random_systems) : NULL;
    int result = evaluation->random_fit ? 0 : -1;
    if (result == 0) result = visit_set(evaluation, evaluation->fit_set, fit_visit, false);
    if (result == 0) result = apply_fits(evaluation);
    fit_free(evaluation->fit);
    fit_free(evaluation->random_fit);
    evaluation->fit = evaluation->random_fit = NULL;
    return result;
}

static bool has_curves(const System *system) {
    return system->rule == RULE_MAP && !system->fixed;
}

static int add_curves(Evaluation *evaluation, Target *target, Scored *scored) {
    const size_t count = evaluation->systems.count;
    scored->curves = array_new(count * FIT_THRESHOLDS, sizeof *scored->curves);
    int result = scored->curves ? 0 : -1;
    for (size_t s = 0; s < count && result == 0; s++) {
        const System *system = &evaluation->systems.items[s];
        if (!has_curves(system)) continue;
        const PosthocOptions options = system_posthoc(system);
        const uint8_t *map = features_map(target->features, system->features, target->points,
                                          target->point_count, &options);
        result = map ? threshold_curve(target, map, system->component,
                                       scored->curves + s * FIT_THRESHOLDS)
                     : -1;
    }
    return result;
}

static Scored *scored_new(SetResult *result, int64_t sample, const Target *target) {
    if (array_grow(&result->scored, &result->capacity, result->count, sizeof *result->scored))
        return NULL;
    char *image = string_copy(target->sample->name);
    if (!image) return NULL;
    Scored *scored = &result->scored[result->count++];
    *scored = (Scored){.sample = sample,
                       .index = (int)(target->instance - target->sample->instances),
                       .image = image,
                       .id = target->instance->id,
                       .area = target->instance->area,
                       .point = target->points[0]};
    return scored;
}

static int score_visit(Evaluation *evaluation, size_t set, int64_t sample, Target *target) {
    SetResult *set_result = &evaluation->results[set];
    Scored *scored = scored_new(set_result, sample, target);
    uint8_t *mask = scored ? array_new(pixels_of(target->sample), 1) : NULL;
    int result = mask ? 0 : -1;
    for (size_t s = 0; s < evaluation->systems.count && result == 0; s++) {
        System *system = &evaluation->systems.items[s];
        double iou = 0;
        result = score_points(evaluation, &set_result->goals[s], system, target, mask, &iou);
        if (system == evaluation->page_system) scored->iou = iou;
    }
    for (size_t s = 0; s < evaluation->random_systems.count && result == 0; s++)
        result = score_second(evaluation, &evaluation->random_systems.items[s], target, mask);
    if (result == 0 && evaluation->config->best_threshold)
        result = add_curves(evaluation, target, scored);
    free(mask);
    return result ? error_context("instance %lld", (long long)target->instance->id) : 0;
}

// The threshold with the highest mean over instances first .. end - 1.
static int best_threshold(const SetResult *result, size_t system, size_t first, size_t end) {
    int best = 0;
    double best_sum = -1;
    for (int t = 0; t < FIT_THRESHOLDS; t++) {
        double sum = 0;
        for (size_t i = first; i < end; i++)
            sum += result->scored[i].curves[system * FIT_THRESHOLDS + (size_t)t];
        if (sum <= best_sum) continue;
        best_sum = sum;
        best = t;
    }
    return best;
}

static int add_best_rows(Evaluation *evaluation, size_t set, size_t system, const char *name,
                         size_t first, size_t end) {
    const SetResult *result = &evaluation->results[set];
    const int t = best_threshold(result, system, first, end);
    for (size_t i = first; i < end; i++) {
        const Scored *scored = &result->scored[i];
        const ReportRow row = {evaluation->benchmarks[set].name,
                               scored->image,
                               scored->id,
                               scored->area,
                               name,
                               &scored->point,
                               1,
                               scored->curves[system * FIT_THRESHOLDS + (size_t)t]};
        if (report_add(evaluation->report, &row)) return -1;
    }
    return 0;
}

static int add_best_per_image(Evaluation *evaluation, size_t set, size_t system, const char *name) {
    const SetResult *result = &evaluation->results[set];
    for (size_t first = 0, end; first < result->count; first = end) {
        end = first + 1;
        while (end < result->count && result->scored[end].sample == result->scored[first].sample)
            end++;
        if (add_best_rows(evaluation, set, system, name, first, end)) return -1;
    }
    return 0;
}

static int add_best(Evaluation *evaluation, size_t set) {
    if (!evaluation->config->best_threshold) return 0;
    int result = 0;
    for (size_t s = 0; s < evaluation->systems.count && result == 0; s++) {
        const System *system = &evaluation->systems.items[s];
        if (!has_curves(system)) continue;
        char *of_set = text_format("%s best threshold (set)", system->name);
        char *of_image = text_format("%s best threshold (image)", system->name);
        result = of_set && of_image ? 0 : -1;
        if (result == 0)
            result = add_best_rows(evaluation, set, s, of_set, 0, evaluation->results[set].count);
        if (result == 0) result = add_best_per_image(evaluation, set, s, of_image);
        free(of_set);
        free(of_image);
    }
    return result;
}

static int attach_missing(Evaluation *evaluation, size_t set) {
    json_t *json = json_object();
    for (size_t s = 0; s < evaluation->systems.count; s++) {
        System *system = &evaluation->systems.items[s];
        if (system->rule != RULE_FOLDER) continue;
        json_object_set_new(json, system->name, json_integer((json_int_t)system->missing));
        system->missing = 0;
    }
    if (json_object_size(json))
        return attach(evaluation, "missing_masks", evaluation->benchmarks[set].name, json);
    json_decref(json);
    return 0;
}

static int attach_skipped(Evaluation *evaluation, size_t set) {
    const SetResult *result = &evaluation->results[set];
    if (result->crowd + result->small + result->empty == 0) return 0;
    return attach(evaluation, "skipped", evaluation->benchmarks[set].name,
                  json_pack("{s:I, s:I, s:I}", "crowd", (json_int_t)result->crowd, "small",
                            (json_int_t)result->small, "empty", (json_int_t)result->empty));
}

static int attach_dependence(Evaluation *evaluation, size_t set) {
    ImageDependence *dependence = &evaluation->results[set].dependence;
    int result = 0;
    if (dependence->images > 1)
        result = attach(evaluation, "image_dependence", evaluation->benchmarks[set].name,
                        json_pack("{s:I, s:f, s:f}", "images", (json_int_t)dependence->images,
                                  "deviation", image_dependence_deviation(dependence), "level",
                                  image_dependence_level(dependence)));
    image_dependence_free(dependence);
    return result;
}

int evaluate_set(Evaluation *evaluation, size_t set) {
    const Benchmark *benchmark = &evaluation->benchmarks[set];
    if (visit_set(evaluation, set, score_visit, true)) return -1;
    if (evaluation->results[set].count == 0)
        return error_int("set %s: none of %lld images has an instance to be scored",
                         benchmark->name, (long long)benchmark->count);
    if (add_best(evaluation, set) || attach_goals(evaluation, set) ||
        attach_missing(evaluation, set) || attach_skipped(evaluation, set) ||
        attach_dependence(evaluation, set))
        return -1;
    if (benchmark->novel_coco) return report_remark(evaluation->report, published_coco_novel());
    return 0;
}
