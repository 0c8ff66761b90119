// SPDX-License-Identifier: MIT
// One system on one instance: its rows with 1 point, with a random one, and point by point, and the
// number of points that a good mask takes. See evaluate.h.
#include "eval/evaluate_private.h"

#include "base/error.h"
#include "base/text.h"
#include "eval/mask_folder.h"
#include "eval/prompter.h"

#include <stdlib.h>

#define GOAL_IOU 0.8

static int add_row(Evaluation *evaluation, const Target *target, const char *system, double iou) {
    const ReportRow row = {
        target->set, target->sample->name, target->instance->id, target->instance->area,
        system,      target->points,       target->point_count,  iou};
    return report_add(evaluation->report, &row);
}

static int add_numbered_row(Evaluation *evaluation, const Target *target, const System *system,
                            int points, double iou) {
    if (points == 1) return add_row(evaluation, target, system->name, iou);
    char *name = text_format("%s@%d", system->name, points);
    int result = name ? add_row(evaluation, target, name, iou) : -1;
    free(name);
    return result;
}

static int export_mask(const Evaluation *evaluation, const Target *target, const System *system,
                       const uint8_t *mask) {
    if (!evaluation->masks) return 0;
    char *folder = text_format("%s/%s", evaluation->masks, system->name);
    const Image *image = &target->sample->image;
    int result = folder ? mask_folder_write(folder, target->set, target->sample->name,
                                            target->instance->id, image->width, image->height, mask)
                        : -1;
    free(folder);
    return result;
}

// Adds the point that the mask asks for and makes the new mask; when nothing of the object is left
// uncovered all stays as it is.
static int click_again(System *system, Target *target, uint8_t *mask) {
    const Image *image = &target->sample->image;
    int found = prompt_next(target->truth, mask, target->sample->ignore, image->width,
                            image->height, &target->points[target->point_count]);
    if (found <= 0) return found;
    target->point_count++;
    return system_predict(system, target, mask);
}

Target target_second(const Target *target) {
    Target second = *target;
    second.points[0] = target->second;
    return second;
}

int score_second(Evaluation *evaluation, System *system, const Target *given, uint8_t *mask) {
    Target target = target_second(given);
    if (system_predict(system, &target, mask)) return error_context("%s", system->name);
    return add_row(evaluation, &target, system->name, target_score(&target, mask));
}

int score_points(Evaluation *evaluation, PointsToGoal *goal, System *system, const Target *given,
                 uint8_t *mask, double *first) {
    Target target = *given;
    const int most = (int)evaluation->config->points;
    int reached = 0;
    for (int n = 1; n <= most; n++) {
        if ((n == 1 ? system_predict(system, &target, mask) : click_again(system, &target, mask)))
            return error_context("%s", system->name);
        const double iou = target_score(&target, mask);
        if (n == 1) {
            *first = iou;
            if (export_mask(evaluation, &target, system, mask)) return -1;
        }
        if (!reached && iou >= GOAL_IOU) reached = n;
        goal->iou[n - 1] += iou;
        if (add_numbered_row(evaluation, &target, system, n, iou)) return -1;
    }
    goal->points += reached ? reached : most;
    goal->reached += reached > 0;
    return 0;
}

// Adds the lines of one system: mean number of points, share that reached the goal, IoU by points.
static int goal_row(Evaluation *evaluation, size_t set, size_t system, json_t *json, Text *lines) {
    const SetResult *result = &evaluation->results[set];
    const PointsToGoal *goal = &result->goals[system];
    const double count = (double)result->count;
    const char *name = evaluation->systems.items[system].name;
    json_t *curve = json_array();
    text_add(lines, "| %s | %.2f | %.0f %% |", name, goal->points / count,
             100 * (double)goal->reached / count);
    for (int n = 0; n < (int)evaluation->config->points; n++) {
        json_array_append_new(curve, json_real(goal->iou[n] / count));
        text_add(lines, " %.3f |", goal->iou[n] / count);
    }
    text_add(lines, "\n");
    return json_object_set_new(json, name,
                               json_pack("{s:f, s:f, s:o}", "mean", goal->points / count, "reached",
                                         (double)goal->reached / count, "miou", curve));
}

static void goal_head(const Evaluation *evaluation, size_t set, Text *lines) {
    const int most = (int)evaluation->config->points;
    text_add(lines,
             "\n%s: points until IoU %.1f (mean, %d where it is never reached; share that reaches "
             "it), and mIoU after each point:\n\n| system | points | reached |",
             evaluation->benchmarks[set].name, GOAL_IOU, most);
    for (int n = 1; n <= most; n++) text_add(lines, " %d |", n);
    text_add(lines, "\n|---|---|---|");
    for (int n = 1; n <= most; n++) text_add(lines, "---|");
    text_add(lines, "\n");
}

int attach_goals(Evaluation *evaluation, size_t set) {
    if (evaluation->config->points == 1) return 0;
    Text lines = {0};
    json_t *json = json_object();
    int result = 0;
    goal_head(evaluation, set, &lines);
    for (size_t s = 0; s < evaluation->systems.count && result == 0; s++)
        result = goal_row(evaluation, set, s, json, &lines);
    char *text = text_take(&lines);
    if (result || !text)
        json_decref(json);
    else if (attach(evaluation, "points_to_80", evaluation->benchmarks[set].name, json) == 0)
        result = report_remark(evaluation->report, text);
    else
        result = -1;
    result = text ? result : -1;
    free(text);
    return result;
}
