// SPDX-License-Identifier: MIT
// The files of a report: results.json, instances.jsonl, table.md. See report.h.
#include "eval/report_private.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <math.h>
#include <stdlib.h>

enum { DIGITS = 8 };

// Scores of all pairs, [sets, systems]; instances is 0 where there are no rows.
typedef struct {
    const Report *report;
    ReportScore *scores;
    size_t *instances; // [sets]
} Summary;

static const ReportScore *score_of(const Summary *summary, size_t set, size_t system) {
    return &summary->scores[set * summary->report->systems.count + system];
}

// The systems of a set must have been scored on the same instances.
static int summarize_set(Summary *summary, size_t set) {
    const Report *report = summary->report;
    size_t first = SIZE_MAX;
    for (size_t s = 0; s < report->systems.count; s++) {
        size_t rows = report_rows(report, set, s);
        if (rows == 0) continue;
        if (first == SIZE_MAX) {
            first = s;
            summary->instances[set] = rows;
        }
        if (rows != summary->instances[set])
            return error_int("report: set %s: %s has %zu instances, %s has %zu",
                             report->sets.names[set], report->systems.names[first],
                             summary->instances[set], report->systems.names[s], rows);
        ReportScore *score = &summary->scores[set * report->systems.count + s];
        if (report_score_at(report, set, s, score)) return -1;
    }
    return 0;
}

static void summary_free(Summary *summary) {
    free(summary->scores);
    free(summary->instances);
}

static int summarize(const Report *report, Summary *summary) {
    size_t sets = report->sets.count, pairs;
    if (size_multiply(sets, report->systems.count, &pairs)) return -1;
    *summary = (Summary){report, array_new(pairs, sizeof *summary->scores),
                         array_new(sets, sizeof *summary->instances)};
    int result = summary->scores && summary->instances ? 0 : -1;
    for (size_t set = 0; set < sets && result == 0; set++) result = summarize_set(summary, set);
    if (result) summary_free(summary);
    return result;
}

static json_t *number_or_null(double value) {
    return isnan(value) ? json_null() : json_real(value);
}

static json_t *score_json(const ReportScore *score) {
    return json_pack("{s:f, s:[f,f], s:o, s:o, s:o}", "miou", score->miou, "ci95", score->ci95[0],
                     score->ci95[1], "large", number_or_null(score->bucket[BUCKET_LARGE]), "medium",
                     number_or_null(score->bucket[BUCKET_MEDIUM]), "small",
                     number_or_null(score->bucket[BUCKET_SMALL]));
}

static json_t *set_json(const Summary *summary, size_t set) {
    json_t *systems = json_object();
    for (size_t s = 0; s < summary->report->systems.count; s++) {
        const ReportScore *score = score_of(summary, set, s);
        if (score->instances)
            json_object_set_new(systems, summary->report->systems.names[s], score_json(score));
    }
    return json_pack("{s:I, s:o}", "instances", (json_int_t)summary->instances[set], "systems",
                     systems);
}

// Writes a value and a newline; takes the value, NULL being a failure to build it.
static int write_json(FileWrite *file, json_t *value, size_t flags) {
    if (!value) return error_int("report: out of memory");
    const int failed = json_dumpf(value, file->stream, flags | JSON_REAL_PRECISION(DIGITS));
    fputc('\n', file->stream);
    json_decref(value);
    return failed ? error_int("report: cannot write JSON") : 0;
}

static int write_results(const Report *report, const Summary *summary, FileWrite *file) {
    json_t *sets = json_object();
    for (size_t set = 0; set < report->sets.count; set++)
        json_object_set_new(sets, report->sets.names[set], set_json(summary, set));
    json_t *root = json_pack("{s:o}", "sets", sets);
    if (root && report->attached && json_object_update(root, report->attached)) {
        json_decref(root);
        root = NULL;
    }
    return write_json(file, root, JSON_INDENT(2));
}

static json_t *entry_json(const Report *report, const ReportEntry *entry) {
    json_t *prompts = json_array();
    for (int i = 0; i < entry->prompt_count; i++) {
        PixelPoint p = report->prompts[entry->first_prompt + (size_t)i];
        json_array_append_new(prompts, json_pack("[i,i]", p.x, p.y));
    }
    return json_pack("{s:s, s:s, s:I, s:f, s:o, s:s, s:f}", "set", report->sets.names[entry->set],
                     "image", report->images.names[entry->image], "id", (json_int_t)entry->id,
                     "area", entry->area, "prompts", prompts, "system",
                     report->systems.names[entry->system], "iou", entry->iou);
}

static int write_instances(const Report *report, const Summary *summary, FileWrite *file) {
    (void)summary;
    for (size_t i = 0; i < report->count; i++)
        if (write_json(file, entry_json(report, &report->entries[i]), JSON_COMPACT)) return -1;
    return 0;
}

// The head of a table with a column per set.
static void table_head(const Report *report, const Summary *summary, FILE *out) {
    fputs("| system |", out);
    for (size_t set = 0; set < report->sets.count; set++)
        fprintf(out, " %s (%zu) |", report->sets.names[set], summary->instances[set]);
    fputs("\n|---|", out);
    for (size_t set = 0; set < report->sets.count; set++) fputs("---|", out);
    fputc('\n', out);
}

static void cell_miou(const ReportScore *score, FILE *out) {
    fprintf(out, " %.3f [%.3f, %.3f] |", score->miou, score->ci95[0], score->ci95[1]);
}

static void cell_sizes(const ReportScore *score, FILE *out) {
    for (int b = BUCKET_LARGE; b >= BUCKET_SMALL; b--) {
        fputs(b == BUCKET_LARGE ? " " : " / ", out);
        if (isnan(score->bucket[b]))
            fputc('-', out);
        else
            fprintf(out, "%.3f", score->bucket[b]);
    }
    fputs(" |", out);
}

static void table(const Report *report, const Summary *summary, FILE *out,
                  void (*cell)(const ReportScore *score, FILE *out)) {
    table_head(report, summary, out);
    for (size_t s = 0; s < report->systems.count; s++) {
        fprintf(out, "| %s |", report->systems.names[s]);
        for (size_t set = 0; set < report->sets.count; set++) {
            const ReportScore *score = score_of(summary, set, s);
            if (score->instances)
                cell(score, out);
            else
                fputs(" - |", out);
        }
        fputc('\n', out);
    }
}

static int write_table(const Report *report, const Summary *summary, FileWrite *file) {
    fputs("mIoU over instances (their number beside each set) and its 95 % bootstrap interval over "
          "images:\n\n",
          file->stream);
    table(report, summary, file->stream, cell_miou);
    fputs("\nmIoU by size: large (above 96x96 pixels) / medium / small (below 32x32):\n\n",
          file->stream);
    table(report, summary, file->stream, cell_sizes);
    fputs(text_string(&report->remarks), file->stream);
    return 0;
}

typedef int Writer(const Report *report, const Summary *summary, FileWrite *file);

static int write_file(const Report *report, const Summary *summary, const char *folder,
                      const char *name, Writer *writer) {
    char *path = path_join(folder, name);
    FileWrite *file = path ? file_write_begin(path) : NULL;
    free(path);
    if (!file) return -1;
    if (writer(report, summary, file) == 0) return file_write_commit(file);
    file_write_abandon(file);
    return -1;
}

int report_write(const Report *report, const char *folder) {
    Summary summary;
    if (summarize(report, &summary)) return -1;
    int result = folder_make(folder);
    if (result == 0)
        result = write_file(report, &summary, folder, "instances.jsonl", write_instances);
    if (result == 0) result = write_file(report, &summary, folder, "table.md", write_table);
    if (result == 0) result = write_file(report, &summary, folder, "results.json", write_results);
    summary_free(&summary);
    return result;
}
