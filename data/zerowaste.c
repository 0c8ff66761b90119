// SPDX-License-Identifier: MIT
// ZeroWaste-f, litter on a conveyor belt, in COCO's format; image names end in capitals. Source:
// datasets.md 4.7.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/coco_set.h"
#include "data/reader.h"

#include <stdlib.h>

static int load(CocoSet *set, const char *root, const char *split) {
    char *json = text_format("%s/%s/labels.json", root, split);
    const int status = coco_set_add(set, json, NULL, string_copy(split),
                                    text_format("%s/%s/data", root, split), NULL);
    free(json);
    if (status) return -1;
    Text text = {0};
    text_add(&text, "ZeroWaste-f %s in %s: ", split, root);
    coco_set_say(set, &text);
    text_add(&text, " In full, train has 3002 images, val 572, test 929.");
    set->description = text_take(&text);
    return set->description ? 0 : -1;
}

static void *zerowaste_open(const DatasetOptions *options) {
    static const char *const splits[] = {"test", "val", "train"};
    const char *split = option_or(options->split, splits[0]);
    if (option_unused("zerowaste", "subset", options->subset)) return NULL;
    if (option_among("split", split, splits, sizeof splits / sizeof *splits)) return NULL;
    CocoSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    char *root = find_root(option_or(options->path, "."), "splits_final_deblurred");
    const int status = root ? load(set, root, split) : -1;
    free(root);
    if (status == 0) return set;
    coco_set_close(set);
    return NULL;
}

const DatasetType dataset_zerowaste = {
    .name = "zerowaste",
    .help = "path: splits_final_deblurred, or the folder that holds it; split: test (default), val "
            "or train",
    .open = zerowaste_open,
    .count = coco_set_count,
    .read = coco_set_read,
    .describe = coco_set_describe,
    .close = coco_set_close,
};
