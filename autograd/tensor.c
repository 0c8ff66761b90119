// SPDX-License-Identifier: MIT
// Tensors and their counted memory. See tensor.h.
#include "autograd/tensor.h"

#include "autograd/backend.h"
#include "base/error.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Storage {
    const Backend *backend; // NULL for borrowed memory
    void *data;
    size_t bytes;
    int refs;
    void (*release)(void *owner);
    void *owner;
};

Tensor tensor_none = {.name = "none"};

size_t dtype_size(Dtype dtype) {
    static const size_t sizes[DTYPE_COUNT] = {4, 8, 2, 4, 1};
    return sizes[dtype];
}

const char *dtype_name(Dtype dtype) {
    static const char *const names[DTYPE_COUNT] = {"f32", "f64", "bf16", "i32", "u8"};
    return names[dtype];
}

// ---- shapes -------------------------------------------------------------------------------------

int64_t tensor_numel(const Tensor *tensor) {
    int64_t count = 1;
    for (int i = 0; i < tensor->ndim; i++) count *= tensor->shape[i];
    return count;
}

size_t tensor_bytes(const Tensor *tensor) {
    return (size_t)tensor_numel(tensor) * dtype_size(tensor->dtype);
}

bool tensor_same_shape(const Tensor *a, const Tensor *b) {
    return a->ndim == b->ndim &&
           memcmp(a->shape, b->shape, (size_t)a->ndim * sizeof a->shape[0]) == 0;
}

bool tensor_is_float(const Tensor *tensor) {
    return tensor->dtype == F32 || tensor->dtype == F64 || tensor->dtype == BF16;
}

int64_t tensor_side(const Tensor *tensor, int dim) {
    int i = dim < 0 ? tensor->ndim + dim : dim;
    return i >= 0 && i < tensor->ndim ? tensor->shape[i] : 1;
}

Tensor *tensor_named(Tensor *tensor, const char *format, ...) {
    if (!tensor || tensor == NONE) return tensor;
    va_list args;
    va_start(args, format);
    vsnprintf(tensor->name, sizeof tensor->name, format, args);
    va_end(args);
    return tensor;
}

const char *tensor_text(const Tensor *tensor) {
    static _Thread_local char buffers[8][256];
    static _Thread_local unsigned turn;
    char *text = buffers[turn++ % 8];
    if (!tensor) return "nothing";
    if (tensor == NONE) return "none";
    int used = snprintf(text, 256, "%s%s[", tensor->name, tensor->name[0] ? " " : "");
    for (int i = 0; i < tensor->ndim; i++)
        used += snprintf(text + used, 256 - (size_t)used, "%s%lld", i ? "," : "",
                         (long long)tensor->shape[i]);
    snprintf(text + used, 256 - (size_t)used, "] %s", dtype_name(tensor->dtype));
    return text;
}

// ---- memory -------------------------------------------------------------------------------------

static int check_shape(Dtype dtype, int ndim, const int64_t *shape) {
    if (ndim < 0 || ndim > TENSOR_MAX_DIMS)
        return error_int("tensor: %d sides, at most %d are possible", ndim, TENSOR_MAX_DIMS);
    int64_t limit = INT64_MAX / (int64_t)dtype_size(dtype), count = 1;
    for (int i = 0; i < ndim; i++) {
        if (shape[i] < 0) return error_int("tensor: side %d is %lld", i, (long long)shape[i]);
        if (shape[i] > 0 && count > limit / shape[i])
            return error_int("tensor: the size overflows at side %d (%lld)", i,
                             (long long)shape[i]);
        count *= shape[i];
    }
    return 0;
}

Tensor *tensor_declare(Dtype dtype, int ndim, const int64_t *shape) {
    if (check_shape(dtype, ndim, shape) != 0) return NULL;
    Tensor *tensor = calloc(1, sizeof *tensor);
    if (!tensor) return error_null("tensor: out of memory");
    tensor->dtype = dtype;
    tensor->ndim = ndim;
    if (ndim > 0) memcpy(tensor->shape, shape, (size_t)ndim * sizeof shape[0]);
    return tensor;
}

static int attach_memory(Tensor *tensor) {
    const Backend *backend = backend_current();
    if (!backend) return error_int("tensor: no back end is in use");
    Storage *storage = calloc(1, sizeof *storage);
    size_t bytes = tensor_bytes(tensor);
    void *data = storage ? backend->alloc(bytes) : NULL;
    if (!data) {
        free(storage);
        return error_int("tensor: out of memory for %s (%.1f MB)", tensor_text(tensor),
                         (double)bytes / 1e6);
    }
    *storage = (Storage){.backend = backend, .data = data, .bytes = bytes, .refs = 1};
    tensor->storage = storage;
    tensor->data = data;
    return 0;
}

Tensor *tensor_new(Dtype dtype, int ndim, const int64_t *shape) {
    Tensor *tensor = tensor_declare(dtype, ndim, shape);
    if (!tensor) return NULL;
    if (attach_memory(tensor) != 0) {
        free(tensor);
        return NULL;
    }
    return tensor;
}

int tensor_materialize(Tensor *tensor) {
    if (tensor->storage) return 0;
    if (attach_memory(tensor) != 0) return -1;
    return tensor_fill(tensor, 0);
}

Tensor *tensor_zeros(Dtype dtype, int ndim, const int64_t *shape) {
    Tensor *tensor = tensor_new(dtype, ndim, shape);
    if (tensor && tensor_fill(tensor, 0) != 0) {
        tensor_free(tensor);
        return NULL;
    }
    return tensor;
}

Tensor *tensor_borrow(Dtype dtype, int ndim, const int64_t *shape, void *data,
                      void (*release)(void *owner), void *owner) {
    Tensor *tensor = tensor_declare(dtype, ndim, shape);
    Storage *storage = tensor ? calloc(1, sizeof *storage) : NULL;
    if (!storage) {
        free(tensor);
        return error_null("tensor: out of memory");
    }
    *storage = (Storage){.data = data, .refs = 1, .release = release, .owner = owner};
    tensor->storage = storage;
    tensor->data = data;
    return tensor;
}

Tensor *tensor_view(Tensor *tensor, int ndim, const int64_t *shape) {
    Tensor *view = tensor_declare(tensor->dtype, ndim, shape);
    if (!view) return NULL;
    view->layout = tensor->layout;
    view->storage = tensor->storage;
    view->data = tensor->data;
    if (view->storage) view->storage->refs++;
    return view;
}

bool tensor_is_shared(const Tensor *tensor) {
    return tensor->storage && tensor->storage->refs > 1;
}

void tensor_release(Tensor *tensor) {
    Storage *storage = tensor->storage;
    tensor->storage = NULL;
    tensor->data = NULL;
    if (!storage || --storage->refs > 0) return;
    if (storage->backend) storage->backend->free(storage->data, storage->bytes);
    if (storage->release) storage->release(storage->owner);
    free(storage);
}

int tensor_restore(Tensor *tensor) {
    return tensor->storage ? 0 : attach_memory(tensor);
}

void tensor_free(Tensor *tensor) {
    if (!tensor || tensor == NONE) return;
    tensor_free(tensor->grad);
    tensor_release(tensor);
    free(tensor);
}

int tensor_grad_alloc(Tensor *tensor) {
    if (tensor->grad) return 0;
    tensor->grad = tensor_new(tensor->dtype, tensor->ndim, tensor->shape);
    if (!tensor->grad) return -1;
    tensor_named(tensor->grad, "d%.90s", tensor->name);
    return 0;
}

void tensor_clear_grad(Tensor *tensor) {
    tensor->has_grad = false;
}

// ---- values -------------------------------------------------------------------------------------

// Borrowed memory is the host's, so the current back end can copy it.
static const Backend *backend_of(const Tensor *tensor) {
    return tensor->storage && tensor->storage->backend ? tensor->storage->backend
                                                       : backend_current();
}

static int has_memory(const Tensor *tensor) {
    if (tensor->data) return 0;
    return error_int("tensor: %s has no values (released or never loaded)", tensor_text(tensor));
}

int tensor_write(Tensor *tensor, const void *host) {
    if (has_memory(tensor) != 0) return -1;
    return backend_of(tensor)->write(tensor->data, host, tensor_bytes(tensor));
}

int tensor_read(const Tensor *tensor, void *host) {
    if (has_memory(tensor) != 0) return -1;
    return backend_of(tensor)->read(host, tensor->data, tensor_bytes(tensor));
}

float bf16_to_float(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

uint16_t float_to_bf16(float value) {
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    if ((bits & 0x7fffffffu) > 0x7f800000u) return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fffu + (bits >> 16 & 1)) >> 16);
}

static double element(const void *host, Dtype dtype, int64_t i) {
    switch (dtype) {
    case BF16:
        return bf16_to_float(((const uint16_t *)host)[i]);
    case F32:
        return ((const float *)host)[i];
    case F64:
        return ((const double *)host)[i];
    case I32:
        return ((const int32_t *)host)[i];
    case U8:
        return ((const uint8_t *)host)[i];
    default:
        return NAN;
    }
}

static void set_element(void *host, Dtype dtype, int64_t i, double value) {
    switch (dtype) {
    case BF16:
        ((uint16_t *)host)[i] = float_to_bf16((float)value);
        break;
    case F32:
        ((float *)host)[i] = (float)value;
        break;
    case F64:
        ((double *)host)[i] = value;
        break;
    case I32:
        ((int32_t *)host)[i] = (int32_t)value;
        break;
    case U8:
        ((uint8_t *)host)[i] = (uint8_t)value;
        break;
    default:
        break;
    }
}

static int convert_in(Tensor *tensor, const void *host, Dtype from) {
    if (tensor->dtype == from) return tensor_write(tensor, host);
    void *copy = malloc(tensor_bytes(tensor) + 1);
    if (!copy) return error_int("tensor: out of memory");
    int64_t count = tensor_numel(tensor);
    for (int64_t i = 0; i < count; i++) set_element(copy, tensor->dtype, i, element(host, from, i));
    int result = tensor_write(tensor, copy);
    free(copy);
    return result;
}

static int convert_out(const Tensor *tensor, void *host, Dtype to) {
    if (tensor->dtype == to) return tensor_read(tensor, host);
    void *copy = malloc(tensor_bytes(tensor) + 1);
    if (!copy) return error_int("tensor: out of memory");
    int result = tensor_read(tensor, copy);
    int64_t count = tensor_numel(tensor);
    for (int64_t i = 0; result == 0 && i < count; i++)
        set_element(host, to, i, element(copy, tensor->dtype, i));
    free(copy);
    return result;
}

int tensor_write_float(Tensor *tensor, const float *host) {
    return convert_in(tensor, host, F32);
}

int tensor_write_double(Tensor *tensor, const double *host) {
    return convert_in(tensor, host, F64);
}

int tensor_read_float(const Tensor *tensor, float *host) {
    return convert_out(tensor, host, F32);
}

int tensor_read_double(const Tensor *tensor, double *host) {
    return convert_out(tensor, host, F64);
}

double tensor_item(const Tensor *tensor) {
    double value = NAN;
    if (!tensor) return value;
    if (tensor_numel(tensor) != 1) {
        error_int("tensor: %s is not a single value", tensor_text(tensor));
        return value;
    }
    tensor_read_double(tensor, &value);
    return value;
}

int tensor_fill(Tensor *tensor, double value) {
    if (has_memory(tensor) != 0) return -1;
    return backend_of(tensor)->fill(tensor, value);
}

int tensor_copy(Tensor *to, const Tensor *from) {
    if (!tensor_same_shape(to, from) || to->dtype != from->dtype)
        return error_int("tensor: cannot copy %s to %s", tensor_text(from), tensor_text(to));
    if (has_memory(to) != 0 || has_memory(from) != 0) return -1;
    return backend_of(to)->copy(to->data, from->data, tensor_bytes(to));
}
