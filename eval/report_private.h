// SPDX-License-Identifier: MIT
// What report.c (collecting, scores) and report_write.c (files) share.
#ifndef EVAL_REPORT_PRIVATE_H
#define EVAL_REPORT_PRIVATE_H

#include "base/text.h"
#include "eval/report.h"

#include <jansson.h>

typedef struct {
    char **names;
    size_t count, capacity;
} NameList;

typedef struct {
    size_t set, system, image; // indices of names
    int64_t id;
    double area, iou;
    size_t first_prompt; // in Report.prompts
    int prompt_count;
} ReportEntry;

struct Report {
    uint64_t seed;
    NameList sets, systems, images;
    ReportEntry *entries;
    size_t count, capacity;
    PixelPoint *prompts;
    size_t prompt_count, prompt_capacity;
    json_t *attached; // object, NULL while empty
    Text remarks;
};

// Rows of this set and system.
size_t report_rows(const Report *report, size_t set, size_t system);

// Score by the indices of names. Fails only when out of memory or without rows.
int report_score_at(const Report *report, size_t set, size_t system, ReportScore *score);

#endif
