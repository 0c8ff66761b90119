// SPDX-License-Identifier: MIT
// DRAM, art paintings with semantic masks in PASCAL VOC's classes. A class that occurs in an image
// is one instance; values of other classes are ignored. Source: datasets.md 4.1.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/pairs.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

typedef struct {
    PairSet *set;
    const char *root;
} Scan;

static bool is_labelled(int value) {
    static const unsigned char classes[] = {0, 3, 4, 5, 8, 9, 10, 12, 13, 15, 16, 17};
    for (size_t i = 0; i < sizeof classes; i++)
        if (classes[i] == value) return true;
    return false;
}

// line: MOVEMENT/ARTIST/NAME.
static int add_line(void *context, char *line) {
    const Scan *scan = context;
    if (!is_inner_path(line))
        return error_int("%s: \"%s\" is not a path inside the folder", scan->root, line);
    char *labels = text_format("%s/labels/%s.png", scan->root, line);
    if (labels && !file_exists(labels)) {
        scan->set->without_labels++;
        free(labels);
        return 0;
    }
    return pairs_add(scan->set, string_copy(line), text_format("%s/test/%s.jpg", scan->root, line),
                     labels);
}

static void *dram_open(const DatasetOptions *options) {
    const char *split = option_or(options->split, "dram_with_unseen");
    if (option_unused("dram", "subset", options->subset)) return NULL;
    if (strchr(split, '/'))
        return error_null("split \"%s\", expected dram_with_unseen, dram, unseen or a movement",
                          split);
    PairSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    Scan scan = {set, option_or(options->path, ".")};
    char *list = text_format("%s/test/%s.txt", scan.root, split);
    if (list && each_line(list, add_line, &scan) == 0 && set->count > 0)
        set->description =
            text_format("DRAM %s in %s: %zu images; left out: %lld without labels. In full, "
                        "dram_with_unseen has 718 images, 135 of them of unseen movements.",
                        split, scan.root, set->count, (long long)set->without_labels);
    else if (list)
        error_int("%s: no image with labels in %s/labels", list, scan.root);
    free(list);
    if (set->description) return set;
    pairs_close(set);
    return NULL;
}

static int ignore_foreign(Sample *sample) {
    const size_t count = (size_t)sample->labels.width * (size_t)sample->labels.height;
    sample->ignore = array_new(count, 1);
    if (!sample->ignore) return -1;
    for (size_t i = 0; i < count; i++) {
        if (is_labelled(sample->labels.ids[i])) continue;
        sample->ignore[i] = 1;
        sample->labels.ids[i] = 0;
    }
    return 0;
}

static int dram_read(void *opened, int64_t index, Sample *sample) {
    const Pair *pair = &((const PairSet *)opened)->pairs[index];
    if (pair_read(pair, sample) || ignore_foreign(sample)) return -1;
    if (sample_number_instances(sample)) return error_context("%s", pair->labels);
    for (int i = 0; i < sample->instance_count; i++)
        sample->instances[i].category = (int)sample->instances[i].id;
    return 0;
}

const DatasetType dataset_dram = {
    .name = "dram",
    .help =
        "path: folder of test/ and labels/; split: dram_with_unseen (default), dram, unseen, or "
        "a movement: the name of a list in test/",
    .open = dram_open,
    .count = pairs_count,
    .read = dram_read,
    .describe = pairs_describe,
    .close = pairs_close,
};
