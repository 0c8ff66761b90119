// SPDX-License-Identifier: MIT
// Concat and slice: a tensor is `outer` rows of `run` elements, a run being all from the axis on.
#include "cpu/kernel.h"

#include <string.h>

// Elements from `axis` to the end.
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

// Copies `rows` runs of `length` elements between rows that lie further apart.
static void copy_rows(real *to, int64_t to_step, const real *from, int64_t from_step,
                      int64_t length, int64_t rows) {
#pragma omp parallel for schedule(static) if (rows * length > 1 << 16)
    for (int64_t row = 0; row < rows; row++)
        memcpy(to + row * to_step, from + row * from_step, (size_t)length * sizeof(real));
}

static void add_rows(real *to, int64_t to_step, const real *from, int64_t from_step, int64_t length,
                     int64_t rows) {
#pragma omp parallel for schedule(static) if (rows * length > 1 << 16)
    for (int64_t row = 0; row < rows; row++)
        for (int64_t i = 0; i < length; i++) to[row * to_step + i] += from[row * from_step + i];
}

int CPU(concat_forward)(const concat_args *args) {
    int64_t outer = outer_of(args->y, args->axis), run = run_of(args->y, args->axis);
    int64_t left = run_of(args->left, args->axis), right = run_of(args->right, args->axis);
    copy_rows(values(args->y), run, values(args->left), left, left, outer);
    copy_rows(values(args->y) + left, run, values(args->right), right, right, outer);
    return 0;
}

int CPU(concat_backward)(const concat_args *args) {
    int64_t outer = outer_of(args->y, args->axis), run = run_of(args->y, args->axis), start = 0;
    Tensor *const parts[2] = {args->left, args->right};
    for (int i = 0; i < 2; i++) {
        int64_t length = run_of(parts[i], args->axis);
        const real *dy = gradient(args->y) + start;
        start += length;
        if (!parts[i]->needs_grad) continue;
        if (parts[i]->has_grad)
            add_rows(gradient(parts[i]), length, dy, run, length, outer);
        else
            copy_rows(gradient(parts[i]), length, dy, run, length, outer);
    }
    return 0;
}

int CPU(slice_forward)(const slice_args *args) {
    int64_t outer = outer_of(args->x, args->axis), run = run_of(args->x, args->axis);
    int64_t length = run_of(args->y, args->axis);
    int64_t start = args->start * run_of(args->x, args->axis + 1);
    copy_rows(values(args->y), length, values(args->x) + start, run, length, outer);
    return 0;
}

int CPU(slice_backward)(const slice_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t outer = outer_of(args->x, args->axis), run = run_of(args->x, args->axis);
    int64_t length = run_of(args->y, args->axis);
    int64_t start = args->start * run_of(args->x, args->axis + 1);
    if (!args->x->has_grad) memset(gradient(args->x), 0, tensor_bytes(args->x));
    add_rows(gradient(args->x) + start, run, gradient(args->y), length, length, outer);
    return 0;
}
