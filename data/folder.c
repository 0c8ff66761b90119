// SPDX-License-Identifier: MIT
// A user's own data: images/ with JPEG or PNG files, labels/ with a PNG of the same name before the
// dot, whose values are instance ids (0 background). A split is a list of names in a file, or a
// share of all that a stream of random numbers chooses by name.
#include "autograd/rng.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/pairs.h"
#include "data/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

typedef struct {
    char *root;
    bool ignore255;
    char **names; // [count] of image files that have labels, owned
    size_t count, capacity;
    int64_t without_labels, without_image, not_in_split;
    char *description;
} Folder;

// Length of the name before its dot when it is an image's, else 0.
static size_t stem_length(const char *name) {
    static const char *const endings[] = {".jpg", ".jpeg", ".png"};
    const char *dot = strrchr(name, '.');
    if (name[0] == '.' || !dot) return 0;
    for (size_t i = 0; i < sizeof endings / sizeof *endings; i++)
        if (strcasecmp(dot, endings[i]) == 0) return (size_t)(dot - name);
    return 0;
}

static char *label_name(const char *image_name) {
    return text_format("%.*s.png", (int)stem_length(image_name), image_name);
}

// Takes the name of an image file (NULL: memory is out) into the list.
static int add_name(Folder *set, char *name) {
    if (name && array_grow(&set->names, &set->capacity, set->count, sizeof *set->names) == 0) {
        set->names[set->count++] = name;
        return 0;
    }
    free(name);
    return -1;
}

static int add_image(Folder *set, const char *name, char *const *labels, size_t label_count) {
    const size_t stem = stem_length(name);
    if (stem == 0) return 0;
    if (stem >= sizeof(((Sample *)0)->name))
        return error_int("%s/images/%s: the name is longer than %zu characters", set->root, name,
                         sizeof(((Sample *)0)->name) - 1);
    char *label = label_name(name);
    if (!label) return -1;
    const bool labelled = list_has(labels, label_count, label);
    free(label);
    if (!labelled) {
        set->without_labels++;
        return 0;
    }
    return add_name(set, string_copy(name));
}

static int compare_stems(const void *left, const void *right) {
    const char *a = *(char *const *)left, *b = *(char *const *)right;
    const size_t a_length = stem_length(a), b_length = stem_length(b);
    const int order = memcmp(a, b, a_length < b_length ? a_length : b_length);
    return order ? order : (a_length > b_length) - (a_length < b_length);
}

// Sorts by the samples' names and refuses two images of one name.
static int sort_names(Folder *set) {
    if (set->count) qsort(set->names, set->count, sizeof *set->names, compare_stems);
    for (size_t i = 1; i < set->count; i++)
        if (compare_stems(&set->names[i - 1], &set->names[i]) == 0)
            return error_int("%s/images: %s and %s share one label file", set->root,
                             set->names[i - 1], set->names[i]);
    return 0;
}

static int scan(Folder *set) {
    char *image_folder = path_join(set->root, "images"),
         *label_folder = path_join(set->root, "labels");
    size_t images = 0, labels = 0;
    char **image_names = image_folder ? folder_list(image_folder, &images) : NULL;
    char **label_names = image_names && label_folder ? folder_list(label_folder, &labels) : NULL;
    int status = label_names ? 0 : -1;
    for (size_t i = 0; status == 0 && i < images; i++)
        status = add_image(set, image_names[i], label_names, labels);
    if (status == 0) status = sort_names(set);
    for (size_t i = 0; i < labels; i++)
        set->without_image += label_names[i][0] != '.' && text_ends_with(label_names[i], ".png");
    set->without_image -= (int64_t)set->count;
    if (status == 0 && set->count == 0)
        status = error_int("%s: no image in images/ (.jpg, .jpeg, .png) has a label PNG of its "
                           "name in labels/ (%lld images without)",
                           set->root, (long long)set->without_labels);
    folder_list_free(image_names, images);
    folder_list_free(label_names, labels);
    free(image_folder);
    free(label_folder);
    return status;
}

// ---- splits -------------------------------------------------------------------------------------

// Keeps the images for which keep says true, in order.
static void keep_chosen(Folder *set, const bool *keep) {
    size_t kept = 0;
    for (size_t i = 0; i < set->count; i++)
        if (keep[i])
            set->names[kept++] = set->names[i];
        else
            free(set->names[i]);
    set->not_in_split += (int64_t)(set->count - kept);
    set->count = kept;
}

static int compare_to_line(const void *line, const void *name) {
    const char *image = *(char *const *)name;
    const size_t length = strlen(line), stem = stem_length(image);
    const int order = memcmp(line, image, length < stem ? length : stem);
    return order ? order : (length > stem) - (length < stem);
}

typedef struct {
    const Folder *set;
    const char *path; // of the list
    bool *keep;
} Choice;

// Marks the image that a line names, with or without the ending.
static int choose_line(void *context, char *name) {
    const Choice *choice = context;
    const size_t stem = stem_length(name);
    if (stem) name[stem] = '\0';
    char **found = bsearch(name, choice->set->names, choice->set->count, sizeof *choice->set->names,
                           compare_to_line);
    if (!found) return error_int("%s: \"%s\" has no image with labels", choice->path, name);
    choice->keep[found - choice->set->names] = true;
    return 0;
}

static int keep_listed(Folder *set, const char *split) {
    char *path = text_format("%s/%s.txt", set->root, split);
    Choice choice = {set, path, path ? array_new(set->count, sizeof(bool)) : NULL};
    const int status = choice.keep ? each_line(path, choose_line, &choice) : -1;
    if (status == 0) keep_chosen(set, choice.keep);
    free(choice.keep);
    free(path);
    return status;
}

typedef struct {
    uint64_t key;
    size_t index;
} Ticket;

static int compare_tickets(const void *left, const void *right) {
    const Ticket *a = left, *b = right;
    if (a->key != b->key) return a->key < b->key ? -1 : 1;
    return (a->index > b->index) - (a->index < b->index);
}

// A number that depends on seed and name only, so that one more image moves at most one other.
static uint64_t ticket_of(uint64_t seed, const char *name) {
    uint64_t hash = UINT64_C(14695981039346656037);
    for (size_t i = 0; i < stem_length(name); i++)
        hash = (hash ^ (unsigned char)name[i]) * UINT64_C(1099511628211);
    Rng rng = rng_stream(seed, "folder split", hash, 0);
    return (uint64_t)rng_u32(&rng) << 32 | rng_u32(&rng);
}

// The validation part is `share` of the images, at least one; the training part all others.
static int keep_share(Folder *set, bool validation, double share, uint64_t seed) {
    Ticket *tickets = array_new(set->count, sizeof *tickets);
    bool *keep = array_new(set->count, sizeof *keep);
    const int status = tickets && keep ? 0 : -1;
    if (status == 0) {
        for (size_t i = 0; i < set->count; i++)
            tickets[i] = (Ticket){ticket_of(seed, set->names[i]), i};
        qsort(tickets, set->count, sizeof *tickets, compare_tickets);
        size_t drawn = (size_t)(share * (double)set->count + 0.5);
        if (drawn == 0 && share > 0) drawn = 1;
        for (size_t i = 0; i < set->count; i++) keep[tickets[i].index] = (i < drawn) == validation;
        keep_chosen(set, keep);
    }
    free(tickets);
    free(keep);
    return status;
}

// "train@SHARE" and "val@SHARE", with "@SEED" after it or not.
static int keep_random(Folder *set, const char *split) {
    const bool validation = text_starts_with(split, "val@");
    char *share_text = string_copy(strchr(split, '@') + 1);
    if (!share_text) return -1;
    double share;
    int64_t seed = 0;
    char *seed_text = strchr(share_text, '@');
    if (seed_text) *seed_text++ = '\0';
    int status = text_to_double(share_text, 0, 1, &share);
    if (status == 0 && seed_text) status = text_to_int64(seed_text, 0, UINT32_MAX, &seed);
    if (status == 0) status = keep_share(set, validation, share, (uint64_t)seed);
    free(share_text);
    return status;
}

static int choose_split(Folder *set, const char *split) {
    const bool random = text_starts_with(split, "train@") || text_starts_with(split, "val@");
    if (!random && strchr(split, '/'))
        return error_int("split \"%s\", expected the name of a list without a /", split);
    const int status = random ? keep_random(set, split) : keep_listed(set, split);
    if (status)
        return error_context("split \"%s\", expected train@SHARE, val@SHARE (SHARE from 0 to 1, "
                             "then @SEED if not 0), or NAME of a list %s/NAME.txt",
                             split, set->root);
    return set->count ? 0 : error_int("%s: the split \"%s\" has no image", set->root, split);
}

// ---- the five functions -------------------------------------------------------------------------

static void folder_close(void *opened) {
    Folder *set = opened;
    for (size_t i = 0; i < set->count; i++) free(set->names[i]);
    free(set->names);
    free(set->root);
    free(set->description);
    free(set);
}

static void *folder_open(const DatasetOptions *options) {
    const char *subset = option_or(options->subset, ""), *split = option_or(options->split, "");
    if (*subset && strcmp(subset, "ignore255") != 0)
        return error_null("subset \"%s\", expected ignore255 or nothing", subset);
    Folder *set = array_new(1, sizeof *set);
    if (!set) return NULL;
    set->ignore255 = *subset != '\0';
    set->root = string_copy(option_or(options->path, "."));
    if (set->root && scan(set) == 0 && (!*split || choose_split(set, split) == 0))
        set->description = text_format(
            "Images with labels in %s: %zu; left out: %lld images without labels, %lld labels "
            "without an image, %lld of other splits.%s",
            set->root, set->count, (long long)set->without_labels, (long long)set->without_image,
            (long long)set->not_in_split, set->ignore255 ? " The value 255 is ignored." : "");
    if (set->description) return set;
    folder_close(set);
    return NULL;
}

static int64_t folder_count(void *opened) {
    return (int64_t)((const Folder *)opened)->count;
}

static int folder_read(void *opened, int64_t index, Sample *sample) {
    const Folder *set = opened;
    const char *name = set->names[index];
    snprintf(sample->name, sizeof sample->name, "%.*s", (int)stem_length(name), name);
    char *image_path = text_format("%s/images/%s", set->root, name);
    char *label_path = text_format("%s/labels/%s.png", set->root, sample->name);
    int status = image_path && label_path ? 0 : -1;
    if (status == 0) status = image_read(image_path, &sample->image);
    if (status == 0) status = label_png_read(label_path, &sample->labels);
    if (status == 0) status = check_sizes_agree(sample, image_path, label_path);
    if (status == 0 && set->ignore255) status = sample_ignore_255(sample);
    if (status == 0) status = sample_number_instances(sample);
    free(image_path);
    free(label_path);
    return status;
}

static const char *folder_describe(void *opened) {
    return ((const Folder *)opened)->description;
}

const DatasetType dataset_folder = {
    .name = "folder",
    .help =
        "path: folder with images/NAME.{jpg,png} and labels/NAME.png (values are instance ids, "
        "0 background); split: NAME of a list NAME.txt of image names, or train@0.1 and val@0.1 "
        "(a tenth for validation, by name; @SEED after it for another choice); subset: ignore255 "
        "takes 255 as neither object nor background",
    .open = folder_open,
    .count = folder_count,
    .read = folder_read,
    .describe = folder_describe,
    .close = folder_close,
};
