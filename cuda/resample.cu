// SPDX-License-Identifier: MIT
// Resizing of [N,H,W,C]. Backward gathers: each input element collects from the outputs that read
// it, in increasing order.
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

struct Sides {
    int64_t N, in_height, in_width, height, width, channels;
};

static Sides sides_of(const Tensor *x, const Tensor *y) {
    return {x->shape[0], x->shape[1], x->shape[2], y->shape[1], y->shape[2], y->shape[3]};
}

// ---- nearest ------------------------------------------------------------------------------------

// The input index that output index `at` reads; product and ratio in float32 (method 1.3.2).
static __device__ __forceinline__ int64_t nearest(int64_t at, int64_t in, float ratio) {
    int64_t index = (int64_t)floorf((float)at * ratio);
    return index < in ? index : in - 1;
}

// The first output that reads input `index`, or a later one if none does.
static __device__ int64_t first_reader(int64_t index, int64_t in, int64_t out, float ratio) {
    int64_t at = index * out / in - 2;
    if (at < 0) at = 0;
    while (at > 0 && nearest(at, in, ratio) >= index) at--;
    while (at < out && nearest(at, in, ratio) < index) at++;
    return at;
}

template <typename T>
static __global__ void nearest_kernel(const T *x, T *y, Sides s, float rows, float columns) {
    int64_t count = s.N * s.height * s.width * s.channels;
    for (int64_t i = first_item(); i < count; i += item_step()) {
        int64_t c = i % s.channels, pixel = i / s.channels;
        int64_t column = nearest(pixel % s.width, s.in_width, columns);
        int64_t row = nearest(pixel / s.width % s.height, s.in_height, rows);
        int64_t n = pixel / s.width / s.height;
        y[i] = x[((n * s.in_height + row) * s.in_width + column) * s.channels + c];
    }
}

template <typename T>
static __global__ void nearest_backward_kernel(const T *dy, T *dx, Sides s, float rows,
                                               float columns, bool add) {
    int64_t count = s.N * s.in_height * s.in_width * s.channels;
    for (int64_t i = first_item(); i < count; i += item_step()) {
        int64_t c = i % s.channels, pixel = i / s.channels;
        int64_t column = pixel % s.in_width, row = pixel / s.in_width % s.in_height;
        const T *image = dy + pixel / s.in_width / s.in_height * s.height * s.width * s.channels;
        int64_t first = first_reader(column, s.in_width, s.width, columns);
        float sum = 0;
        for (int64_t v = first_reader(row, s.in_height, s.height, rows);
             v < s.height && nearest(v, s.in_height, rows) == row; v++)
            for (int64_t h = first; h < s.width && nearest(h, s.in_width, columns) == column; h++)
                sum += to_float(image[(v * s.width + h) * s.channels + c]);
        store(dx + i, sum, add);
    }
}

int cuda_resize_nearest_forward(const resize_nearest_args *args) {
    Sides s = sides_of(args->x, args->y);
    float rows = (float)s.in_height / (float)s.height, columns = (float)s.in_width / (float)s.width;
    DISPATCH(args->x->dtype, "resize_nearest", T, {
        return LAUNCH((nearest_kernel<T>), blocks_for(tensor_numel(args->y)), BLOCK,
                      values<T>(args->x), values<T>(args->y), s, rows, columns);
    })
}

int cuda_resize_nearest_backward(const resize_nearest_args *args) {
    if (!args->x->needs_grad) return 0;
    Sides s = sides_of(args->x, args->y);
    float rows = (float)s.in_height / (float)s.height, columns = (float)s.in_width / (float)s.width;
    DISPATCH(args->x->dtype, "resize_nearest", T, {
        return LAUNCH((nearest_backward_kernel<T>), blocks_for(tensor_numel(args->x)), BLOCK,
                      gradient<T>(args->y), gradient<T>(args->x), s, rows, columns,
                      args->x->has_grad);
    })
}

// ---- bilinear -----------------------------------------------------------------------------------

// What output index `at` reads: two neighbours and the share of the second.
struct Taps {
    int64_t first, second;
    float share;
};

static __device__ __forceinline__ Taps bilinear(int64_t at, int64_t in, int64_t out) {
    double position = ((double)at + 0.5) * (double)in / (double)out - 0.5;
    if (position < 0) position = 0;
    int64_t first = (int64_t)position;
    if (first > in - 1) first = in - 1;
    return {first, first + 1 < in ? first + 1 : first, (float)(position - (double)first)};
}

// The share that output `at` takes of input `index`.
static __device__ __forceinline__ float share_of(int64_t at, int64_t in, int64_t out,
                                                 int64_t index) {
    Taps taps = bilinear(at, in, out);
    return (taps.first == index ? 1 - taps.share : 0.0f) +
           (taps.second == index ? taps.share : 0.0f);
}

// Outputs that may read input `index`: [first, last).
static __device__ __forceinline__ void readers(int64_t index, int64_t in, int64_t out,
                                               int64_t *first, int64_t *last) {
    int64_t reach = out / in + 2;
    *first = index * out / in - reach;
    *last = (index + 1) * out / in + reach + 1;
    if (index == 0 || *first < 0) *first = 0;
    if (index == in - 1 || *last > out) *last = out;
}

template <typename T> static __global__ void bilinear_kernel(const T *x, T *y, Sides s) {
    int64_t count = s.N * s.height * s.width * s.channels;
    for (int64_t i = first_item(); i < count; i += item_step()) {
        int64_t c = i % s.channels, pixel = i / s.channels;
        Taps h = bilinear(pixel % s.width, s.in_width, s.width);
        Taps v = bilinear(pixel / s.width % s.height, s.in_height, s.height);
        int64_t line = s.in_width * s.channels, n = pixel / s.width / s.height;
        const T *image = x + n * s.in_height * line + c;
        const T *top = image + v.first * line, *bottom = image + v.second * line;
        int64_t left = h.first * s.channels, right = h.second * s.channels;
        float above = to_float(top[left]), below = to_float(bottom[left]);
        above += h.share * (to_float(top[right]) - above);
        below += h.share * (to_float(bottom[right]) - below);
        store(y + i, above + v.share * (below - above), false);
    }
}

template <typename T>
static __global__ void bilinear_backward_kernel(const T *dy, T *dx, Sides s, bool add) {
    int64_t count = s.N * s.in_height * s.in_width * s.channels;
    for (int64_t i = first_item(); i < count; i += item_step()) {
        int64_t c = i % s.channels, pixel = i / s.channels;
        int64_t column = pixel % s.in_width, row = pixel / s.in_width % s.in_height;
        const T *image = dy + pixel / s.in_width / s.in_height * s.height * s.width * s.channels;
        int64_t top, bottom, left, right;
        float sum = 0;
        readers(row, s.in_height, s.height, &top, &bottom);
        readers(column, s.in_width, s.width, &left, &right);
        for (int64_t v = top; v < bottom; v++) {
            float share = share_of(v, s.in_height, s.height, row);
            for (int64_t h = left; share != 0 && h < right; h++) {
                float part = share * share_of(h, s.in_width, s.width, column);
                if (part != 0) sum += part * to_float(image[(v * s.width + h) * s.channels + c]);
            }
        }
        store(dx + i, sum, add);
    }
}

int cuda_resize_bilinear_forward(const resize_bilinear_args *args) {
    DISPATCH(args->x->dtype, "resize_bilinear", T, {
        return LAUNCH((bilinear_kernel<T>), blocks_for(tensor_numel(args->y)), BLOCK,
                      values<T>(args->x), values<T>(args->y), sides_of(args->x, args->y));
    })
}

int cuda_resize_bilinear_backward(const resize_bilinear_args *args) {
    if (!args->x->needs_grad) return 0;
    DISPATCH(args->x->dtype, "resize_bilinear", T, {
        return LAUNCH((bilinear_backward_kernel<T>), blocks_for(tensor_numel(args->x)), BLOCK,
                      gradient<T>(args->y), gradient<T>(args->x), sides_of(args->x, args->y),
                      args->x->has_grad);
    })
}
