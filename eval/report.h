// SPDX-License-Identifier: MIT
// Collects the score of every instance under every system and writes the tables.
#ifndef EVAL_REPORT_H
#define EVAL_REPORT_H

#include "eval/iou.h"
#include "eval/point.h"

typedef struct {
    const char *set;    // benchmark
    const char *image;  // the sample's name
    int64_t id;         // the data set's id of the instance
    double area;        // annotated area in pixels; decides the bucket
    const char *system; // "gen2seg", "prompt2seg", "disc", ...
    const PixelPoint *prompts;
    int prompt_count;
    double iou; // 0..1
} ReportRow;

typedef struct Report Report;

enum { REPORT_RESAMPLES = 1000 };

// An empty report. seed: of the bootstrap. NULL and an error when out of memory.
Report *report_new(uint64_t seed);
void report_free(Report *report);

// Adds a row; all is copied. Sets and systems appear in the order of their first row. Fails on an
// iou outside 0..1, a negative or infinite area, names that are not UTF-8, or when out of memory.
int report_add(Report *report, const ReportRow *row);

typedef struct {
    size_t instances;
    double miou; // mean over instances
    double ci95[2];
    double bucket[BUCKET_COUNT]; // mIoU of the bucket, NAN when it has no instances
} ReportScore;

// The score of one system on one set. An error when there are no such rows.
int report_score(const Report *report, const char *set, const char *system, ReportScore *score);

// The mean difference of IoU between two systems on the same instances of a set and its 95 %
// interval. An error unless both have rows, in the same order of instances.
int report_difference(const Report *report, const char *set, const char *system, const char *other,
                      double *difference, double interval[2]);

// Puts a JSON value beside "sets" in results.json, under a key; a later one of the same key wins.
// Fails on text that is not JSON and on the key "sets".
int report_attach(Report *report, const char *key, const char *json);

// Adds lines to the end of table.md.
int report_remark(Report *report, const char *lines);

// Writes into a folder, made if needed, each file in the place of an older one at once:
//   results.json     {"sets": {SET: {"instances": n, "systems": {SYSTEM: {"miou": x, "ci95": [lo,
//                    hi], "large": x, "medium": x, "small": x}}}}, ...}, null for an empty bucket,
//                    then what was attached
//   instances.jsonl  one line per row: set, image, id, area, prompts [[x, y], ...], system, iou
//   table.md         mIoU with intervals, systems by sets; then by size; then the remarks
// Fails when the systems of a set have different numbers of rows, or a file cannot be written.
int report_write(const Report *report, const char *folder);

#endif
