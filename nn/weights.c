// SPDX-License-Identifier: MIT
// Loading and saving parameter sets. See weights.h.
#include "nn/weights.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>

enum { NAMED_AT_MOST = 4 };

// ---- names --------------------------------------------------------------------------------------

static const struct {
    const char *old, *now;
} old_names[] = {{".query.", ".to_q."},
                 {".key.", ".to_k."},
                 {".value.", ".to_v."},
                 {".proj_attn.", ".to_out.0."}};

// The present name of a tensor of an old VAE file; owned by the caller. NULL when it has none.
static char *present_name(const char *name) {
    for (size_t i = 0; i < sizeof old_names / sizeof old_names[0]; i++) {
        const char *found = strstr(name, old_names[i].old);
        if (!found || !strstr(name, "mid_block.attentions.")) continue;
        return text_format("%.*s%s%s", (int)(found - name), name, old_names[i].now,
                           found + strlen(old_names[i].old));
    }
    return NULL;
}

static Param *param_of(const ParamSet *set, const char *stored) {
    Param *param = params_find(set, stored);
    if (param) return param;
    char *name = present_name(stored);
    param = name ? params_find(set, name) : NULL;
    free(name);
    return param;
}

// Counting numbers that older releases of transformers stored with the weights.
static bool is_bookkeeping(const SafeTensor *tensor) {
    return tensor->type == SAFE_I64 && text_ends_with(tensor->name, ".position_ids");
}

static bool shape_fits(const Param *param, const SafeTensor *tensor) {
    int ndim = param->file_ndim;
    bool widened = param->accepts_1x1 && ndim == 2 && tensor->ndim == 4 && tensor->shape[2] == 1 &&
                   tensor->shape[3] == 1;
    if (tensor->ndim != ndim && !widened) return false;
    return memcmp(tensor->shape, param->file_shape, (size_t)ndim * sizeof tensor->shape[0]) == 0;
}

static bool type_fits(const SafeTensor *tensor) {
    return tensor->type == SAFE_F64 || tensor->type == SAFE_F32 || tensor->type == SAFE_F16 ||
           tensor->type == SAFE_BF16;
}

// ---- comparing as sets --------------------------------------------------------------------------

typedef struct {
    const SafeTensor **sources; // for each parameter its tensor, NULL while missing
    SafeFile **files;           // and the file that holds it
    size_t missing, unexpected, misshaped, mistyped;
    Text list; // the first few of them
    size_t listed;
} Comparison;

static void add_shape(Text *text, int ndim, const int64_t *shape) {
    text_add(text, "[");
    for (int i = 0; i < ndim; i++) text_add(text, "%s%lld", i ? "," : "", (long long)shape[i]);
    text_add(text, "]");
}

static bool may_list(Comparison *comparison) {
    return comparison->listed++ < NAMED_AT_MOST;
}

// `name` is the tensor's without the prefix.
static int compare_tensor(const ParamSet *set, SafeFile *file, const SafeTensor *tensor,
                          const char *name, Comparison *comparison) {
    Text *list = &comparison->list;
    const Param *param = param_of(set, name);
    if (!param && is_bookkeeping(tensor)) return 0;
    if (!param) {
        comparison->unexpected++;
        if (may_list(comparison)) text_add(list, "; unexpected %s", tensor->name);
        return 0;
    }
    const SafeTensor **source = &comparison->sources[param - set->items];
    if (*source)
        return error_int("parameter %s is stored twice, as %s and as %s", param->name,
                         (*source)->name, tensor->name);
    *source = tensor;
    comparison->files[param - set->items] = file;
    if (!shape_fits(param, tensor)) {
        comparison->misshaped++;
        if (!may_list(comparison)) return 0;
        text_add(list, "; %s is ", tensor->name);
        add_shape(list, tensor->ndim, tensor->shape);
        text_add(list, " where ");
        add_shape(list, param->file_ndim, param->file_shape);
        text_add(list, " is expected");
    } else if (!type_fits(tensor)) {
        comparison->mistyped++;
        if (may_list(comparison))
            text_add(list, "; %s has type %s", tensor->name, safe_type_name(tensor->type));
    }
    return 0;
}

static int compare(const ParamSet *set, SafeFile *const *files, size_t count, const char *prefix,
                   Comparison *comparison) {
    comparison->sources = array_new(set->count, sizeof *comparison->sources);
    comparison->files = array_new(set->count, sizeof(SafeFile *));
    if (!comparison->sources || !comparison->files) return -1;
    for (size_t f = 0; f < count; f++)
        for (size_t i = 0; i < safetensors_count(files[f]); i++) {
            const SafeTensor *tensor = safetensors_at(files[f], i);
            const char *name = tensor->name + strlen(prefix);
            if (text_starts_with(tensor->name, prefix) &&
                compare_tensor(set, files[f], tensor, name, comparison) != 0)
                return -1;
        }
    for (size_t i = 0; i < set->count; i++) {
        if (comparison->sources[i]) continue;
        comparison->missing++;
        if (may_list(comparison)) text_add(&comparison->list, "; missing %s", set->items[i].name);
    }
    if (comparison->listed == 0) return 0;
    return error_int("%zu missing, %zu unexpected, %zu of another shape, %zu of another type%s%s",
                     comparison->missing, comparison->unexpected, comparison->misshaped,
                     comparison->mistyped, text_string(&comparison->list),
                     comparison->listed > NAMED_AT_MOST ? "; ..." : "");
}

// ---- layouts ------------------------------------------------------------------------------------

static bool same_bytes(const Param *param) {
    const int64_t *shape = param->file_shape;
    return param->kind != PARAM_CONV || shape[1] == 1 || shape[2] * shape[3] == 1;
}

void transpose_each(int64_t count, int64_t rows, int64_t columns, const float *from, float *to) {
    for (int64_t n = 0; n < count; n++, from += rows * columns, to += rows * columns)
        for (int64_t r = 0; r < rows; r++)
            for (int64_t c = 0; c < columns; c++) to[c * rows + r] = from[r * columns + c];
}

// Moves channels behind the window ([Co,Ci,k] -> [Co,k,Ci]) or, with to_file, back.
static void move_channels(const Param *param, const float *from, float *to, bool to_file) {
    const int64_t *shape = param->file_shape, window = shape[2] * shape[3];
    transpose_each(shape[0], to_file ? window : shape[1], to_file ? shape[1] : window, from, to);
}

static void let_go(void *file) {
    safetensors_close(file);
}

static bool can_borrow(const Param *param, const SafeTensor *source) {
    return backend_current() && backend_current()->host_memory && !param->tensor->needs_grad &&
           same_bytes(param) && source->type == SAFE_F32 && param->tensor->dtype == F32 &&
           (uintptr_t)source->data % sizeof(float) == 0;
}

// The parameter's tensor struct stays the same: layers point to it.
static int borrow(const Param *param, const SafeTensor *source, SafeFile *file) {
    Tensor *tensor = param->tensor;
    Tensor *view = tensor_borrow(F32, tensor->ndim, tensor->shape, (void *)source->data, let_go,
                                 safetensors_hold(file));
    if (!view) {
        safetensors_close(file);
        return -1;
    }
    tensor_release(tensor);
    tensor->storage = view->storage;
    tensor->data = view->data;
    view->storage = NULL;
    view->data = NULL;
    tensor_free(view);
    return 0;
}

int weights_from_file_layout(const Param *param, const SafeTensor *stored, Tensor *tensor) {
    if (!shape_fits(param, stored) || !type_fits(stored))
        return error_int("tensor %s does not fit parameter %s, %s", stored->name, param->name,
                         tensor_text(tensor));
    size_t count = (size_t)stored->numel;
    float *values = array_new(count, sizeof *values), *moved = values;
    if (!values) return -1;
    safetensors_read_float(stored, values);
    if (!same_bytes(param)) {
        moved = array_new(count, sizeof *moved);
        if (moved) move_channels(param, values, moved, false);
    }
    int result = moved ? tensor_write_float(tensor, moved) : -1;
    if (moved != values) free(moved);
    free(values);
    return result;
}

static int read_param(const Param *param, const SafeTensor *source, SafeFile *file) {
    if (can_borrow(param, source)) return borrow(param, source, file);
    if (tensor_materialize(param->tensor) != 0) return -1;
    return weights_from_file_layout(param, source, param->tensor);
}

int weights_load_from(ParamSet *set, SafeFile *const *files, size_t count, const char *prefix) {
    Comparison comparison = {0};
    int result = compare(set, files, count, prefix, &comparison);
    for (size_t i = 0; result == 0 && i < set->count; i++)
        result = read_param(&set->items[i], comparison.sources[i], comparison.files[i]);
    text_free(&comparison.list);
    free(comparison.sources);
    free(comparison.files);
    if (result == 0) return 0;
    return error_context("%s from %s%s", set->title, count > 0 ? safetensors_path(files[0]) : "",
                         count > 1 ? " and other shards" : "");
}

int weights_load(ParamSet *set, const char *path) {
    SafeFile *file = safetensors_open(path);
    if (!file) return -1;
    int result = weights_load_from(set, &file, 1, "");
    safetensors_close(file);
    return result;
}

// ---- saving -------------------------------------------------------------------------------------

int weights_in_file_layout(const Param *param, const Tensor *tensor, float *values) {
    if (same_bytes(param)) return tensor_read_float(tensor, values);
    float *own = array_new((size_t)tensor_numel(tensor), sizeof *own);
    int result = own ? tensor_read_float(tensor, own) : -1;
    if (result == 0) move_channels(param, own, values, true);
    free(own);
    return result;
}

typedef struct {
    const ParamSet *set;
    SafeType type;
} Saving;

static int write_param(void *context, size_t index, void *bytes) {
    const Saving *saving = context;
    const Param *param = &saving->set->items[index];
    size_t count = (size_t)tensor_numel(param->tensor);
    float *values = array_new(count, sizeof *values);
    int result = values ? weights_in_file_layout(param, param->tensor, values) : -1;
    if (result == 0) safetensors_from_float(saving->type, values, count, bytes);
    free(values);
    return result;
}

int weights_save_as(const ParamSet *set, const char *path, SafeType type) {
    SafeEntry *entries = array_new(set->count, sizeof *entries);
    if (!entries) return -1;
    for (size_t i = 0; i < set->count; i++) {
        const Param *param = &set->items[i];
        entries[i] = (SafeEntry){.name = param->name, .type = type, .ndim = param->file_ndim};
        memcpy(entries[i].shape, param->file_shape, sizeof param->file_shape);
    }
    Saving saving = {set, type};
    int result = safetensors_write(path, entries, set->count, write_param, &saving);
    free(entries);
    return result == 0 ? 0 : error_context("%s", set->title);
}

int weights_save(const ParamSet *set, const char *path) {
    return weights_save_as(set, path, SAFE_F32);
}
