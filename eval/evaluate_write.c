// SPDX-License-Identifier: MIT
// The files of an evaluation. See evaluate.h.
#include "eval/evaluate_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#include <stdlib.h>

// {OTHER: {"difference": x, "ci95": [lo, hi]}} of the page's system against all others on one set.
static json_t *differences_json(const Evaluation *evaluation, const char *set) {
    json_t *json = json_object();
    for (size_t s = 0; json && s < evaluation->systems.count; s++) {
        const System *other = &evaluation->systems.items[s];
        double difference, interval[2];
        if (other == evaluation->page_system) continue;
        if (report_difference(evaluation->report, set, evaluation->page_system->name, other->name,
                              &difference, interval)) {
            json_decref(json);
            return NULL;
        }
        json_object_set_new(json, other->name,
                            json_pack("{s:f, s:[f,f]}", "difference", difference, "ci95",
                                      interval[0], interval[1]));
    }
    return json;
}

static int attach_differences(Evaluation *evaluation) {
    for (size_t i = 0; i < evaluation->set_count && evaluation->systems.count > 1; i++) {
        const char *set = evaluation->benchmarks[i].name;
        json_t *others = differences_json(evaluation, set);
        if (!others) return error_int("results: cannot compare systems on %s", set);
        if (attach(evaluation, "differences", set,
                   json_pack("{s:o}", evaluation->page_system->name, others)))
            return -1;
    }
    return 0;
}

static int hand_over(Evaluation *evaluation) {
    const char *key;
    json_t *value;
    json_object_foreach(evaluation->attached, key, value) {
        char *text = json_dumps(value, 0);
        int result = text ? report_attach(evaluation->report, key, text)
                          : error_int("results: out of memory");
        free(text);
        if (result) return -1;
    }
    return 0;
}

static int remark_fit(Evaluation *evaluation) {
    if (evaluation->fit_set == SIZE_MAX) return 0;
    char *text = text_format("\nRead-outs were fitted on %s; rows \"fixed\" have the configured "
                             "ones. What was chosen stands in results.json under \"fitted\".\n",
                             evaluation->benchmarks[evaluation->fit_set].name);
    int result = text ? report_remark(evaluation->report, text) : -1;
    free(text);
    return result;
}

static int write_config(const Evaluation *evaluation) {
    char *path = path_join(evaluation->config->out, "config.yaml");
    int result = path ? config_write(&eval_table, evaluation->config, path, NULL) : -1;
    free(path);
    return result;
}

static int write_pages(Evaluation *evaluation) {
    if (evaluation->config->pictures == 0) return 0;
    char *path = path_join(evaluation->config->out, "pages");
    char *aside = path ? folder_replace_begin(path) : NULL;
    int result = aside ? 0 : -1;
    for (size_t i = 0; i < evaluation->set_count && result == 0; i++)
        result = evaluate_page(evaluation, i, aside);
    if (result == 0) {
        result = folder_replace_commit(aside, path);
    } else if (aside) {
        folder_remove(aside);
    }
    free(aside);
    free(path);
    return result;
}

static int write_masks(Evaluation *evaluation) {
    if (!evaluation->masks) return 0;
    char *path = path_join(evaluation->config->out, "masks");
    int result = path ? folder_replace_commit(evaluation->masks, path) : -1;
    if (result == 0) {
        free(evaluation->masks);
        evaluation->masks = NULL;
    }
    free(path);
    return result;
}

int evaluation_write(Evaluation *evaluation) {
    if (folder_make(evaluation->config->out) || attach_differences(evaluation) ||
        remark_fit(evaluation) || hand_over(evaluation))
        return -1;
    if (write_masks(evaluation) || write_config(evaluation) ||
        report_write(evaluation->report, evaluation->config->out))
        return -1;
    return write_pages(evaluation);
}
