// SPDX-License-Identifier: MIT
// Opening of a set to be scored on. See benchmark.h.
#include "eval/benchmark.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/dataset_text.h"

#include <stdlib.h>
#include <string.h>

static int open_item(const DatasetText *item, Benchmark *benchmark) {
    if (strchr(item->name, '/') || item->name[0] == '.' || !text_is_utf8(item->name))
        return error_int("name: found \"%s\", expected a name for a file", item->name);
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
    DatasetText item;
    if (dataset_text_parse(text, false, &item)) return -1;
    item.options.no_categories = true;
    const int result = open_item(&item, benchmark);
    dataset_text_free(&item);
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
