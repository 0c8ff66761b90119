// SPDX-License-Identifier: MIT
// COCO, and folders laid out like it. Source: datasets.md 3.3.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/coco_set.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

// The categories of COCO that neither Hypersim nor Virtual KITTI 2 label.
static bool is_novel(int category) {
    static const unsigned char novel[] = {
        1,  2,  4,  5,  6,  7,  8,  9,  10, 11, 13, 14, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 27,
        28, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 52, 54, 55, 56, 57, 58, 59, 60, 61};
    for (size_t i = 0; i < sizeof novel; i++)
        if (novel[i] == category) return true;
    return false;
}

static bool is_seen(int category) {
    return !is_novel(category);
}

static char *describe(const CocoSet *set, const char *split, const char *subset) {
    const int official = strcmp(split, "val2017") == 0     ? 5000
                         : strcmp(split, "train2017") == 0 ? 118287
                                                           : 0;
    Text text = {0};
    text_add(&text, "COCO %s%s%s in %s: ", split, *subset ? ", " : "", subset,
             set->parts[0].folder);
    coco_set_say(set, &text);
    if (official) text_add(&text, " The full split has %d images.", official);
    return text_take(&text);
}

static int load(CocoSet *set, const DatasetOptions *options, const char *subset) {
    const char *root = option_or(options->path, "."), *split = option_or(options->split, "val2017");
    bool (*const wanted)(int) = strcmp(subset, "novel") == 0  ? is_novel
                                : strcmp(subset, "seen") == 0 ? is_seen
                                                              : NULL;
    char *json = text_format("%s/annotations/instances_%s.json", root, split);
    const int status = coco_set_add(set, json, wanted, string_copy(split),
                                    text_format("%s/%s", root, split), NULL);
    free(json);
    if (status == 0) set->description = describe(set, split, subset);
    return set->description ? 0 : -1;
}

static void *coco_open(const DatasetOptions *options) {
    const char *subset = option_or(options->subset, "");
    if (*subset && strcmp(subset, "novel") != 0 && strcmp(subset, "seen") != 0)
        return error_null("subset \"%s\", expected novel, seen or nothing", subset);
    CocoSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    if (load(set, options, subset) == 0) return set;
    coco_set_close(set);
    return NULL;
}

const DatasetType dataset_coco = {
    .name = "coco",
    .help = "path: folder with annotations/instances_SPLIT.json and SPLIT/; split: val2017 "
            "(default), train2017 or another; subset: novel takes the 46 categories that neither "
            "Hypersim nor Virtual KITTI 2 label, seen the 34 others",
    .open = coco_open,
    .count = coco_set_count,
    .read = coco_set_read,
    .describe = coco_set_describe,
    .close = coco_set_close,
};
