// SPDX-License-Identifier: MIT
// Sets of named parameters. See param.h.
#include "nn/param.h"

#include "autograd/backend.h"
#include "autograd/rng.h"
#include "base/error.h"
#include "base/memory.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

int params_begin(ParamSet *set, const char *title, Dtype dtype) {
    *set = (ParamSet){.title = string_copy(title), .dtype = dtype};
    return set->title ? 0 : -1;
}

void params_done(ParamSet *set) {
    for (size_t i = 0; i < set->count; i++) {
        free(set->items[i].name);
        tensor_free(set->items[i].tensor);
    }
    free(set->items);
    free(set->title);
    *set = (ParamSet){0};
}

// ---- declaring ----------------------------------------------------------------------------------

static Tensor *fail(ParamSet *set) {
    set->failed = true;
    return NULL;
}

// Takes a param whose name still belongs to the caller and whose tensor is not made yet.
static Tensor *add(ParamSet *set, Param param, int ndim, const int64_t *shape) {
    if (set->failed) return NULL;
    if (params_find(set, param.name)) {
        error_int("%s: parameter %s is declared twice", set->title, param.name);
        return fail(set);
    }
    if (array_grow((void *)&set->items, &set->room, set->count, sizeof *set->items) != 0)
        return fail(set);
    param.tensor = tensor_declare(set->dtype, ndim, shape);
    param.name = param.tensor ? string_copy(param.name) : NULL;
    if (!param.name) {
        tensor_free(param.tensor);
        return fail(set);
    }
    tensor_named(param.tensor, "%s", param.name);
    set->items[set->count++] = param;
    return param.tensor;
}

Tensor *params_conv(ParamSet *set, const char *name, int64_t out, int64_t in, int64_t kernel,
                    ParamInit init) {
    Param param = {.name = (char *)name,
                   .kind = PARAM_CONV,
                   .init = init,
                   .fan_in = in * kernel * kernel,
                   .file_shape = {out, in, kernel, kernel},
                   .file_ndim = 4};
    return add(set, param, 4, (int64_t[]){out, kernel, kernel, in});
}

Tensor *params_linear(ParamSet *set, const char *name, int64_t out, int64_t in, ParamInit init) {
    Param param = {.name = (char *)name,
                   .kind = PARAM_LINEAR,
                   .init = init,
                   .fan_in = in,
                   .file_shape = {out, in, 1, 1},
                   .file_ndim = 2};
    return add(set, param, 2, param.file_shape);
}

Tensor *params_vector(ParamSet *set, const char *name, int64_t size, ParamInit init,
                      int64_t fan_in) {
    Param param = {.name = (char *)name,
                   .kind = PARAM_VECTOR,
                   .init = init,
                   .fan_in = fan_in,
                   .file_shape = {size},
                   .file_ndim = 1};
    return add(set, param, 1, param.file_shape);
}

Param *params_last(ParamSet *set) {
    return set->count > 0 && !set->failed ? &set->items[set->count - 1] : NULL;
}

Param *params_find(const ParamSet *set, const char *name) {
    for (size_t i = 0; i < set->count; i++)
        if (strcmp(set->items[i].name, name) == 0) return &set->items[i];
    return NULL;
}

// ---- counting and choosing ----------------------------------------------------------------------

int64_t params_elements(const ParamSet *set) {
    int64_t total = 0;
    for (size_t i = 0; i < set->count; i++) total += tensor_numel(set->items[i].tensor);
    return total;
}

int64_t params_trained_elements(const ParamSet *set) {
    int64_t total = 0;
    for (size_t i = 0; i < set->count; i++)
        if (set->items[i].tensor->needs_grad) total += tensor_numel(set->items[i].tensor);
    return total;
}

static bool lies_below(const char *name, const char *prefix) {
    size_t length = strlen(prefix);
    if (length == 0) return true;
    return strncmp(name, prefix, length) == 0 && (name[length] == '\0' || name[length] == '.');
}

static size_t set_trained(ParamSet *set, const char *prefix, bool trained) {
    size_t changed = 0;
    for (size_t i = 0; i < set->count; i++) {
        if (!lies_below(set->items[i].name, prefix)) continue;
        set->items[i].tensor->needs_grad = trained;
        changed++;
    }
    return changed;
}

size_t params_train(ParamSet *set, const char *prefix) {
    return set_trained(set, prefix, true);
}

size_t params_freeze(ParamSet *set, const char *prefix) {
    return set_trained(set, prefix, false);
}

void params_clear_grad(ParamSet *set) {
    for (size_t i = 0; i < set->count; i++) tensor_clear_grad(set->items[i].tensor);
}

Tensor **params_trained(const ParamSet *set, size_t *count) {
    Tensor **list = array_new(set->count, sizeof *list);
    *count = 0;
    for (size_t i = 0; list && i < set->count; i++)
        if (set->items[i].tensor->needs_grad) list[(*count)++] = set->items[i].tensor;
    return list;
}

// ---- values -------------------------------------------------------------------------------------

int params_materialize(ParamSet *set) {
    for (size_t i = 0; i < set->count; i++)
        if (tensor_materialize(set->items[i].tensor) != 0)
            return error_context("%s: %s", set->title, set->items[i].name);
    return 0;
}

static int fill_random(const Param *param, uint64_t seed) {
    int64_t count = tensor_numel(param->tensor);
    float *values = array_new((size_t)count, sizeof *values);
    if (!values) return -1;
    Rng rng = rng_stream(seed, param->name, 0, 0);
    float bound = 1.0f / sqrtf((float)param->fan_in);
    for (int64_t i = 0; i < count; i++) {
        float unit = (float)(rng_u32(&rng) >> 8) * 0x1p-24f; // [0, 1)
        values[i] = bound * (2.0f * unit - 1.0f);
    }
    int result = tensor_write_float(param->tensor, values);
    free(values);
    return result;
}

static int init_one(const Param *param, uint64_t seed) {
    if (tensor_materialize(param->tensor) != 0) return -1;
    if (param->init == INIT_ONES) return tensor_fill(param->tensor, 1);
    if (param->init == INIT_ZEROS) return tensor_fill(param->tensor, 0);
    return fill_random(param, seed);
}

int params_init(ParamSet *set, uint64_t seed) {
    if (backend_current()->shapes_only) return params_materialize(set);
    for (size_t i = 0; i < set->count; i++)
        if (init_one(&set->items[i], seed) != 0)
            return error_context("%s: %s", set->title, set->items[i].name);
    return 0;
}

int64_t params_copy(ParamSet *to, const ParamSet *from) {
    int64_t copied = 0;
    for (size_t i = 0; i < to->count; i++) {
        const Param *source = params_find(from, to->items[i].name);
        if (!source) continue;
        Tensor *tensor = to->items[i].tensor;
        if (tensor_materialize(tensor) != 0 || tensor_copy(tensor, source->tensor) != 0)
            return error_context("%s from %s: %s", to->title, from->title, source->name);
        copied++;
    }
    return copied;
}
