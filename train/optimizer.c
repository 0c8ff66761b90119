// SPDX-License-Identifier: MIT
// AdamW over a model's trained parameters. See optimizer.h.
#include "train/optimizer.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "base/memory.h"
#include "nn/safetensors.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int add(Optimizer *optimizer, const ParamSet *set, const Param *param) {
    int64_t i = optimizer->count++;
    Tensor *p = param->tensor;
    optimizer->params[i] = p;
    optimizer->names[i] = text_format("%s.%s", set->title, param->name);
    optimizer->m[i] = tensor_zeros(F32, p->ndim, p->shape);
    optimizer->v[i] = tensor_zeros(F32, p->ndim, p->shape);
    return optimizer->names[i] && optimizer->m[i] && optimizer->v[i] ? 0 : -1;
}

int optimizer_begin(Optimizer *optimizer, ParamSet *const *sets, int set_count) {
    *optimizer = (Optimizer){0};
    size_t room = 0;
    for (int s = 0; s < set_count; s++) room += sets[s]->count;
    optimizer->names = array_new(room, sizeof *optimizer->names);
    optimizer->params = array_new(room, sizeof *optimizer->params);
    optimizer->gradients = array_new(room, sizeof *optimizer->gradients);
    optimizer->m = array_new(room, sizeof *optimizer->m);
    optimizer->v = array_new(room, sizeof *optimizer->v);
    optimizer->rates = array_new(room, sizeof *optimizer->rates);
    optimizer->given = tensor_zeros(SHAPE(F64, STEP_GIVEN));
    optimizer->found = tensor_zeros(SHAPE(F64, STEP_FOUND));
    if (!optimizer->names || !optimizer->params || !optimizer->gradients || !optimizer->m ||
        !optimizer->v || !optimizer->rates || !optimizer->given || !optimizer->found)
        return -1;
    for (int s = 0; s < set_count; s++)
        for (size_t i = 0; i < sets[s]->count; i++)
            if (sets[s]->items[i].tensor->needs_grad &&
                add(optimizer, sets[s], &sets[s]->items[i]) != 0)
                return -1;
    return optimizer->count > 0 ? 0 : error_int("nothing is trained: all parameters are frozen");
}

void optimizer_done(Optimizer *optimizer) {
    for (int64_t i = 0; i < optimizer->count; i++) {
        free(optimizer->names[i]);
        tensor_free(optimizer->m[i]);
        tensor_free(optimizer->v[i]);
    }
    free(optimizer->names);
    free(optimizer->params);
    free(optimizer->gradients);
    free(optimizer->m);
    free(optimizer->v);
    free(optimizer->rates);
    tensor_free(optimizer->given);
    tensor_free(optimizer->found);
    *optimizer = (Optimizer){0};
}

static int gradient_square(Tensor *gradient, double *square) {
    return backend_current()->sum_of_squares(&gradient, 1, square);
}

static int name_not_finite(const Optimizer *optimizer) {
    for (int64_t i = 0; i < optimizer->count; i++) {
        double square = 0;
        if (gradient_square(optimizer->gradients[i], &square) != 0) return -1;
        if (!isfinite(square))
            return error_int("the gradient of %s is not finite", optimizer->names[i]);
    }
    return error_int("the gradient norm is not finite");
}

// The part of the branch that is copied from the U-Net may learn more slowly.
static double rate_of(const char *name, const TrainConfig *config) {
    bool branch = strncmp(name, "controlnet.", 11) == 0;
    bool fresh = strncmp(name, "controlnet.controlnet_", 22) == 0;
    return branch && !fresh ? config->prompt_copied_rate : 1;
}

int optimizer_give(Optimizer *optimizer, double lr) {
    StepGiven given = {.lr = lr, .number = (double)(optimizer->step + 1)};
    return tensor_write(optimizer->given, &given);
}

static int collect_gradients(Optimizer *optimizer) {
    for (int64_t i = 0; i < optimizer->count; i++) {
        if (!optimizer->params[i]->has_grad)
            return error_int("%s received no gradient", optimizer->names[i]);
        optimizer->gradients[i] = optimizer->params[i]->grad;
    }
    return 0;
}

int optimizer_reduce(Optimizer *optimizer) {
    if (collect_gradients(optimizer) != 0) return -1;
    return backend_current()->all_reduce(optimizer->gradients, optimizer->count, optimizer->found);
}

int optimizer_launch(Optimizer *optimizer, const TrainConfig *config) {
    const Backend *backend = backend_current();
    if (collect_gradients(optimizer) != 0) return -1;
    for (int64_t i = 0; i < optimizer->count; i++)
        optimizer->rates[i] = rate_of(optimizer->names[i], config);
    AdamwArgs args = {.count = optimizer->count,
                      .params = optimizer->params,
                      .m = optimizer->m,
                      .v = optimizer->v,
                      .rates = optimizer->rates,
                      .beta1 = config->beta1,
                      .beta2 = config->beta2,
                      .eps = config->eps,
                      .weight_decay = config->weight_decay,
                      .given = optimizer->given,
                      .found = optimizer->found};
    if (backend->clip(optimizer->gradients, optimizer->count, config->clip, optimizer->found) != 0)
        return -1;
    return backend->adamw(&args);
}

int optimizer_update(Optimizer *optimizer, const TrainConfig *config, double lr, double *norm) {
    StepFound found = {0};
    if (tensor_fill(optimizer->found, 0) != 0 || optimizer_give(optimizer, lr) != 0 ||
        optimizer_launch(optimizer, config) != 0 || tensor_read(optimizer->found, &found) != 0)
        return -1;
    *norm = sqrt(found.square);
    if (found.stop != 0) return name_not_finite(optimizer);
    optimizer->step++;
    return 0;
}

bool optimizer_keeps_gradients(const Backend *backend) {
    return backend->record_begin != NULL;
}

void optimizer_drop_gradients(Optimizer *optimizer) {
    if (optimizer_keeps_gradients(backend_current())) return;
    for (int64_t i = 0; i < optimizer->count; i++) {
        Tensor *param = optimizer->params[i];
        tensor_clear_grad(param);
        tensor_free(param->grad);
        param->grad = NULL;
    }
}

int optimizer_check_gradients(const Optimizer *optimizer,
                              bool (*may_be_zero)(const char *name, void *context), void *context,
                              Text *zeros, int64_t *count) {
    *count = 0;
    for (int64_t i = 0; i < optimizer->count; i++) {
        const char *name = optimizer->names[i];
        double square = 0;
        if (!optimizer->params[i]->has_grad)
            return error_int("%s received no gradient: it does not reach the loss", name);
        if (gradient_square(optimizer->params[i]->grad, &square) != 0) return -1;
        if (!isfinite(square)) return error_int("the gradient of %s is not finite", name);
        if (square > 0) continue;
        if (!may_be_zero || !may_be_zero(name, context))
            return error_int("the gradient of %s is exactly zero: it cannot learn", name);
        if (text_add(zeros, "%s\n", name) != 0) return -1;
        ++*count;
    }
    return 0;
}

// ---- saving -------------------------------------------------------------------------------------

static int fill_moment(void *context, size_t index, void *values) {
    const Optimizer *optimizer = context;
    const Tensor *moment = index % 2 == 0 ? optimizer->m[index / 2] : optimizer->v[index / 2];
    return tensor_read(moment, values);
}

// The entries of the file: m and v of every parameter in turn. Names are owned by the entries.
static SafeEntry *moment_entries(const Optimizer *optimizer) {
    SafeEntry *entries = array_new((size_t)optimizer->count * 2, sizeof *entries);
    for (int64_t i = 0; entries && i < 2 * optimizer->count; i++) {
        const Tensor *p = optimizer->params[i / 2];
        entries[i].name = text_format("%s.%s", i % 2 == 0 ? "m" : "v", optimizer->names[i / 2]);
        entries[i].type = SAFE_F32;
        entries[i].ndim = p->ndim;
        memcpy(entries[i].shape, p->shape, (size_t)p->ndim * sizeof p->shape[0]);
    }
    return entries;
}

static void entries_free(SafeEntry *entries, int64_t count) {
    for (int64_t i = 0; entries && i < count; i++) free((char *)entries[i].name);
    free(entries);
}

int optimizer_save(const Optimizer *optimizer, const char *path) {
    SafeEntry *entries = moment_entries(optimizer);
    int result = entries ? safetensors_write(path, entries, (size_t)optimizer->count * 2,
                                             fill_moment, (void *)optimizer)
                         : -1;
    entries_free(entries, 2 * optimizer->count);
    return result;
}

static int load_moment(const SafeFile *file, const SafeEntry *entry, Tensor *to) {
    const char *path = safetensors_path(file);
    const SafeTensor *found = safetensors_find(file, entry->name);
    if (!found) return error_int("%s: tensor %s is missing", path, entry->name);
    if (found->type != SAFE_F32 || found->ndim != entry->ndim ||
        memcmp(found->shape, entry->shape, (size_t)entry->ndim * sizeof entry->shape[0]) != 0)
        return error_int("%s: tensor %s has another shape or type than %s", path, entry->name,
                         tensor_text(to));
    return tensor_write(to, found->data);
}

int optimizer_load(Optimizer *optimizer, const char *path) {
    SafeFile *file = safetensors_open(path);
    if (!file) return -1;
    SafeEntry *entries = moment_entries(optimizer);
    int64_t count = 2 * optimizer->count;
    int result = entries ? 0 : -1;
    for (int64_t i = 0; result == 0 && i < count; i++)
        result =
            load_moment(file, &entries[i], i % 2 == 0 ? optimizer->m[i / 2] : optimizer->v[i / 2]);
    if (result == 0 && safetensors_count(file) != (size_t)count)
        result = error_int("%s: %zu tensors, expected %lld", path, safetensors_count(file),
                           (long long)count);
    entries_free(entries, count);
    safetensors_close(file);
    return result;
}
