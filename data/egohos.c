// SPDX-License-Identifier: MIT
// EgoHOS, hands and what they hold as the wearer of a camera sees them: label PNGs with the values
// 0 to 8, each of which is one instance wherever it occurs, since an image has one left hand and so
// on. Source: datasets.md 4.2.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/pairs.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

enum { HIGHEST = 8 };

static int scan(PairSet *set, const char *root, const char *split) {
    char *images = text_format("%s/%s/image", root, split);
    char *labels = text_format("%s/%s/label", root, split);
    const int status = images && labels ? pairs_scan(set, images, ".jpg", labels, ".png") : -1;
    free(images);
    free(labels);
    return status;
}

static void *egohos_open(const DatasetOptions *options) {
    static const char *const splits[] = {"test_indomain", "test_outdomain", "val", "train"};
    const char *split = option_or(options->split, splits[0]), *root = option_or(options->path, ".");
    if (option_unused("egohos", "subset", options->subset)) return NULL;
    if (option_among("split", split, splits, sizeof splits / sizeof *splits)) return NULL;
    PairSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    if (scan(set, root, split) == 0)
        set->description =
            text_format("EgoHOS %s in %s: %zu images; left out: %lld without labels.", split, root,
                        set->count, (long long)set->without_labels);
    if (set->description) return set;
    pairs_close(set);
    return NULL;
}

static int egohos_read(void *opened, int64_t index, Sample *sample) {
    const Pair *pair = &((const PairSet *)opened)->pairs[index];
    if (pair_read(pair, sample) || check_labels_at_most(&sample->labels, HIGHEST, pair->labels))
        return -1;
    if (sample_number_instances(sample)) return error_context("%s", pair->labels);
    for (int i = 0; i < sample->instance_count; i++)
        sample->instances[i].category = (int)sample->instances[i].id;
    return 0;
}

const DatasetType dataset_egohos = {
    .name = "egohos",
    .help = "path: folder of the splits; split: test_indomain (default), test_outdomain, val or "
            "train",
    .open = egohos_open,
    .count = pairs_count,
    .read = egohos_read,
    .describe = pairs_describe,
    .close = pairs_close,
};
