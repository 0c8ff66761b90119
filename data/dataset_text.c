// SPDX-License-Identifier: MIT
// Parsing of a data set's line of text. See dataset_text.h.
#include "data/dataset_text.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_WEIGHT = 1000000, MOST_SIDE = 8192 };

// Those from weight on are for training.
static const char *const keys[] = {"name",  "path",   "split",  "subset", "seed", "size",
                                   "count", "weight", "height", "width",  "fit",  "index"};
enum { NAME, PATH, SPLIT, SUBSET, SEED, SIZE, COUNT, WEIGHT, HEIGHT, WIDTH, FIT, INDEX, KEYS };
_Static_assert(sizeof keys / sizeof *keys == KEYS, "every key has its number");

static int unknown_key(const char *key, int known) {
    const char *near = text_nearest(key, keys, (size_t)known, sizeof *keys);
    Text list = {0};
    for (int i = 0; i < known; i++) text_add(&list, "%s %s", i ? "," : "", keys[i]);
    error_int("unknown key%s%s%s; known are%s", near ? ", did you mean " : "", near ? near : "",
              near ? "?" : "", text_string(&list));
    text_free(&list);
    return -1;
}

static int set_text(const char **place, const char *value) {
    if (!*value) return error_int("found nothing, expected text");
    *place = value;
    return 0;
}

static int set_int(int *place, const char *value, int low, int high) {
    int64_t number;
    if (text_to_int64(value, low, high, &number)) return -1;
    *place = (int)number;
    return 0;
}

static int set_fit(LoaderFit *place, const char *value) {
    const bool crop = strcmp(value, "crop") == 0;
    if (!crop && strcmp(value, "resize") != 0)
        return error_int("found \"%s\", expected resize or crop", value);
    *place = crop ? FIT_CROP : FIT_RESIZE;
    return 0;
}

static int set_seed(uint64_t *place, const char *value) {
    int64_t number;
    if (text_to_int64(value, 0, INT64_MAX, &number)) return -1;
    *place = (uint64_t)number;
    return 0;
}

static int set_key(DatasetText *parsed, int key, const char *value) {
    switch (key) {
    case NAME:
        return set_text(&parsed->name, value);
    case PATH:
        return set_text(&parsed->options.path, value);
    case SPLIT:
        return set_text(&parsed->options.split, value);
    case SUBSET:
        return set_text(&parsed->options.subset, value);
    case SEED:
        return set_seed(&parsed->options.seed, value);
    case SIZE:
        return set_int(&parsed->options.size, value, 0, INT_MAX);
    case COUNT:
        return text_to_int64(value, 0, INT64_MAX, &parsed->options.count);
    case WEIGHT:
        return text_to_int64(value, 1, MOST_WEIGHT, &parsed->weight);
    case HEIGHT:
        return set_int(&parsed->height, value, 8, MOST_SIDE);
    case WIDTH:
        return set_int(&parsed->width, value, 8, MOST_SIDE);
    case FIT:
        return set_fit(&parsed->fit, value);
    default:
        return set_text(&parsed->index, value);
    }
}

static int find_key(const char *name, int known) {
    int key = 0;
    while (key < known && strcmp(name, keys[key]) != 0) key++;
    return key < known ? key : unknown_key(name, known);
}

static int parse(DatasetText *parsed, bool training) {
    char *rest = NULL;
    parsed->type = strtok_r(parsed->text, ":", &rest);
    if (!parsed->type) return error_int("found nothing, expected TYPE:key=value:...");
    for (char *part; (part = strtok_r(NULL, ":", &rest));) {
        char *equals = strchr(part, '=');
        if (!equals) return error_int("found \"%s\", expected key=value", part);
        *equals = '\0';
        const int key = find_key(part, training ? KEYS : WEIGHT);
        if (key < 0 || set_key(parsed, key, equals + 1)) return error_context("%s", part);
    }
    if (!parsed->name) parsed->name = parsed->options.split ? parsed->options.split : parsed->type;
    return 0;
}

int dataset_text_parse(const char *text, bool training, DatasetText *parsed) {
    *parsed = (DatasetText){.text = string_copy(text)};
    if (!parsed->text) return -1;
    if (parse(parsed, training) == 0) return 0;
    dataset_text_free(parsed);
    return error_context("set \"%s\"", text);
}

void dataset_text_free(DatasetText *parsed) {
    free(parsed->text);
    *parsed = (DatasetText){0};
}
