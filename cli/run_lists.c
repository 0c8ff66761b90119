// SPDX-License-Identifier: MIT
// Lists in tensors. See run_lists.h.
#include "cli/run_lists.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>

int integer_lists_add(IntegerLists *lists, const int32_t *items, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (array_grow(&lists->items, &lists->capacity, lists->count, sizeof *lists->items))
            return -1;
        lists->items[lists->count++] = items[i];
    }
    if (lists->count > INT32_MAX) return error_int("more than 2147483647 integers");
    if (array_grow(&lists->ends, &lists->list_capacity, lists->lists, sizeof *lists->ends))
        return -1;
    lists->ends[lists->lists++] = (int32_t)lists->count;
    return 0;
}

int integer_lists_output(Run *run, const IntegerLists *lists, const char *items, const char *ends) {
    const int64_t count = (int64_t)lists->count, number = (int64_t)lists->lists;
    if (run_output_values(run, items, SAFE_I32, 1, &count, lists->items)) return -1;
    return run_output_values(run, ends, SAFE_I32, 1, &number, lists->ends);
}

void integer_lists_free(IntegerLists *lists) {
    free(lists->items);
    free(lists->ends);
    *lists = (IntegerLists){0};
}

int32_t *run_ends(Run *run, const char *name, int64_t total, size_t *count) {
    Tensor *tensor = run_tensor(run, name);
    if (!tensor) return NULL;
    *count = (size_t)tensor_numel(tensor);
    int32_t *ends = array_new(*count, sizeof *ends);
    if (!ends || tensor_read(tensor, ends)) {
        free(ends);
        return NULL;
    }
    int32_t last = 0;
    for (size_t i = 0; i < *count; i++) {
        if (ends[i] < last || ends[i] > total) {
            error_null("%s: entry %zu is %d; expected %d to %lld", name, i, ends[i], last,
                       (long long)total);
            free(ends);
            return NULL;
        }
        last = ends[i];
    }
    return ends;
}

int run_each_text(Run *run, TextVisit *each, void *context) {
    size_t count = 0;
    const SafeTensor *bytes = run_stored(run, "text");
    int32_t *ends = bytes ? run_ends(run, "ends", bytes->numel, &count) : NULL;
    int result = ends ? 0 : -1;
    for (size_t i = 0; i < count && result == 0; i++) {
        const int32_t start = i > 0 ? ends[i - 1] : 0;
        result = each(context, (const uint8_t *)bytes->data + start, (size_t)(ends[i] - start));
        if (result) error_context("text %zu", i);
    }
    free(ends);
    return result;
}
