// SPDX-License-Identifier: MIT
// HRSOD, salient objects in large photographs: one mask per image, 128 and above in a grey PNG.
// Source: datasets.md 4.6.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/pairs.h"
#include "data/reader.h"

#include <stdlib.h>
#include <string.h>

enum { FOREGROUND = 128 };

// The release has a folder of images and one of masks for each split; another packaging of the test
// set has imgs/ and gts/.
static int scan(PairSet *set, const char *root, const char *split) {
    char *images = text_format("%s/HRSOD_%s", root, split);
    char *masks = text_format("%s/HRSOD_%s_mask", root, split);
    if (images && masks && !folder_exists(images) && strcmp(split, "test") == 0) {
        free(images);
        free(masks);
        images = text_format("%s/imgs", root);
        masks = text_format("%s/gts", root);
    }
    const int status = images && masks ? pairs_scan(set, images, ".jpg", masks, ".png") : -1;
    free(images);
    free(masks);
    return status;
}

static void *hrsod_open(const DatasetOptions *options) {
    static const char *const splits[] = {"test", "train"};
    const char *split = option_or(options->split, splits[0]);
    if (option_unused("hrsod", "subset", options->subset)) return NULL;
    if (option_among("split", split, splits, sizeof splits / sizeof *splits)) return NULL;
    PairSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    char *root = find_root(option_or(options->path, "."), "HRSOD_release");
    if (root && scan(set, root, split) == 0)
        set->description =
            text_format("HRSOD %s in %s: %zu images; left out: %lld without masks. In full, test "
                        "has 400 images, train 1610.",
                        split, root, set->count, (long long)set->without_labels);
    free(root);
    if (set->description) return set;
    pairs_close(set);
    return NULL;
}

// Some masks are said to have three channels: the first is taken.
static int read_mask(const char *path, Sample *sample) {
    Image mask;
    if (image_read(path, &mask)) return -1;
    int status = label_map_new(&sample->labels, mask.width, mask.height);
    const size_t count = (size_t)mask.width * (size_t)mask.height;
    for (size_t i = 0; status == 0 && i < count; i++)
        sample->labels.ids[i] = mask.pixels[3 * i] >= FOREGROUND;
    image_free(&mask);
    return status;
}

static int hrsod_read(void *opened, int64_t index, Sample *sample) {
    const Pair *pair = &((const PairSet *)opened)->pairs[index];
    pair_name(pair, sample);
    if (image_read(pair->image, &sample->image) || read_mask(pair->labels, sample)) return -1;
    if (check_sizes_agree(sample, pair->image, pair->labels)) return -1;
    return sample_number_instances(sample);
}

const DatasetType dataset_hrsod = {
    .name = "hrsod",
    .help = "path: HRSOD_release or the folder that holds it, or one of imgs/ and gts/; split: "
            "test (default) or train",
    .open = hrsod_open,
    .count = pairs_count,
    .read = hrsod_read,
    .describe = pairs_describe,
    .close = pairs_close,
};
