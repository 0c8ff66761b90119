// SPDX-License-Identifier: MIT
// Small things that the readers of data sets share.
#ifndef DATA_READER_H
#define DATA_READER_H

#include "data/dataset.h"

#include <stdbool.h>

// An option that is NULL or "" as the given default.
const char *option_or(const char *option, const char *otherwise);

// Fails, naming the type and the option, when an option is given that the set does not have.
int option_unused(const char *type, const char *key, const char *option);

// Fails, naming the known ones, when the value is not among them.
int option_among(const char *key, const char *value, const char *const *known, size_t count);

// The folder `name` below `path` where there is one, else `path` itself; owned by the caller.
char *find_root(const char *path, const char *name);

// Whether a path, joined to a folder, stays inside it.
bool is_inner_path(const char *path);

// Whether the name is the pattern, where # in the pattern is any digit.
bool name_matches(const char *name, const char *pattern);

// Whether a byte-sorted list holds the name.
bool list_has(char *const *names, size_t count, const char *name);

// Fails, naming both files, when image and labels differ in size.
int check_sizes_agree(const Sample *sample, const char *image_path, const char *label_path);

// Fails, naming the file and the pixel, when a label is above `highest`.
int check_labels_at_most(const LabelMap *labels, int highest, const char *path);

// Sets every instance's category to the class that most of its pixels have, the lower one of two
// with as many; -1 when most have none, that is a class outside 1..highest. classes [H, W].
int sample_vote_categories(Sample *sample, const int32_t *classes, int highest);

// Calls `take` for every line of a text file, without blanks around it, until one fails; blank
// lines do not count.
int each_line(const char *path, int (*take)(void *context, char *line), void *context);

#endif
