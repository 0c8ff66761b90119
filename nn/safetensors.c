// SPDX-License-Identifier: MIT
// Reading safetensors files. See safetensors.h. Every number of the header is checked before use:
// a file may come from anywhere.
#include "nn/safetensors.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <fcntl.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PREFIX_BYTES = 8 };
static const uint64_t MAX_HEADER = 100000000;

struct SafeFile {
    char *path;
    json_t *header; // owns the names
    SafeTensor *tensors;
    size_t count;
    void *map;
    size_t size;
    int holds;
};

static const struct {
    const char *name;
    size_t size;
} types[SAFE_TYPES] = {
    [SAFE_F64] = {"F64", 8},   [SAFE_F32] = {"F32", 4}, [SAFE_F16] = {"F16", 2},
    [SAFE_BF16] = {"BF16", 2}, [SAFE_I64] = {"I64", 8}, [SAFE_I32] = {"I32", 4},
    [SAFE_U8] = {"U8", 1},
};

size_t safe_type_size(SafeType type) {
    return types[type].size;
}

const char *safe_type_name(SafeType type) {
    return types[type].name;
}

// ---- the header ---------------------------------------------------------------------------------

static int parse_type(const char *text, SafeType *type) {
    for (int i = 0; text && i < SAFE_TYPES; i++) {
        if (strcmp(text, types[i].name) != 0) continue;
        *type = (SafeType)i;
        return 0;
    }
    return -1;
}

static int parse_shape(const json_t *shape, SafeTensor *tensor) {
    if (!json_is_array(shape)) return error_int("shape is missing or not an array");
    size_t ndim = json_array_size(shape);
    if (ndim > SAFE_MAX_DIMS)
        return error_int("%zu sides, at most %d are possible", ndim, SAFE_MAX_DIMS);
    tensor->ndim = (int)ndim;
    tensor->numel = 1;
    bool empty = false;
    for (size_t i = 0; i < ndim; i++) {
        const json_t *side = json_array_get(shape, i);
        int64_t value = json_is_integer(side) ? json_integer_value(side) : -1;
        if (value < 0) return error_int("side %zu of the shape is not a size", i);
        if (value > 0 && tensor->numel > INT64_MAX / 8 / value)
            return error_int("the shape overflows");
        tensor->shape[i] = value;
        if (value > 0) tensor->numel *= value;
        empty = empty || value == 0;
    }
    if (empty) tensor->numel = 0;
    return 0;
}

static int parse_offsets(const json_t *offsets, size_t data_size, SafeTensor *tensor) {
    const json_t *first = json_array_get(offsets, 0), *second = json_array_get(offsets, 1);
    if (json_array_size(offsets) != 2 || !json_is_integer(first) || !json_is_integer(second))
        return error_int("data_offsets is not a pair of numbers");
    int64_t begin = json_integer_value(first), end = json_integer_value(second);
    if (begin < 0 || end < begin)
        return error_int("data_offsets [%lld, %lld] are not a range", (long long)begin,
                         (long long)end);
    if ((uint64_t)end > data_size)
        return error_int("data_offsets end at %lld, but the file holds %zu bytes of data (is it "
                         "truncated?)",
                         (long long)end, data_size);
    tensor->offset = (size_t)begin;
    tensor->bytes = (size_t)(end - begin);
    return 0;
}

static int parse_tensor(const json_t *entry, size_t data_size, SafeTensor *tensor) {
    if (!json_is_object(entry)) return error_int("its entry is not an object");
    const char *type = json_string_value(json_object_get(entry, "dtype"));
    if (parse_type(type, &tensor->type) != 0)
        return error_int("unknown dtype %s; expected F64, F32, F16, BF16, I64, I32 or U8",
                         type ? type : "(missing)");
    if (parse_shape(json_object_get(entry, "shape"), tensor) != 0) return -1;
    if (parse_offsets(json_object_get(entry, "data_offsets"), data_size, tensor) != 0) return -1;
    size_t expected = (size_t)tensor->numel * safe_type_size(tensor->type);
    if (tensor->bytes != expected)
        return error_int("data_offsets span %zu bytes, shape and dtype need %zu", tensor->bytes,
                         expected);
    return 0;
}

static int check_metadata(const json_t *metadata) {
    if (!metadata) return 0;
    const char *key;
    json_t *value;
    if (!json_is_object(metadata)) return error_int("__metadata__ is not an object");
    json_object_foreach((json_t *)metadata, key, value) {
        if (!json_is_string(value)) return error_int("__metadata__: %s is not a string", key);
    }
    return 0;
}

static int by_offset(const void *a, const void *b) {
    const SafeTensor *x = a, *y = b;
    if (x->offset != y->offset) return x->offset < y->offset ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static int by_name(const void *a, const void *b) {
    return strcmp(((const SafeTensor *)a)->name, ((const SafeTensor *)b)->name);
}

// The tensors must lie end to end and use up the data.
static int check_cover(SafeFile *file, size_t data_size) {
    qsort(file->tensors, file->count, sizeof *file->tensors, by_offset);
    size_t end = 0;
    for (size_t i = 0; i < file->count; i++) {
        const SafeTensor *tensor = &file->tensors[i];
        if (tensor->offset < end)
            return error_int("tensor %s begins at %zu, inside %s", tensor->name, tensor->offset,
                             file->tensors[i - 1].name);
        if (tensor->offset > end)
            return error_int("hole of %zu bytes before tensor %s", tensor->offset - end,
                             tensor->name);
        end += tensor->bytes;
    }
    if (end != data_size)
        return error_int("%zu bytes of data, but the tensors use %zu", data_size, end);
    qsort(file->tensors, file->count, sizeof *file->tensors, by_name);
    return 0;
}

static int parse_header(SafeFile *file, size_t header_size) {
    const char *text = (const char *)file->map + PREFIX_BYTES;
    size_t data_size = file->size - PREFIX_BYTES - header_size;
    json_error_t problem;
    file->header = json_loadb(text, header_size, JSON_REJECT_DUPLICATES, &problem);
    if (!file->header) return error_int("header: %s", problem.text);
    if (!json_is_object(file->header)) return error_int("header: not an object");
    if (check_metadata(json_object_get(file->header, "__metadata__")) != 0) return -1;
    file->tensors = array_new(json_object_size(file->header), sizeof *file->tensors);
    if (!file->tensors) return -1;
    const char *name;
    json_t *entry;
    json_object_foreach(file->header, name, entry) {
        if (strcmp(name, "__metadata__") == 0) continue;
        SafeTensor *tensor = &file->tensors[file->count];
        if (parse_tensor(entry, data_size, tensor) != 0)
            return error_context("tensor %.200s", name);
        tensor->name = name;
        tensor->data = text + header_size + tensor->offset;
        file->count++;
    }
    return check_cover(file, data_size);
}

// ---- the file -----------------------------------------------------------------------------------

static int map_file(SafeFile *file, const char *path) {
    int64_t size = file_size(path);
    if (size < 0) return -1;
    if (size < PREFIX_BYTES)
        return error_int("%lld bytes are no safetensors file", (long long)size);
    int handle = open(path, O_RDONLY | O_CLOEXEC);
    if (handle < 0) return error_int("cannot be opened");
    file->size = (size_t)size;
    // Private and writable: whoever writes to a borrowed tensor changes a copy of the page.
    file->map = mmap(NULL, file->size, PROT_READ | PROT_WRITE, MAP_PRIVATE, handle, 0);
    close(handle);
    if (file->map != MAP_FAILED) return 0;
    file->map = NULL;
    return error_int("cannot be mapped into memory");
}

static int open_file(SafeFile *file, const char *path) {
    if (map_file(file, path) != 0) return -1;
    const unsigned char *bytes = file->map;
    uint64_t header_size = 0;
    for (int i = PREFIX_BYTES - 1; i >= 0; i--) header_size = header_size << 8 | bytes[i];
    if (header_size > MAX_HEADER)
        return error_int("header of %llu bytes; at most %llu are possible",
                         (unsigned long long)header_size, (unsigned long long)MAX_HEADER);
    if (header_size > file->size - PREFIX_BYTES)
        return error_int("header of %llu bytes, but the file has %zu (is it truncated?)",
                         (unsigned long long)header_size, file->size);
    return parse_header(file, (size_t)header_size);
}

SafeFile *safetensors_open(const char *path) {
    SafeFile *file = array_new(1, sizeof *file);
    if (!file) return NULL;
    file->holds = 1;
    file->path = string_copy(path);
    if (file->path && open_file(file, path) == 0) return file;
    error_context("%s", path);
    safetensors_close(file);
    return NULL;
}

SafeFile *safetensors_hold(SafeFile *file) {
    file->holds++;
    return file;
}

void safetensors_close(SafeFile *file) {
    if (!file || --file->holds > 0) return;
    if (file->map) munmap(file->map, file->size);
    json_decref(file->header);
    free(file->tensors);
    free(file->path);
    free(file);
}

const char *safetensors_path(const SafeFile *file) {
    return file->path;
}

size_t safetensors_count(const SafeFile *file) {
    return file->count;
}

const SafeTensor *safetensors_at(const SafeFile *file, size_t index) {
    return &file->tensors[index];
}

const SafeTensor *safetensors_find(const SafeFile *file, const char *name) {
    SafeTensor key = {.name = name};
    return bsearch(&key, file->tensors, file->count, sizeof key, by_name);
}

const char *safetensors_metadata(const SafeFile *file, const char *key) {
    return json_string_value(json_object_get(json_object_get(file->header, "__metadata__"), key));
}
