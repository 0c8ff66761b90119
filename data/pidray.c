// SPDX-License-Identifier: MIT
// PIDRay, prohibited items in X-ray images of luggage, in COCO's format. Source: datasets.md 4.4.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/coco_set.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    const char *name, *json;
    int first, extended; // images in the two versions
} Split;

static const Split splits[] = {{"easy", "xray_test_easy", 9482, 24758},
                               {"hard", "xray_test_hard", 3733, 9746},
                               {"hidden", "xray_test_hidden", 5005, 13069},
                               {"train", "xray_train", 29457, 76913}};

static const Split *find_split(const char *name) {
    for (size_t i = 0; i < sizeof splits / sizeof *splits; i++)
        if (strcmp(name, splits[i].name) == 0) return &splits[i];
    return error_null("split \"%s\", expected easy, hard, hidden or train", name);
}

// Some copies keep the images of all three test splits in one folder.
static int load(CocoSet *set, const char *root, const Split *split) {
    char *json = text_format("%s/annotations/%s.json", root, split->json);
    const int status =
        coco_set_add(set, json, NULL, string_copy(split->name),
                     text_format("%s/%s", root, split->name), text_format("%s/test", root));
    free(json);
    if (status) return -1;
    Text text = {0};
    text_add(&text, "PIDRay %s in %s: ", split->name, root);
    coco_set_say(set, &text);
    text_add(&text, " The first version has %d images in full, the extended one %d.", split->first,
             split->extended);
    set->description = text_take(&text);
    return set->description ? 0 : -1;
}

static void *pidray_open(const DatasetOptions *options) {
    if (option_unused("pidray", "subset", options->subset)) return NULL;
    const Split *split = find_split(option_or(options->split, "easy"));
    CocoSet *set = split ? array_new(1, sizeof *set) : NULL;
    if (!set) return NULL;
    char *root = find_root(option_or(options->path, "."), "pidray");
    const int status = root ? load(set, root, split) : -1;
    free(root);
    if (status == 0) return set;
    coco_set_close(set);
    return NULL;
}

const DatasetType dataset_pidray = {
    .name = "pidray",
    .help = "path: pidray, or the folder that holds it, with annotations/ and easy/, hard/, "
            "hidden/ (or test/), train/; split: easy (default), hard, hidden or train",
    .open = pidray_open,
    .count = coco_set_count,
    .read = coco_set_read,
    .describe = coco_set_describe,
    .close = coco_set_close,
};
