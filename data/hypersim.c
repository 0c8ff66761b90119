// SPDX-License-Identifier: MIT
// Hypersim as distributed: preview JPEGs of a scene paired by name with HDF5 arrays of instance ids
// and NYU40 classes. The frames are those whose preview exists; -1 is background, and walls, floors
// and ceilings have no instance. Source: datasets.md 3.1.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/hdf5.h"
#include "data/hypersim_split.h"
#include "data/reader.h"
#include "data/restrict.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { CLASSES = 40, PUBLIC_FRAMES = 74619, PUBLIC_SCENES = 457 };

// NYU40 classes by their number of masks: books, chair, lamp, table, pillow; window, picture,
// cabinet, paper, sofa. The first five are those of the paper's restricted run, of its ten classes
// the list is not known.
static const int frequent_classes[] = {23, 5, 35, 7, 18, 9, 11, 3, 26, 6};

typedef struct {
    char *root;
    const char *suffix;
    int classes; // the first of frequent_classes that are taken; 0: all, unknown ones too
    bool no_categories;
    HypersimFrame *frames;
    size_t count, capacity;
    int64_t scenes, without_labels, not_in_split;
    HypersimSplit split; // empty when all frames are taken
    char *description;
} Hypersim;

// Takes a camera's frames into the list. previews and arrays are the folders' names, sorted.
static int add_camera(Hypersim *set, const char *scene, int camera, char *const *previews,
                      size_t preview_count, char *const *arrays, size_t array_count) {
    char pattern[64];
    snprintf(pattern, sizeof pattern, "frame.####.%s.jpg", set->suffix);
    for (size_t i = 0; i < preview_count; i++) {
        if (!name_matches(previews[i], pattern)) continue;
        const int number = atoi(previews[i] + strlen("frame."));
        char array[64];
        snprintf(array, sizeof array, "frame.%04d.semantic_instance.hdf5", number);
        if (!list_has(arrays, array_count, array)) {
            set->without_labels++;
            continue;
        }
        HypersimFrame found = {.camera = camera, .number = number};
        memcpy(found.scene, scene, sizeof found.scene);
        if (set->split.count && !hypersim_split_has(&set->split, &found)) {
            set->not_in_split++;
            continue;
        }
        if (array_grow(&set->frames, &set->capacity, set->count, sizeof *set->frames)) return -1;
        set->frames[set->count++] = found;
    }
    return 0;
}

static int scan_camera(Hypersim *set, const char *scene, const char *images, int camera) {
    char name[64];
    snprintf(name, sizeof name, "scene_cam_%02d_final_preview", camera);
    char *preview_folder = path_join(images, name);
    snprintf(name, sizeof name, "scene_cam_%02d_geometry_hdf5", camera);
    char *array_folder = path_join(images, name);
    int status = preview_folder && array_folder ? 0 : -1;
    size_t previews = 0, arrays = 0;
    char **preview_names = status ? NULL : folder_list(preview_folder, &previews);
    if (!preview_names) status = -1;
    char **array_names = NULL;
    if (status == 0 && folder_exists(array_folder)) {
        array_names = folder_list(array_folder, &arrays);
        if (!array_names) status = -1;
    }
    if (status == 0)
        status = add_camera(set, scene, camera, preview_names, previews, array_names, arrays);
    folder_list_free(preview_names, previews);
    folder_list_free(array_names, arrays);
    free(preview_folder);
    free(array_folder);
    return status;
}

static int scan_images(Hypersim *set, const char *scene, const char *images) {
    size_t count;
    char **names = folder_list(images, &count);
    if (!names) return -1;
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++)
        if (name_matches(names[i], "scene_cam_##_final_preview"))
            status = scan_camera(set, scene, images, atoi(names[i] + strlen("scene_cam_")));
    folder_list_free(names, count);
    return status;
}

static int scan_scene(Hypersim *set, const char *scene) {
    char *images = text_format("%s/%s/images", set->root, scene);
    if (!images) return -1;
    const size_t before = set->count;
    const int status = folder_exists(images) ? scan_images(set, scene, images) : 0;
    set->scenes += set->count > before;
    free(images);
    return status;
}

static int scan_root(Hypersim *set) {
    size_t count;
    char **names = folder_list(set->root, &count);
    if (!names) return -1;
    int status = 0;
    for (size_t i = 0; status == 0 && i < count; i++)
        if (name_matches(names[i], "ai_###_###")) status = scan_scene(set, names[i]);
    folder_list_free(names, count);
    if (status == 0 && set->count == 0)
        status = error_int("%s: no frame found; expected ai_VVV_NNN/images/"
                           "scene_cam_XX_final_preview/frame.IIII.%s.jpg with "
                           "scene_cam_XX_geometry_hdf5/frame.IIII.semantic_instance.hdf5 "
                           "(%lld previews had none)",
                           set->root, set->suffix, (long long)set->without_labels);
    return status;
}

static void hypersim_close(void *opened) {
    Hypersim *set = opened;
    free(set->root);
    free(set->frames);
    hypersim_split_free(&set->split);
    free(set->description);
    free(set);
}

// subset: "color", "tonemap+5classes", "10classes" ...
static int read_subset(Hypersim *set, const char *subset) {
    static const char *const suffixes[] = {"color", "tonemap", "gamma"};
    const char *rest = subset;
    set->suffix = suffixes[0];
    for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++)
        if (text_starts_with(subset, suffixes[i])) {
            set->suffix = suffixes[i];
            rest += strlen(suffixes[i]);
            rest += *rest == '+' && rest[1];
        }
    if (strcmp(rest, "5classes") == 0) set->classes = 5;
    if (strcmp(rest, "10classes") == 0) set->classes = 10;
    if (*rest == '\0' || set->classes) return 0;
    return error_int("subset \"%s\", expected color, tonemap or gamma (the kind of preview), "
                     "5classes or 10classes, or both with a + between",
                     subset);
}

static int read_split(Hypersim *set, const char *split) {
    if (!*split) return 0;
    if (strcmp(split, "train") != 0 && strcmp(split, "val") != 0 && strcmp(split, "test") != 0)
        return error_int("split \"%s\", expected nothing (all frames), train, val or test", split);
    char *path = path_join(set->root, "metadata_images_split_scene_v1.csv");
    const int status = path ? hypersim_split_read(path, split, &set->split) : -1;
    free(path);
    return status;
}

static void *hypersim_open(const DatasetOptions *options) {
    Hypersim *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    set->root = string_copy(option_or(options->path, "."));
    set->no_categories = options->no_categories;
    const char *split = option_or(options->split, "");
    if (set->root && read_subset(set, option_or(options->subset, "")) == 0 &&
        read_split(set, split) == 0 && scan_root(set) == 0)
        set->description = text_format(
            "Hypersim%s%s (%s previews%s) in %s: %zu frames of %lld scenes; left out: %lld "
            "previews "
            "without semantic_instance.hdf5, %lld of other splits. The public release has %d "
            "frames of %d scenes.",
            *split ? " " : "", split, set->suffix,
            set->classes == 5    ? ", 5 classes"
            : set->classes == 10 ? ", 10 classes"
                                 : "",
            set->root, set->count, (long long)set->scenes, (long long)set->without_labels,
            (long long)set->not_in_split, PUBLIC_FRAMES, PUBLIC_SCENES);
    if (set->description) return set;
    hypersim_close(set);
    return NULL;
}

static int64_t hypersim_count(void *opened) {
    return (int64_t)((const Hypersim *)opened)->count;
}

// Path of a frame's HDF5 array of this kind.
static char *array_path(const Hypersim *set, const HypersimFrame *frame, const char *kind) {
    return text_format("%s/%s/images/scene_cam_%02d_geometry_hdf5/frame.%04d.%s.hdf5", set->root,
                       frame->scene, frame->camera, frame->number, kind);
}

static int check_ids(const LabelMap *labels, const char *path) {
    const size_t count = (size_t)labels->width * (size_t)labels->height;
    int wrong = 0;
    for (size_t i = 0; i < count; i++) wrong |= (labels->ids[i] < -1) | (labels->ids[i] == 0);
    for (size_t i = 0; wrong && i < count; i++)
        if (labels->ids[i] < -1 || labels->ids[i] == 0)
            return error_int("%s: instance id %d at row %zu, column %zu, expected -1 or from 1 on",
                             path, (int)labels->ids[i], i / (size_t)labels->width,
                             i % (size_t)labels->width);
    return 0;
}

static int check_classes(const int32_t *classes, const LabelMap *labels, const char *path) {
    const size_t count = (size_t)labels->width * (size_t)labels->height;
    for (size_t i = 0; i < count; i++)
        if (classes[i] != -1 && (classes[i] < 1 || classes[i] > CLASSES))
            return error_int("%s: class %d at row %zu, column %zu, expected -1 or 1 to %d", path,
                             (int)classes[i], i / (size_t)labels->width, i % (size_t)labels->width,
                             CLASSES);
    return 0;
}

static int read_categories(const Hypersim *set, const HypersimFrame *frame, Sample *sample) {
    char *path = array_path(set, frame, "semantic");
    if (!path) return -1;
    int status = 0, width, height;
    int32_t *classes = NULL;
    if (file_exists(path) || set->classes) {
        status = hdf5_read_i32(path, "dataset", &width, &height, &classes);
        if (status == 0 && (width != sample->labels.width || height != sample->labels.height))
            status = error_int("%s is %dx%d (width x height) but its frame is %dx%d", path, width,
                               height, sample->labels.width, sample->labels.height);
        if (status == 0) status = check_classes(classes, &sample->labels, path);
        if (status == 0) status = sample_vote_categories(sample, classes, CLASSES);
    }
    free(classes);
    free(path);
    return status;
}

static int read_files(const char *image_path, const char *label_path, Sample *sample) {
    if (image_read(image_path, &sample->image)) return -1;
    LabelMap *labels = &sample->labels;
    if (hdf5_read_i32(label_path, "dataset", &labels->width, &labels->height, &labels->ids))
        return -1;
    if (check_sizes_agree(sample, image_path, label_path)) return -1;
    if (check_ids(labels, label_path)) return -1;
    if (sample_number_instances(sample)) return error_context("%s", label_path);
    return 0;
}

static int hypersim_read(void *opened, int64_t index, Sample *sample) {
    const Hypersim *set = opened;
    const HypersimFrame *frame = &set->frames[index];
    snprintf(sample->name, sizeof sample->name, "%s/cam_%02d/frame.%04d", frame->scene,
             frame->camera, frame->number);
    char *image_path =
        text_format("%s/%s/images/scene_cam_%02d_final_preview/frame.%04d.%s.jpg", set->root,
                    frame->scene, frame->camera, frame->number, set->suffix);
    char *label_path = array_path(set, frame, "semantic_instance");
    int status = image_path && label_path ? read_files(image_path, label_path, sample) : -1;
    if (status == 0 && (set->classes || !set->no_categories))
        status = read_categories(set, frame, sample);
    if (status == 0 && set->classes)
        status = sample_restrict(sample, frequent_classes, set->classes);
    free(image_path);
    free(label_path);
    return status;
}

static const char *hypersim_describe(void *opened) {
    return ((const Hypersim *)opened)->description;
}

const DatasetType dataset_hypersim = {
    .name = "hypersim",
    .help = "path: folder of ai_VVV_NNN scenes as distributed; split: nothing (all), or train, val "
            "or test by metadata_images_split_scene_v1.csv in it; subset: color (default), tonemap "
            "or gamma, the kind of preview JPEG, and +5classes or +10classes for training on those",
    .open = hypersim_open,
    .count = hypersim_count,
    .read = hypersim_read,
    .describe = hypersim_describe,
    .close = hypersim_close,
};
