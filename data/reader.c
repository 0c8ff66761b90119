// SPDX-License-Identifier: MIT
// Options, names and sizes, for the readers of data sets.
#include "data/reader.h"

#include "base/error.h"

#include <stdlib.h>
#include <string.h>

const char *option_or(const char *option, const char *otherwise) {
    return option && *option ? option : otherwise;
}

int option_unused(const char *type, const char *key, const char *option) {
    if (!option || !*option) return 0;
    return error_int("%s \"%s\": %s has no choice of %s", key, option, type, key);
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
