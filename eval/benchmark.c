// SPDX-License-Identifier: MIT
// Parsing and opening of a set to be scored on. See benchmark.h.
#include "eval/benchmark.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

// What an item says; strings point into its copy.
typedef struct {
    const char *type, *name;
    DatasetOptions options;
} Item;

static const char *const part_names[] = {"name", "path", "split", "subset",
                                         "seed", "size", "count"};
enum { PART_COUNT = sizeof part_names / sizeof *part_names };

static int set_text(const char **place, const char *value) {
    if (!*value) return error_int("found nothing, expected text");
    *place = value;
    return 0;
}

static int set_number(Item *item, const char *key, const char *value) {
    int64_t number = 0;
    if (strcmp(key, "seed") == 0) {
        if (text_to_int64(value, 0, INT64_MAX, &number)) return -1;
        item->options.seed = (uint64_t)number;
    } else if (strcmp(key, "size") == 0) {
        if (text_to_int64(value, 0, INT_MAX, &number)) return -1;
        item->options.size = (int)number;
    } else {
        return text_to_int64(value, 0, INT64_MAX, &item->options.count);
    }
    return 0;
}

static int unknown_part(const char *key) {
    const char *near = text_nearest(key, part_names, PART_COUNT, sizeof *part_names);
    return error_int("unknown key%s%s%s; known are name, path, split, subset, seed, size, count",
                     near ? ", did you mean " : "", near ? near : "", near ? "?" : "");
}

static int set_part(Item *item, const char *key, const char *value) {
    if (strcmp(key, "name") == 0) return set_text(&item->name, value);
    if (strcmp(key, "path") == 0) return set_text(&item->options.path, value);
    if (strcmp(key, "split") == 0) return set_text(&item->options.split, value);
    if (strcmp(key, "subset") == 0) return set_text(&item->options.subset, value);
    for (int i = 4; i < PART_COUNT; i++)
        if (strcmp(key, part_names[i]) == 0) return set_number(item, key, value);
    return unknown_part(key);
}

// Takes the text apart in place.
static int parse(char *text, Item *item) {
    char *rest = NULL;
    item->type = strtok_r(text, ":", &rest);
    if (!item->type) return error_int("found nothing, expected TYPE:key=value:...");
    for (char *part; (part = strtok_r(NULL, ":", &rest));) {
        char *equals = strchr(part, '=');
        if (!equals) return error_int("found \"%s\", expected key=value", part);
        *equals = '\0';
        if (set_part(item, part, equals + 1)) return error_context("%s", part);
    }
    if (!item->name) item->name = item->options.split ? item->options.split : item->type;
    if (strchr(item->name, '/') || item->name[0] == '.' || !text_is_utf8(item->name))
        return error_int("name: found \"%s\", expected a name for a file", item->name);
    return 0;
}

static int open_item(const Item *item, Benchmark *benchmark) {
    benchmark->name = string_copy(item->name);
    if (!benchmark->name) return -1;
    benchmark->set = dataset_open(item->type, &item->options);
    if (!benchmark->set) return -1;
    benchmark->count = dataset_count(benchmark->set);
    if (benchmark->count < 1) return error_int("the set has no images");
    benchmark->novel_coco = strcmp(item->type, "coco") == 0 && item->options.subset &&
                            strcmp(item->options.subset, "novel") == 0;
    return 0;
}

int benchmark_open(const char *text, Benchmark *benchmark) {
    *benchmark = (Benchmark){0};
    char *copy = string_copy(text);
    if (!copy) return -1;
    Item item = {0};
    int result = parse(copy, &item);
    if (result == 0) result = open_item(&item, benchmark);
    free(copy);
    if (result) {
        benchmark_close(benchmark);
        error_context("set \"%s\"", text);
    }
    return result;
}

void benchmark_close(Benchmark *benchmark) {
    dataset_close(benchmark->set);
    free(benchmark->name);
    *benchmark = (Benchmark){0};
}
