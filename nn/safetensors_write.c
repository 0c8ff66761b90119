// SPDX-License-Identifier: MIT
// Writing safetensors files. See safetensors.h.
#include "nn/safetensors.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

static const size_t sizes_descending[] = {8, 4, 2, 1};

static int entry_bytes(const SafeEntry *entry, size_t *bytes) {
    *bytes = safe_type_size(entry->type);
    if (entry->ndim < 0 || entry->ndim > SAFE_MAX_DIMS)
        return error_int("tensor %s has %d sides", entry->name, entry->ndim);
    for (int i = 0; i < entry->ndim; i++) {
        if (entry->shape[i] < 0) return error_int("tensor %s has a negative side", entry->name);
        if (size_multiply(*bytes, (size_t)entry->shape[i], bytes) != 0) return -1;
    }
    return 0;
}

// Positions of the entries in the file: wider types first, otherwise as given.
static size_t *file_order(const SafeEntry *entries, size_t count) {
    size_t *order = array_new(count, sizeof *order), used = 0;
    for (size_t s = 0; order && s < sizeof sizes_descending / sizeof sizes_descending[0]; s++)
        for (size_t i = 0; i < count; i++)
            if (safe_type_size(entries[i].type) == sizes_descending[s]) order[used++] = i;
    return order;
}

static int add_entry(json_t *header, const SafeEntry *entry, size_t *offset) {
    size_t bytes;
    if (entry_bytes(entry, &bytes) != 0) return -1;
    if (strcmp(entry->name, "__metadata__") == 0 || json_object_get(header, entry->name))
        return error_int("tensor name %s is taken", entry->name);
    json_t *shape = json_array();
    for (int i = 0; i < entry->ndim; i++)
        json_array_append_new(shape, json_integer(entry->shape[i]));
    json_t *offsets = json_pack("[I,I]", (json_int_t)*offset, (json_int_t)(*offset + bytes));
    json_t *described = json_pack("{s:s,s:o,s:o}", "dtype", safe_type_name(entry->type), "shape",
                                  shape, "data_offsets", offsets);
    *offset += bytes;
    if (json_object_set_new(header, entry->name, described) == 0) return 0;
    return error_int("tensor name %s cannot be written", entry->name);
}

// The header padded with blanks so that the data begins at a multiple of 8.
static char *make_header(const SafeEntry *entries, const size_t *order, size_t count,
                         size_t *length) {
    json_t *header = json_pack("{s:{s:s}}", "__metadata__", "format", "pt");
    if (!header) return error_null("out of memory");
    size_t offset = 0;
    for (size_t i = 0; i < count; i++) {
        if (add_entry(header, &entries[order[i]], &offset) == 0) continue;
        json_decref(header);
        return NULL;
    }
    char *text = json_dumps(header, JSON_COMPACT | JSON_PRESERVE_ORDER);
    json_decref(header);
    size_t used = text ? strlen(text) : 0;
    *length = (used + 7) / 8 * 8;
    char *padded = text ? array_new(*length + 1, 1) : NULL;
    if (padded) {
        memset(padded, ' ', *length);
        memcpy(padded, text, used);
    } else {
        error_int("out of memory");
    }
    free(text);
    return padded;
}

static int put_data(FileWrite *file, const SafeEntry *entry, size_t index, SafeFill fill,
                    void *context) {
    size_t bytes;
    if (entry_bytes(entry, &bytes) != 0) return error_context("%s", file->path);
    if (bytes == 0) return 0;
    if (entry->values) return file_write_bytes(file, entry->values, bytes);
    if (!fill) return error_int("%s: tensor %s has no values", file->path, entry->name);
    void *values = array_new(bytes, 1);
    int result = values ? fill(context, index, values) : -1;
    if (result != 0) error_context("%s", file->path);
    if (result == 0) result = file_write_bytes(file, values, bytes);
    free(values);
    return result;
}

static int put_file(FileWrite *file, const SafeEntry *entries, const size_t *order, size_t count,
                    SafeFill fill, void *context) {
    size_t length = 0;
    char *header = make_header(entries, order, count, &length);
    if (!header) return error_context("%s", file->path);
    unsigned char prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (unsigned char)((uint64_t)length >> 8 * i & 255);
    int result = file_write_bytes(file, prefix, sizeof prefix);
    if (result == 0) result = file_write_bytes(file, header, length);
    free(header);
    for (size_t i = 0; result == 0 && i < count; i++)
        result = put_data(file, &entries[order[i]], order[i], fill, context);
    return result;
}

int safetensors_write(const char *path, const SafeEntry *entries, size_t count, SafeFill fill,
                      void *context) {
    size_t *order = file_order(entries, count);
    FileWrite *file = order ? file_write_begin(path) : NULL;
    int result = file ? put_file(file, entries, order, count, fill, context) : -1;
    free(order);
    if (!file) return -1;
    if (result == 0) return file_write_commit(file);
    file_write_abandon(file);
    return -1;
}
