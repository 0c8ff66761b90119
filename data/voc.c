// SPDX-License-Identifier: MIT
// PASCAL VOC 2012, segmentation: palette PNGs whose indices 1..254 are objects and 255 a border
// that belongs to nobody. The class of an object is the one that SegmentationClass has under it.
// Source: datasets.md 4.5.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/pairs.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

enum { CLASSES = 20 };

typedef struct {
    PairSet *set;
    const char *root;
} Scan;

static int add_line(void *context, char *name) {
    const Scan *scan = context;
    if (!is_inner_path(name))
        return error_int("%s: \"%s\" is not the name of an image", scan->root, name);
    char *labels = text_format("%s/SegmentationObject/%s.png", scan->root, name);
    if (labels && !file_exists(labels)) {
        scan->set->without_labels++;
        free(labels);
        return 0;
    }
    return pairs_add(scan->set, string_copy(name),
                     text_format("%s/JPEGImages/%s.jpg", scan->root, name), labels);
}

static int scan_list(PairSet *set, const char *root, const char *split) {
    Scan scan = {set, root};
    char *list = text_format("%s/ImageSets/Segmentation/%s.txt", root, split);
    int status = list ? each_line(list, add_line, &scan) : -1;
    if (status == 0 && set->count == 0)
        status = error_int("%s: none of its images has a label file in %s/SegmentationObject", list,
                           root);
    free(list);
    return status;
}

static char *describe(const PairSet *set, const char *root, const char *split) {
    return text_format("PASCAL VOC 2012 %s in %s: %zu images; left out: %lld without labels. "
                       "The value 255 is ignored. In full, train has 1464 images, val 1449.",
                       split, root, set->count, (long long)set->without_labels);
}

static void *voc_open(const DatasetOptions *options) {
    const char *split = option_or(options->split, "val");
    if (option_unused("voc", "subset", options->subset)) return NULL;
    if (strchr(split, '/'))
        return error_null("split \"%s\", expected val, train, trainval or another list", split);
    PairSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    char *root = find_root(option_or(options->path, "."), "VOC2012");
    if (root && scan_list(set, root, split) == 0) set->description = describe(set, root, split);
    free(root);
    if (set->description) return set;
    pairs_close(set);
    return NULL;
}

// classes: path of the class PNG, which may be missing.
static int read_classes(const char *classes, const char *labels, Sample *sample) {
    LabelMap map = {0};
    if (!file_exists(classes)) return 0;
    int status = label_png_read(classes, &map);
    if (status == 0 && (map.width != sample->labels.width || map.height != sample->labels.height))
        status = error_int("%s is %dx%d (width x height) but %s is %dx%d", classes, map.width,
                           map.height, labels, sample->labels.width, sample->labels.height);
    if (status == 0) status = sample_vote_categories(sample, map.ids, CLASSES);
    label_map_free(&map);
    return status;
}

static int voc_read(void *opened, int64_t index, Sample *sample) {
    const Pair *pair = &((const PairSet *)opened)->pairs[index];
    if (pair_read(pair, sample) || sample_ignore_255(sample)) return -1;
    if (sample_number_instances(sample)) return error_context("%s", pair->labels);
    char *folder = path_folder(pair->labels);
    char *classes =
        folder ? text_format("%s/../SegmentationClass/%s.png", folder, pair->name) : NULL;
    const int status = classes ? read_classes(classes, pair->labels, sample) : -1;
    free(classes);
    free(folder);
    return status;
}

const DatasetType dataset_voc = {
    .name = "voc",
    .help = "path: VOC2012, or VOCdevkit that holds it; split: val (default), train, trainval or "
            "another list in ImageSets/Segmentation",
    .open = voc_open,
    .count = pairs_count,
    .read = voc_read,
    .describe = pairs_describe,
    .close = pairs_close,
};
