// SPDX-License-Identifier: MIT
// ClevrTex, rendered scenes of textured solids: palette PNGs whose index is the object, 0 the
// background. Of all images by number, the first tenth is for testing, the next for validation, the
// rest for training. Source: datasets.md 3.4.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/pairs.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

enum { DEEPEST = 4, NUMBER = 6 };

// Length of "CLEVRTEX_variant_NNNNNN" when the name is that of an image, else 0.
static size_t stem_length(const char *name) {
    const char *dot = strrchr(name, '.');
    if (!dot || (strcmp(dot, ".png") != 0 && strcmp(dot, ".jpg") != 0)) return 0;
    const size_t length = (size_t)(dot - name);
    if (!text_starts_with(name, "CLEVRTEX_") || length < strlen("CLEVRTEX_") + 1 + NUMBER) return 0;
    const char *number = dot - NUMBER;
    for (int i = 0; i < NUMBER; i++)
        if (number[i] < '0' || number[i] > '9') return 0;
    return number[-1] == '_' ? length : 0;
}

static int add_image(PairSet *set, const char *folder, const char *name, char *const *names,
                     size_t count) {
    const size_t length = stem_length(name);
    if (length == 0) return 0;
    char *flat = text_format("%.*s_flat.png", (int)length, name);
    if (!flat) return -1;
    const bool labelled = list_has(names, count, flat);
    char *labels = labelled ? path_join(folder, flat) : NULL;
    free(flat);
    if (!labelled) {
        set->without_labels++;
        return 0;
    }
    return pairs_add(set, text_format("%.*s", (int)length, name), path_join(folder, name), labels);
}

static int scan(PairSet *set, const char *folder, int depth) {
    size_t count;
    char **names = folder_list(folder, &count);
    if (!names) return -1;
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++) {
        char *path = path_join(folder, names[i]);
        status = path ? add_image(set, folder, names[i], names, count) : -1;
        if (status == 0 && names[i][0] != '.' && depth < DEEPEST && folder_exists(path))
            status = scan(set, path, depth + 1);
        free(path);
    }
    folder_list_free(names, count);
    return status;
}

static int compare_numbers(const void *left, const void *right) {
    const Pair *a = left, *b = right;
    const char *first = a->name + strlen(a->name) - NUMBER;
    const char *second = b->name + strlen(b->name) - NUMBER;
    const int order = strcmp(first, second);
    return order ? order : strcmp(a->image, b->image);
}

// Keeps the images first .. end - 1.
static void keep_range(PairSet *set, size_t first, size_t end) {
    for (size_t i = 0; i < set->count; i++) {
        if (i >= first && i < end) continue;
        pair_free(&set->pairs[i]);
    }
    if (end > first) memmove(set->pairs, set->pairs + first, (end - first) * sizeof *set->pairs);
    set->count = end - first;
}

static void choose_split(PairSet *set, const char *split) {
    const size_t all = set->count, tenth = all / 10;
    if (strcmp(split, "test") == 0) keep_range(set, 0, tenth);
    if (strcmp(split, "val") == 0) keep_range(set, tenth, 2 * tenth);
    if (strcmp(split, "train") == 0) keep_range(set, 2 * tenth, all);
}

static int fill(PairSet *set, const char *root, const char *split) {
    if (scan(set, root, 0)) return -1;
    if (set->count == 0)
        return error_int("%s: no CLEVRTEX_*_NNNNNN.png with its _flat.png (%lld images had none)",
                         root, (long long)set->without_labels);
    qsort(set->pairs, set->count, sizeof *set->pairs, compare_numbers);
    for (size_t i = 1; i < set->count; i++)
        if (strcmp(set->pairs[i].name, set->pairs[i - 1].name) == 0)
            return error_int("%s and %s have one name", set->pairs[i - 1].image,
                             set->pairs[i].image);
    choose_split(set, split);
    return set->count ? 0 : error_int("%s: too few images for a split \"%s\"", root, split);
}

static void *clevrtex_open(const DatasetOptions *options) {
    static const char *const splits[] = {"train", "val", "test", "all"};
    const char *split = option_or(options->split, splits[0]), *root = option_or(options->path, ".");
    if (option_unused("clevrtex", "subset", options->subset)) return NULL;
    if (option_among("split", split, splits, sizeof splits / sizeof *splits)) return NULL;
    PairSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    if (fill(set, root, split) == 0)
        set->description =
            text_format("ClevrTex %s in %s: %zu images; left out: %lld without labels. In full, "
                        "train has 40000 images.",
                        split, root, set->count, (long long)set->without_labels);
    if (set->description) return set;
    pairs_close(set);
    return NULL;
}

static int clevrtex_read(void *opened, int64_t index, Sample *sample) {
    const Pair *pair = &((const PairSet *)opened)->pairs[index];
    if (pair_read(pair, sample)) return -1;
    return sample_number_instances(sample) ? error_context("%s", pair->labels) : 0;
}

const DatasetType dataset_clevrtex = {
    .name = "clevrtex",
    .help = "path: folder with CLEVRTEX_*_NNNNNN.png and _flat.png at any depth; split: train "
            "(default, the last 80 %), val, test, or all",
    .open = clevrtex_open,
    .count = pairs_count,
    .read = clevrtex_read,
    .describe = pairs_describe,
    .close = pairs_close,
};
