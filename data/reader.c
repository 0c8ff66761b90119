// SPDX-License-Identifier: MIT
// Options, names and sizes, for the readers of data sets.
#include "data/reader.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_LIST = 1 << 28 };

const char *option_or(const char *option, const char *otherwise) {
    return option && *option ? option : otherwise;
}

int option_unused(const char *type, const char *key, const char *option) {
    if (!option || !*option) return 0;
    return error_int("%s \"%s\": %s has no choice of %s", key, option, type, key);
}

int option_among(const char *key, const char *value, const char *const *known, size_t count) {
    Text list = {0};
    for (size_t i = 0; i < count; i++) {
        if (strcmp(value, known[i]) == 0) {
            text_free(&list);
            return 0;
        }
        text_add(&list, "%s%s", i ? ", " : "", known[i]);
    }
    error_int("%s \"%s\", expected one of %s", key, value, text_string(&list));
    text_free(&list);
    return -1;
}

char *find_root(const char *path, const char *name) {
    char *below = path_join(path, name);
    if (!below || folder_exists(below)) return below;
    free(below);
    return string_copy(path);
}

bool is_inner_path(const char *path) {
    if (!*path || *path == '/') return false;
    for (const char *part = path; part; part = strchr(part, '/')) {
        if (*part == '/') part++;
        if (strncmp(part, "..", 2) == 0 && (part[2] == '/' || part[2] == '\0')) return false;
    }
    return true;
}

bool name_matches(const char *name, const char *pattern) {
    for (; *pattern; name++, pattern++)
        if (*pattern == '#' ? *name < '0' || *name > '9' : *name != *pattern) return false;
    return *name == '\0';
}

static int compare_names(const void *left, const void *right) {
    return strcmp(*(char *const *)left, *(char *const *)right);
}

bool list_has(char *const *names, size_t count, const char *name) {
    return count && bsearch(&name, names, count, sizeof *names, compare_names) != NULL;
}

int check_sizes_agree(const Sample *sample, const char *image_path, const char *label_path) {
    const Image *image = &sample->image;
    const LabelMap *labels = &sample->labels;
    if (image->width == labels->width && image->height == labels->height) return 0;
    return error_int("%s is %dx%d (width x height) but its labels %s are %dx%d", image_path,
                     image->width, image->height, label_path, labels->width, labels->height);
}

int check_labels_at_most(const LabelMap *labels, int highest, const char *path) {
    const size_t count = (size_t)labels->width * (size_t)labels->height;
    for (size_t i = 0; i < count; i++)
        if (labels->ids[i] > highest)
            return error_int("%s: value %d at row %zu, column %zu, expected at most %d", path,
                             (int)labels->ids[i], i / (size_t)labels->width,
                             i % (size_t)labels->width, highest);
    return 0;
}

int sample_vote_categories(Sample *sample, const int32_t *classes, int highest) {
    const size_t pixels = (size_t)sample->labels.width * (size_t)sample->labels.height;
    const size_t row = (size_t)highest + 1;
    // Row of instance index: number of its pixels of each class, those without one at 0.
    int32_t *votes = array_new((size_t)sample->instance_count, row * sizeof *votes);
    if (!votes) return -1;
    for (size_t i = 0; i < pixels; i++) {
        const int32_t id = sample->labels.ids[i], class = classes[i];
        if (id > 0)
            votes[(size_t)(id - 1) * row + (size_t)(class < 1 || class > highest ? 0 : class)]++;
    }
    for (int k = 0; k < sample->instance_count; k++) {
        const int32_t *of_instance = votes + (size_t)k * row;
        int best = 0;
        for (int class = 1; class <= highest; class ++)
            if (of_instance[class] > of_instance[best]) best = class;
        sample->instances[k].category = best == 0 ? -1 : best;
    }
    free(votes);
    return 0;
}

int each_line(const char *path, int (*take)(void *context, char *line), void *context) {
    char *text = file_read(path, MAX_LIST, NULL), *rest = NULL;
    int status = text ? 0 : -1;
    for (char *line = text ? strtok_r(text, "\n", &rest) : NULL; status == 0 && line;
         line = strtok_r(NULL, "\n", &rest)) {
        char *trimmed = text_trim(line);
        if (*trimmed) status = take(context, trimmed);
    }
    free(text);
    return status;
}
