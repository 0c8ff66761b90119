// SPDX-License-Identifier: MIT
// The safetensors file format, read strictly and written atomically.
//
// A file is an 8-byte little-endian header length, a JSON header (name -> dtype, shape,
// data_offsets; "__metadata__" -> strings), then the tensors' bytes, row-major. The data must be
// covered exactly: no overlap, no hole, nothing behind.
#ifndef NN_SAFETENSORS_H
#define NN_SAFETENSORS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum {
    SAFE_F64,
    SAFE_F32,
    SAFE_F16,
    SAFE_BF16,
    SAFE_I64,
    SAFE_I32,
    SAFE_U8,
    SAFE_TYPES
} SafeType;

enum { SAFE_MAX_DIMS = 8 };

typedef struct {
    const char *name;
    SafeType type;
    int ndim;
    int64_t shape[SAFE_MAX_DIMS];
    int64_t numel;
    size_t offset, bytes; // offset in the file's data
    const void *data;     // in the mapping; aligned to nothing in particular
} SafeTensor;

typedef struct SafeFile SafeFile;

size_t safe_type_size(SafeType type);
const char *safe_type_name(SafeType type); // "F32"

// Maps and checks a file. NULL and an error that names file and tensor when it is not a whole and
// sound one. Closed by safetensors_close; takes NULL.
SafeFile *safetensors_open(const char *path);
void safetensors_close(SafeFile *file);

// Keeps the mapping alive once more; each hold is undone by one close. For borrowed tensors.
SafeFile *safetensors_hold(SafeFile *file);

const char *safetensors_path(const SafeFile *file);
// Tensors in order of their names.
size_t safetensors_count(const SafeFile *file);
const SafeTensor *safetensors_at(const SafeFile *file, size_t index);
// NULL, without an error, when there is none of that name.
const SafeTensor *safetensors_find(const SafeFile *file, const char *name);
// A value of "__metadata__", NULL when there is none.
const char *safetensors_metadata(const SafeFile *file, const char *key);

// Converts all elements to float or double, numel of them. Integers beyond the type's precision are
// rounded.
void safetensors_read_float(const SafeTensor *tensor, float *values);
void safetensors_read_double(const SafeTensor *tensor, double *values);

// What to write: `values` in the type's own format, or NULL when `fill` provides them.
typedef struct {
    const char *name;
    SafeType type;
    int ndim;
    int64_t shape[SAFE_MAX_DIMS];
    const void *values;
} SafeEntry;

// Writes the bytes of entry `index` to `values`. 0, or -1 with an error.
typedef int (*SafeFill)(void *context, size_t index, void *values);

// Replaces or makes a file, atomically; entries keep their order, except that wider types come
// first so that all are aligned. `fill` (may be NULL) is called for entries without values. The
// metadata is {"format": "pt"}. An error for bad or doubled names or shapes, or a failed write.
int safetensors_write(const char *path, const SafeEntry *entries, size_t count, SafeFill fill,
                      void *context);

// Converts float to a file type (round to nearest even; integers are rounded and clamped).
void safetensors_from_float(SafeType type, const float *values, size_t count, void *bytes);

#endif
