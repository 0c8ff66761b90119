// SPDX-License-Identifier: MIT
// iShape, objects of irregular shape that consist of many pieces, in six sub-sets of COCO's format
// with run lengths. Names and ids recur in all of them. Source: datasets.md 4.3.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/coco_set.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

static const char *const subsets[] = {"antenna", "branch", "fence", "hanger", "log", "wire"};
enum { SUBSETS = sizeof subsets / sizeof *subsets };
_Static_assert((int)SUBSETS <= (int)COCO_MOST_PARTS, "a set holds all of them");

static int add(CocoSet *set, const char *root, const char *subset, const char *split) {
    char *json = text_format("%s/%s/%s/coco_format-mask_encoding=rle-instances_2017.json", root,
                             subset, split);
    const int status = coco_set_add(set, json, NULL, text_format("%s/%s", subset, split),
                                    text_format("%s/%s/%s/image", root, subset, split), NULL);
    free(json);
    return status;
}

// All sub-sets that are there, or the one that is asked for.
static int add_all(CocoSet *set, const char *root, const char *wanted, const char *split,
                   Text *taken) {
    for (int i = 0; i < SUBSETS; i++) {
        if (*wanted && strcmp(wanted, subsets[i]) != 0) continue;
        char *folder = text_format("%s/%s", root, subsets[i]);
        if (!folder) return -1;
        const bool there = *wanted || folder_exists(folder);
        free(folder);
        if (!there) continue;
        if (add(set, root, subsets[i], split)) return -1;
        if (text_add(taken, " %s", subsets[i])) return -1;
    }
    if (set->count) return 0;
    return error_int("%s: none of the folders antenna, branch, fence, hanger, log, wire", root);
}

static int load(CocoSet *set, const char *root, const char *wanted, const char *split) {
    Text taken = {0}, text = {0};
    const int status = add_all(set, root, wanted, split, &taken);
    if (status == 0) {
        text_add(&text, "iShape %s in %s (%d of 6 sub-sets:%s): ", split, root, set->count,
                 text_string(&taken));
        coco_set_say(set, &text);
        set->description = text_take(&text);
    }
    text_free(&taken);
    return set->description ? 0 : -1;
}

static void *ishape_open(const DatasetOptions *options) {
    static const char *const splits[] = {"val", "train"};
    const char *split = option_or(options->split, splits[0]);
    const char *wanted = option_or(options->subset, "");
    if (option_among("split", split, splits, sizeof splits / sizeof *splits)) return NULL;
    if (*wanted && option_among("subset", wanted, subsets, SUBSETS)) return NULL;
    CocoSet *set = array_new(1, sizeof *set);
    char *root = set ? find_root(option_or(options->path, "."), "ishape_dataset") : NULL;
    const int status = root ? load(set, root, wanted, split) : -1;
    free(root);
    if (status == 0) return set;
    if (set) coco_set_close(set);
    return NULL;
}

const DatasetType dataset_ishape = {
    .name = "ishape",
    .help =
        "path: ishape_dataset, or the folder that holds it; split: val (default; there is no "
        "test) or train; subset: nothing (all six) or antenna, branch, fence, hanger, log, wire",
    .open = ishape_open,
    .count = coco_set_count,
    .read = coco_set_read,
    .describe = coco_set_describe,
    .close = coco_set_close,
};
