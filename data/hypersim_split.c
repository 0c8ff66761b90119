// SPDX-License-Identifier: MIT
// Reading of Hypersim's split file. See hypersim_split.h.
#include "data/hypersim_split.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

enum { SCENE, CAMERA, FRAME, PUBLIC, REASON, PARTITION, COLUMNS, MAX_FILE = 1 << 26 };
static const char *const header[COLUMNS] = {"scene_name",     "camera_name",
                                            "frame_id",       "included_in_public_release",
                                            "exclude_reason", "split_partition_name"};

// Cuts a line at its commas, in place.
static int cut(char *line, char *fields[COLUMNS]) {
    int count = 0;
    for (char *field = line; field; count++) {
        char *comma = strchr(field, ',');
        if (comma) *comma++ = '\0';
        if (count < COLUMNS) fields[count] = field;
        field = comma;
    }
    return count == COLUMNS ? 0 : error_int("%d columns, expected %d", count, COLUMNS);
}

static int check_header(char *const fields[COLUMNS]) {
    for (int i = 0; i < COLUMNS; i++)
        if (strcmp(fields[i], header[i]) != 0)
            return error_int("column \"%s\", expected \"%s\"", fields[i], header[i]);
    return 0;
}

static int add_row(char *const fields[COLUMNS], const char *partition, HypersimSplit *split) {
    HypersimFrame frame = {0};
    int64_t number;
    if (!name_matches(fields[SCENE], "ai_###_###") || !name_matches(fields[CAMERA], "cam_##"))
        return error_int("\"%s,%s\", expected ai_VVV_NNN,cam_XX", fields[SCENE], fields[CAMERA]);
    if (text_to_int64(fields[FRAME], 0, 9999, &number)) return -1;
    if (strcmp(fields[PUBLIC], "True") != 0 && strcmp(fields[PUBLIC], "False") != 0)
        return error_int("\"%s\", expected True or False", fields[PUBLIC]);
    if (fields[PUBLIC][0] != 'T' || strcmp(fields[PARTITION], partition) != 0) return 0;
    memcpy(frame.scene, fields[SCENE], sizeof frame.scene);
    frame.camera = atoi(fields[CAMERA] + strlen("cam_"));
    frame.number = (int)number;
    if (array_grow(&split->frames, &split->capacity, split->count, sizeof frame)) return -1;
    split->frames[split->count++] = frame;
    return 0;
}

static int read_rows(char *text, const char *partition, HypersimSplit *split) {
    char *rest = NULL, *fields[COLUMNS];
    int line = 0;
    for (char *row = strtok_r(text, "\r\n", &rest); row; row = strtok_r(NULL, "\r\n", &rest)) {
        int status = cut(row, fields);
        if (status == 0) status = line ? add_row(fields, partition, split) : check_header(fields);
        if (status) return error_context("line %d", line + 1);
        line++;
    }
    return split->count ? 0 : error_int("no public frame of the partition \"%s\"", partition);
}

static int compare_frames(const void *left, const void *right) {
    const HypersimFrame *a = left, *b = right;
    const int order = strcmp(a->scene, b->scene);
    if (order) return order;
    return a->camera != b->camera ? a->camera - b->camera : a->number - b->number;
}

int hypersim_split_read(const char *path, const char *partition, HypersimSplit *split) {
    *split = (HypersimSplit){0};
    char *text = file_read(path, MAX_FILE, NULL);
    if (!text) return -1;
    const int status = read_rows(text, partition, split);
    free(text);
    if (status) {
        hypersim_split_free(split);
        return error_context("%s", path);
    }
    qsort(split->frames, split->count, sizeof *split->frames, compare_frames);
    return 0;
}

bool hypersim_split_has(const HypersimSplit *split, const HypersimFrame *frame) {
    return split->count &&
           bsearch(frame, split->frames, split->count, sizeof *frame, compare_frames) != NULL;
}

void hypersim_split_free(HypersimSplit *split) {
    free(split->frames);
    *split = (HypersimSplit){0};
}
