// SPDX-License-Identifier: MIT
// Virtual KITTI 2 as distributed: JPEGs of rendered drives paired by name with palette PNGs, whose
// index is the vehicle's track + 1 and 0 everything else. Since only vehicles are labelled, the
// rest is unknown, not background. Source: datasets.md 3.2, method.md 2.8.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/pairs.h"
#include "data/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CAMERAS = 2, WEATHERS = 5 };

// The weathers that gen2seg trains on come first.
static const char *const variations[] = {
    "fog",   "morning",     "overcast",     "rain",        "sunset",
    "clone", "15-deg-left", "15-deg-right", "30-deg-left", "30-deg-right"};
enum { VARIATIONS = sizeof variations / sizeof *variations };

typedef struct {
    PairSet *set;
    char *images, *labels; // folders of the scenes
} Scan;

// The archives write the name in camel case, their documentation in lower case.
static char *label_folder(const Scan *scan, const char *drive, int camera) {
    char *folder =
        text_format("%s/%s/frames/instanceSegmentation/Camera_%d", scan->labels, drive, camera);
    if (!folder || folder_exists(folder)) return folder;
    free(folder);
    return text_format("%s/%s/frames/instancesegmentation/Camera_%d", scan->labels, drive, camera);
}

static int add_frame(const Scan *scan, const char *drive, int camera, const char *images,
                     const char *labels, const char *number) {
    return pairs_add(scan->set, text_format("%s/Camera_%d/%.5s", drive, camera, number),
                     text_format("%s/rgb_%.5s.jpg", images, number),
                     text_format("%s/instancegt_%.5s.png", labels, number));
}

// drive: "SceneSS/variation".
static int scan_frames(const Scan *scan, const char *drive, int camera, const char *images,
                       const char *labels) {
    size_t image_count, label_count = 0;
    char **image_names = folder_list(images, &image_count);
    if (!image_names) return -1;
    char **label_names = folder_exists(labels) ? folder_list(labels, &label_count) : NULL;
    int status = error_is_set() ? -1 : 0;
    for (size_t i = 0; status == 0 && i < image_count; i++) {
        if (!name_matches(image_names[i], "rgb_#####.jpg")) continue;
        const char *number = image_names[i] + strlen("rgb_");
        char label[32];
        snprintf(label, sizeof label, "instancegt_%.5s.png", number);
        if (list_has(label_names, label_count, label))
            status = add_frame(scan, drive, camera, images, labels, number);
        else
            scan->set->without_labels++;
    }
    folder_list_free(image_names, image_count);
    folder_list_free(label_names, label_count);
    return status;
}

static int scan_drive(const Scan *scan, const char *scene, const char *variation) {
    char *drive = text_format("%s/%s", scene, variation);
    int status = drive ? 0 : -1;
    for (int camera = 0; status == 0 && camera < CAMERAS; camera++) {
        char *images = text_format("%s/%s/frames/rgb/Camera_%d", scan->images, drive, camera);
        char *labels = label_folder(scan, drive, camera);
        status = images && labels ? 0 : -1;
        if (status == 0 && folder_exists(images))
            status = scan_frames(scan, drive, camera, images, labels);
        free(images);
        free(labels);
    }
    free(drive);
    return status;
}

// first, last: of the variations.
static int scan_scenes(const Scan *scan, int first, int last) {
    size_t count;
    char **names = folder_list(scan->images, &count);
    if (!names) return -1;
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++)
        for (int v = first; status == 0 && v <= last; v++)
            if (name_matches(names[i], "Scene##"))
                status = scan_drive(scan, names[i], variations[v]);
    folder_list_free(names, count);
    if (status == 0 && scan->set->count == 0)
        status = error_int("%s: no frame found; expected SceneSS/VARIATION/frames/rgb/Camera_C/"
                           "rgb_NNNNN.jpg with frames/instanceSegmentation/Camera_C/"
                           "instancegt_NNNNN.png (%lld images had none)",
                           scan->images, (long long)scan->set->without_labels);
    return status;
}

static int choose_variations(const char *subset, int *first, int *last) {
    const bool all = strcmp(subset, "all") == 0;
    *first = 0;
    *last = all ? VARIATIONS - 1 : WEATHERS - 1;
    if (all || !*subset) return 0;
    for (int v = 0; v < VARIATIONS; v++)
        if (strcmp(subset, variations[v]) == 0) {
            *first = *last = v;
            return 0;
        }
    return error_int("subset \"%s\", expected nothing (the five weathers), all, or the name of a "
                     "variation such as fog or 15-deg-left",
                     subset);
}

static void *vkitti2_open(const DatasetOptions *options) {
    const char *path = option_or(options->path, "."), *subset = option_or(options->subset, "");
    int first, last;
    if (option_unused("vkitti2", "split", options->split)) return NULL;
    if (choose_variations(subset, &first, &last)) return NULL;
    PairSet *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    Scan scan = {set, find_root(path, "vkitti_2.0.3_rgb"),
                 find_root(path, "vkitti_2.0.3_instanceSegmentation")};
    if (scan.images && scan.labels && scan_scenes(&scan, first, last) == 0)
        set->description = text_format(
            "Virtual KITTI 2 (%s) in %s: %zu frames; left out: %lld images without labels. The "
            "five weathers have 21260 frames in full.",
            *subset ? subset : "five weathers", path, set->count, (long long)set->without_labels);
    free(scan.images);
    free(scan.labels);
    if (set->description) return set;
    pairs_close(set);
    return NULL;
}

static int vkitti2_read(void *opened, int64_t index, Sample *sample) {
    const Pair *pair = &((const PairSet *)opened)->pairs[index];
    if (pair_read(pair, sample)) return -1;
    sample->no_background = true;
    if (sample_number_instances(sample)) return error_context("%s", pair->labels);
    return 0;
}

const DatasetType dataset_vkitti2 = {
    .name = "vkitti2",
    .help = "path: folder of SceneSS/, or of the folders that the rgb and instanceSegmentation "
            "archives unpack into; subset: nothing (fog, morning, overcast, rain, sunset), all, or "
            "one variation",
    .open = vkitti2_open,
    .count = pairs_count,
    .read = vkitti2_read,
    .describe = pairs_describe,
    .close = pairs_close,
};
