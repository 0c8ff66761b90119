// SPDX-License-Identifier: MIT
// metrics.jsonl and validation.jsonl. See run_log.h.
#include "train/run_log.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LOG_LIMIT = 1 << 30 };

struct RunLog {
    char *path;
    FILE *stream;
};

// 1 when the line is to be kept, 0 when it is of a later step.
static int visit_line(const char *line, size_t length, int64_t step, RunLogVisit visit,
                      void *context) {
    json_t *row = json_loadb(line, length, 0, NULL);
    const json_t *at = json_object_get(row, "step");
    int result = json_is_integer(at) ? json_integer_value(at) <= step : -1;
    if (result == 1 && visit && visit(context, row) != 0) result = -1;
    json_decref(row);
    return result;
}

// The length of the part that belongs to steps up to `step`; every kept line must be one of ours.
static int64_t keep_until(const char *path, const char *lines, int64_t step, RunLogVisit visit,
                          void *context) {
    const char *line = lines, *end;
    for (int number = 1; (end = strchr(line, '\n')); line = end + 1, number++) {
        int kept = visit_line(line, (size_t)(end - line), step, visit, context);
        if (kept < 0) return error_int("%s:%d: not a line of this log", path, number);
        if (kept == 0) break;
    }
    return line - lines;
}

static int cut_back(const char *path, int64_t step, RunLogVisit visit, void *context) {
    char *lines = file_read(path, LOG_LIMIT, NULL);
    int64_t kept = lines ? keep_until(path, lines, step, visit, context) : -1;
    int result = kept < 0 ? -1 : file_write(path, lines, (size_t)kept);
    free(lines);
    return result;
}

int run_log_read(const char *path, int64_t step, RunLogVisit visit, void *context) {
    if (!file_exists(path)) return 0;
    char *lines = file_read(path, LOG_LIMIT, NULL);
    int64_t kept = lines ? keep_until(path, lines, step, visit, context) : -1;
    free(lines);
    return kept < 0 ? -1 : 0;
}

RunLog *run_log_open(const char *path, int64_t step, RunLogVisit visit, void *context) {
    if (file_exists(path) && cut_back(path, step, visit, context) != 0) return NULL;
    RunLog *log = array_new(1, sizeof *log);
    if (!log) return NULL;
    log->path = string_copy(path);
    log->stream = log->path ? fopen(path, "ae") : NULL;
    if (log->path && !log->stream) error_int("%s: cannot write: %s", path, strerror(errno));
    if (log->stream) return log;
    run_log_close(log);
    return NULL;
}

void run_log_close(RunLog *log) {
    if (!log) return;
    if (log->stream) fclose(log->stream);
    free(log->path);
    free(log);
}

int run_log_add(RunLog *log, const char *line) {
    if (fputs(line, log->stream) >= 0 && fflush(log->stream) == 0) return 0;
    return error_int("%s: cannot write: %s", log->path, strerror(errno));
}

int run_log_write(RunLog *log, const StepRecord *r) {
    char *line =
        text_format("{\"step\": %lld, \"loss\": %.9g, \"lr\": %.9g, \"grad_norm\": %.9g, "
                    "\"seconds\": %.4g, \"images_per_second\": %.4g}\n",
                    (long long)r->step, r->loss, r->lr, r->norm, r->seconds, r->images_per_second);
    int result = line ? run_log_add(log, line) : -1;
    free(line);
    return result;
}

int run_log_sync(RunLog *log) {
    if (fsync(fileno(log->stream)) == 0) return 0;
    return error_int("%s: cannot flush: %s", log->path, strerror(errno));
}
