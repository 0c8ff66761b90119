// SPDX-License-Identifier: MIT
// Lists in tensors. See run_inputs.h.
#include "cli/run_inputs.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

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

int text_lists_add(TextLists *lists, const char *text, size_t size) {
    if (text_add_bytes(&lists->bytes, text, size)) return -1;
    if (lists->bytes.length > INT32_MAX) return error_int("more than 2147483647 bytes of text");
    const int32_t end = (int32_t)lists->bytes.length;
    return integer_lists_add(&lists->ends, &end, 1);
}

int text_lists_output(Run *run, const TextLists *lists, const char *bytes, const char *ends) {
    const int64_t size = (int64_t)lists->bytes.length, number = (int64_t)lists->ends.count;
    if (run_output_values(run, bytes, SAFE_U8, 1, &size, text_string(&lists->bytes))) return -1;
    return run_output_values(run, ends, SAFE_I32, 1, &number, lists->ends.items);
}

void text_lists_free(TextLists *lists) {
    text_free(&lists->bytes);
    integer_lists_free(&lists->ends);
}

int run_picture(Run *run, const char *name, Image *image) {
    const SafeTensor *stored = run_stored(run, name);
    if (!stored) return -1;
    const int64_t *shape = stored->shape;
    for (int i = 0; i < 3; i++)
        if (shape[i] > (i == 2 ? 4 : 65535))
            return error_int("%s: a picture has sides up to 65535 and up to 4 channels", name);
    if (image_new(image, (int)shape[1], (int)shape[0], (int)shape[2])) return -1;
    memcpy(image->pixels, stored->data, stored->bytes);
    return 0;
}

int32_t *run_integers(Run *run, const char *name, size_t *count) {
    Tensor *tensor = run_tensor(run, name);
    if (!tensor) return NULL;
    *count = (size_t)tensor_numel(tensor);
    int32_t *values = array_new(*count, sizeof *values);
    if (values && tensor_read(tensor, values) == 0) return values;
    free(values);
    return NULL;
}

int32_t *run_ends(Run *run, const char *name, int64_t total, size_t *count) {
    int32_t *ends = run_integers(run, name, count);
    if (!ends) return NULL;
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
