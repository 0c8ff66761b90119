// SPDX-License-Identifier: MIT
// Concat and slice: a tensor is `outer` rows of `run` elements, a run being all from the axis on.
#include "cuda/kernel.cuh"
#include "cuda/kernels.h"

static int64_t run_of(const Tensor *tensor, int axis) {
    int64_t run = 1;
    for (int i = axis; i < tensor->ndim; i++) run *= tensor->shape[i];
    return run;
}

static int64_t outer_of(const Tensor *tensor, int axis) {
    int64_t outer = 1;
    for (int i = 0; i < axis; i++) outer *= tensor->shape[i];
    return outer;
}

// Rows of `length` elements that lie `step` apart.
template <typename T> struct Rows {
    T *data;
    int64_t step;
};

template <typename T>
static __global__ void rows_kernel(Rows<T> to, Rows<const T> from, int64_t length, int64_t rows,
                                   bool add) {
    for (int64_t i = first_item(); i < rows * length; i += item_step()) {
        int64_t row = i / length, at = i % length;
        T *y = to.data + row * to.step + at;
        T x = from.data[row * from.step + at];
        if (add)
            store(y, to_float(x), true);
        else
            *y = x;
    }
}

template <typename T>
static __global__ void wide_rows_kernel(Rows<Pack<T>> to, Rows<const Pack<T>> from, int64_t length,
                                        int64_t rows) {
    for (int64_t i = first_item(); i < rows * length; i += item_step()) {
        int64_t row = i / length, at = i % length;
        to.data[row * to.step + at] = from.data[row * from.step + at];
    }
}

// Copies or adds rows; whole 16-byte words where everything is a multiple of them.
template <typename T>
static int move_rows(T *to, int64_t to_step, const T *from, int64_t from_step, int64_t length,
                     int64_t rows, bool add) {
    const int64_t width = Pack<T>::WIDTH;
    uintptr_t ends = (uintptr_t)to | (uintptr_t)from;
    bool wide = !add && to_step % width == 0 && from_step % width == 0 && length % width == 0 &&
                ends % 16 == 0;
    if (wide) {
        Rows<Pack<T>> y = {(Pack<T> *)to, to_step / width};
        Rows<const Pack<T>> x = {(const Pack<T> *)from, from_step / width};
        return LAUNCH((wide_rows_kernel<T>), blocks_for(rows * length / width), BLOCK, y, x,
                      length / width, rows);
    }
    Rows<T> y = {to, to_step};
    Rows<const T> x = {from, from_step};
    return LAUNCH((rows_kernel<T>), blocks_for(rows * length), BLOCK, y, x, length, rows, add);
}

template <typename T> static int concat_forward(const concat_args *args) {
    int64_t outer = outer_of(args->y, args->axis), run = run_of(args->y, args->axis);
    int64_t left = run_of(args->left, args->axis), right = run_of(args->right, args->axis);
    T *y = values<T>(args->y);
    if (move_rows<T>(y, run, values<T>(args->left), left, left, outer, false) != 0) return -1;
    return move_rows<T>(y + left, run, values<T>(args->right), right, right, outer, false);
}

int cuda_concat_forward(const concat_args *args) {
    DISPATCH(args->y->dtype, "concat", T, { return concat_forward<T>(args); })
}

template <typename T> static int concat_backward(const concat_args *args) {
    int64_t outer = outer_of(args->y, args->axis), run = run_of(args->y, args->axis), start = 0;
    const Tensor *parts[2] = {args->left, args->right};
    for (int i = 0; i < 2; i++) {
        int64_t length = run_of(parts[i], args->axis);
        const T *dy = gradient<T>(args->y) + start;
        start += length;
        bool add = parts[i]->has_grad;
        if (parts[i]->needs_grad &&
            move_rows<T>(gradient<T>(parts[i]), length, dy, run, length, outer, add) != 0)
            return -1;
    }
    return 0;
}

int cuda_concat_backward(const concat_args *args) {
    DISPATCH(args->y->dtype, "concat", T, { return concat_backward<T>(args); })
}

int cuda_slice_forward(const slice_args *args) {
    int64_t outer = outer_of(args->x, args->axis), run = run_of(args->x, args->axis);
    int64_t length = run_of(args->y, args->axis);
    int64_t start = args->start * run_of(args->x, args->axis + 1);
    DISPATCH(args->x->dtype, "slice", T, {
        return move_rows<T>(values<T>(args->y), length, values<T>(args->x) + start, run, length,
                            outer, false);
    })
}

int cuda_slice_backward(const slice_args *args) {
    const Tensor *x = args->x;
    if (!x->needs_grad) return 0;
    int64_t outer = outer_of(x, args->axis), run = run_of(x, args->axis);
    int64_t length = run_of(args->y, args->axis);
    int64_t start = args->start * run_of(x, args->axis + 1);
    if (!x->has_grad && cuda_fill(x->grad, 0) != 0) return -1;
    DISPATCH(x->dtype, "slice", T, {
        return move_rows<T>(gradient<T>(x) + start, run, gradient<T>(args->y), length, length,
                            outer, x->has_grad);
    })
}
