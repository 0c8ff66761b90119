// SPDX-License-Identifier: MIT
// Collecting rows and computing scores. See report.h.
#include "eval/report_private.h"

#include "base/error.h"
#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static const size_t MISSING = SIZE_MAX;

// From the end, as rows of one image follow each other.
static size_t name_find(const NameList *list, const char *name) {
    for (size_t i = list->count; i-- > 0;)
        if (strcmp(list->names[i], name) == 0) return i;
    return MISSING;
}

// Finds or appends; MISSING and an error when out of memory.
static size_t name_index(NameList *list, const char *name) {
    size_t found = name_find(list, name);
    if (found != MISSING) return found;
    if (array_grow(&list->names, &list->capacity, list->count, sizeof *list->names)) return MISSING;
    char *copy = string_copy(name);
    if (!copy) return MISSING;
    list->names[list->count] = copy;
    return list->count++;
}

static void names_free(NameList *list) {
    for (size_t i = 0; i < list->count; i++) free(list->names[i]);
    free(list->names);
}

Report *report_new(uint64_t seed) {
    Report *report = array_new(1, sizeof *report);
    if (report) report->seed = seed;
    return report;
}

void report_free(Report *report) {
    if (!report) return;
    names_free(&report->sets);
    names_free(&report->systems);
    names_free(&report->images);
    free(report->entries);
    free(report->prompts);
    json_decref(report->attached);
    text_free(&report->remarks);
    free(report);
}

static int check_name(const char *what, const char *name) {
    json_t *text = name ? json_string(name) : NULL;
    if (!text) return error_int("report: the name of a %s is missing or not UTF-8", what);
    json_decref(text);
    return 0;
}

static int check_row(const ReportRow *row) {
    if (check_name("set", row->set) || check_name("image", row->image) ||
        check_name("system", row->system))
        return -1;
    if (!(row->iou >= 0 && row->iou <= 1))
        return error_int("report: %s, %s, instance %lld, %s: IoU %g is not in 0..1", row->set,
                         row->image, (long long)row->id, row->system, row->iou);
    if (!(row->area >= 0 && isfinite(row->area)))
        return error_int("report: %s, %s, instance %lld: area %g", row->set, row->image,
                         (long long)row->id, row->area);
    return 0;
}

int report_add(Report *report, const ReportRow *row) {
    if (check_row(row)) return -1;
    if (array_grow(&report->entries, &report->capacity, report->count, sizeof *report->entries))
        return -1;
    ReportEntry entry = {.set = name_index(&report->sets, row->set),
                         .system = name_index(&report->systems, row->system),
                         .image = name_index(&report->images, row->image),
                         .id = row->id,
                         .area = row->area,
                         .iou = row->iou,
                         .first_prompt = report->prompt_count,
                         .prompt_count = row->prompt_count};
    if (entry.set == MISSING || entry.system == MISSING || entry.image == MISSING) return -1;
    for (int i = 0; i < row->prompt_count; i++) {
        size_t at = entry.first_prompt + (size_t)i;
        if (array_grow(&report->prompts, &report->prompt_capacity, at, sizeof *report->prompts))
            return -1;
        report->prompts[at] = row->prompts[i];
    }
    report->prompt_count += (size_t)row->prompt_count;
    report->entries[report->count++] = entry;
    return 0;
}

int report_attach(Report *report, const char *key, const char *json) {
    if (strcmp(key, "sets") == 0) return error_int("report: \"sets\" is taken");
    json_error_t where;
    json_t *value = json_loads(json, JSON_DECODE_ANY, &where);
    if (!value) return error_int("report: %s is not JSON: %s", key, where.text);
    if (!report->attached) report->attached = json_object();
    if (json_object_set_new(report->attached, key, value) == 0) return 0;
    return error_int("report: cannot attach %s", key);
}

int report_remark(Report *report, const char *lines) {
    return text_add(&report->remarks, "%s", lines);
}

static const ReportEntry *next_of(const Report *report, size_t set, size_t system, size_t *at) {
    while (*at < report->count) {
        const ReportEntry *entry = &report->entries[(*at)++];
        if (entry->set == set && entry->system == system) return entry;
    }
    return NULL;
}

size_t report_rows(const Report *report, size_t set, size_t system) {
    size_t rows = 0;
    for (size_t at = 0; next_of(report, set, system, &at);) rows++;
    return rows;
}

// Values of one set with the dense index of their image, for the bootstrap.
typedef struct {
    double *values;
    uint32_t *images;
    size_t *dense; // index in Report.images -> dense index + 1, 0 = not seen
    size_t count, image_count;
} Values;

static void values_free(Values *values) {
    free(values->values);
    free(values->images);
    free(values->dense);
}

static int values_new(Values *values, const Report *report, size_t rows) {
    *values =
        (Values){array_new(rows, sizeof *values->values), array_new(rows, sizeof *values->images),
                 array_new(report->images.count, sizeof *values->dense), 0, 0};
    if (values->values && values->images && values->dense) return 0;
    values_free(values);
    return -1;
}

static void values_add(Values *values, size_t image, double value) {
    if (!values->dense[image]) values->dense[image] = ++values->image_count;
    values->values[values->count] = value;
    values->images[values->count++] = (uint32_t)(values->dense[image] - 1);
}

static int values_interval(const Values *values, uint64_t seed, double *mean, double interval[2]) {
    *mean = mean_of(values->values, values->count);
    return bootstrap_interval(values->values, values->images, values->count, values->image_count,
                              REPORT_RESAMPLES, seed, interval);
}

int report_score_at(const Report *report, size_t set, size_t system, ReportScore *score) {
    Values values;
    if (values_new(&values, report, report_rows(report, set, system))) return -1;
    double sums[BUCKET_COUNT] = {0};
    size_t counts[BUCKET_COUNT] = {0};
    const ReportEntry *entry;
    for (size_t at = 0; (entry = next_of(report, set, system, &at));) {
        values_add(&values, entry->image, entry->iou);
        SizeBucket bucket = size_bucket(entry->area);
        sums[bucket] += entry->iou;
        counts[bucket]++;
    }
    score->instances = values.count;
    for (int b = 0; b < BUCKET_COUNT; b++)
        score->bucket[b] = counts[b] ? sums[b] / (double)counts[b] : NAN;
    int result = values_interval(&values, report->seed, &score->miou, score->ci95);
    values_free(&values);
    return result;
}

// Indices of a set and a system; -1 and an error when there are no rows.
static int find_pair(const Report *report, const char *set, const char *system, size_t pair[2]) {
    pair[0] = name_find(&report->sets, set);
    pair[1] = name_find(&report->systems, system);
    if (pair[0] == MISSING || pair[1] == MISSING || !report_rows(report, pair[0], pair[1]))
        return error_int("report: no rows of system %s on set %s", system, set);
    return 0;
}

int report_score(const Report *report, const char *set, const char *system, ReportScore *score) {
    size_t pair[2];
    if (find_pair(report, set, system, pair)) return -1;
    return report_score_at(report, pair[0], pair[1], score);
}

int report_difference(const Report *report, const char *set, const char *system, const char *other,
                      double *difference, double interval[2]) {
    size_t a[2], b[2];
    if (find_pair(report, set, system, a) || find_pair(report, set, other, b)) return -1;
    Values values;
    if (values_new(&values, report, report_rows(report, a[0], a[1]))) return -1;
    const ReportEntry *x, *y;
    int result = 0;
    for (size_t at = 0, beside = 0; result == 0;) {
        x = next_of(report, a[0], a[1], &at);
        y = next_of(report, b[0], b[1], &beside);
        if (!x && !y) break;
        if (!x || !y || x->image != y->image || x->id != y->id)
            result = error_int("report: %s and %s were scored on different instances of %s", system,
                               other, set);
        else
            values_add(&values, x->image, x->iou - y->iou);
    }
    if (result == 0) result = values_interval(&values, report->seed, difference, interval);
    values_free(&values);
    return result;
}
