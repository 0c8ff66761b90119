// SPDX-License-Identifier: MIT
// Filling, adding and converting whole tensors.
#include "cuda/kernels.h"
#include "cuda/map.cuh"
#include "cuda/rounded.h"

template <typename T> static __global__ void fill_kernel(T *to, int64_t count, T value) {
    for (int64_t i = first_item(); i < count; i += item_step()) to[i] = value;
}

template <typename T> static int fill(Tensor *tensor, T value) {
    int64_t count = tensor_numel(tensor);
    return LAUNCH((fill_kernel<T>), blocks_for(count), BLOCK, (T *)tensor->data, count, value);
}

static __global__ void fill_bf16_kernel(Bf16 *to, int64_t count, float value) {
    for (int64_t i = first_item(); i < count; i += item_step()) to[i] = Stored<Bf16>::of(value);
}

static int fill_bf16(Tensor *tensor, float value) {
    int64_t count = tensor_numel(tensor);
    return LAUNCH(fill_bf16_kernel, blocks_for(count), BLOCK, values<Bf16>(tensor), count, value);
}

static int fill_any(Tensor *tensor, double value) {
    if (tensor_bytes(tensor) == 0) return 0;
    if (value == 0) return device_set(tensor->data, 0, tensor_bytes(tensor));
    switch (tensor->dtype) {
    case F32:
        return fill(tensor, (float)value);
    case F64:
        return fill(tensor, value);
    case I32:
        return fill(tensor, (int32_t)value);
    case U8:
        return fill(tensor, (uint8_t)value);
    case BF16:
        return fill_bf16(tensor, (float)value);
    default:
        return error_int("fill: not possible in %s", dtype_name(tensor->dtype));
    }
}

int cuda_fill(Tensor *tensor, double value) {
    return fill_any(tensor, value) == 0 ? rounded_renew(tensor->data) : -1;
}

struct First {
    __device__ float operator()(const float *x) const { return x[0]; }
};

int cuda_add_to(Tensor *to, const Tensor *from) {
    int64_t count = tensor_numel(to);
    DISPATCH(to->dtype, "add_to", T,
             { return map1(values<T>(from), values<T>(to), count, true, First()); })
}

template <typename From, typename To>
static __global__ void cast_kernel(const From *x, To *y, int64_t count, bool add) {
    for (int64_t i = first_item(); i < count; i += item_step()) store(y + i, to_float(x[i]), add);
}

static int cast(const void *x, Dtype from, void *y, Dtype to, int64_t count, bool add) {
    DISPATCH(from, "cast", From, {DISPATCH(to, "cast", To, {
                 return LAUNCH((cast_kernel<From, To>), blocks_for(count), BLOCK, (const From *)x,
                               (To *)y, count, add);
             })})
}

int cuda_cast(const void *x, Dtype from, void *y, Dtype to, int64_t count) {
    return cast(x, from, y, to, count, false);
}

int cuda_cast_forward(const cast_args *args) {
    const Tensor *x = args->x, *y = args->y;
    return cast(x->data, x->dtype, y->data, y->dtype, tensor_numel(x), false);
}

int cuda_cast_backward(const cast_args *args) {
    const Tensor *x = args->x, *dy = args->y->grad;
    if (!x->needs_grad) return 0;
    return cast(dy->data, dy->dtype, x->grad->data, x->dtype, tensor_numel(x), x->has_grad);
}
