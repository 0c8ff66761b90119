// SPDX-License-Identifier: MIT
// metrics.jsonl. See run_log.h.
#include "train/run_log.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

enum { LOG_LIMIT = 1 << 30 };

// The part of the log that belongs to steps up to `step`; every kept line must be one of ours.
static int keep_until(const char *path, const char *lines, int64_t step, Text *kept) {
    const char *line = lines, *end;
    for (int number = 1; (end = strchr(line, '\n')); line = end + 1, number++) {
        json_t *row = json_loadb(line, (size_t)(end - line), 0, NULL);
        json_int_t at = json_integer_value(json_object_get(row, "step"));
        bool ours = json_is_integer(json_object_get(row, "step"));
        json_decref(row);
        if (!ours) return error_int("%s:%d: not a line of metrics", path, number);
        if (at > step) return 0;
        if (text_add_bytes(kept, line, (size_t)(end + 1 - line)) != 0) return -1;
    }
    return 0;
}

FILE *run_log_open(const char *path, int64_t step) {
    if (file_exists(path)) {
        Text kept = {0};
        char *lines = file_read(path, LOG_LIMIT, NULL);
        int result = lines ? keep_until(path, lines, step, &kept) : -1;
        if (result == 0) result = file_write(path, text_string(&kept), kept.length);
        free(lines);
        text_free(&kept);
        if (result != 0) return NULL;
    }
    FILE *log = fopen(path, "a");
    return log ? log : error_null("%s: cannot be written", path);
}

int run_log_write(FILE *log, const StepRecord *r) {
    fprintf(
        log,
        "{\"step\": %lld, \"loss\": %.9g, \"lr\": %.9g, \"grad_norm\": %.9g, \"seconds\": %.4g, "
        "\"images_per_second\": %.4g}\n",
        (long long)r->step, r->loss, r->lr, r->norm, r->seconds, r->images_per_second);
    return fflush(log) == 0 ? 0 : error_int("metrics.jsonl: cannot be written (disk full?)");
}
