// SPDX-License-Identifier: MIT
// Sum and mean over some sides. Each result is one thread's, summed in order of memory, in double.
#include "cpu/kernel.h"

// The sides of x in two lists, those that stay and those that go, with their steps in elements.
typedef struct {
    int64_t side[TENSOR_MAX_DIMS], step[TENSOR_MAX_DIMS], count;
    int ndim;
} Sides;

static Sides sides_of(const reduce_args *args, bool reduced) {
    Sides sides = {.count = 1};
    int64_t step = tensor_numel(args->x);
    for (int i = 0; i < args->x->ndim; i++) {
        int64_t side = args->x->shape[i];
        step = side ? step / side : 0;
        if ((args->axes >> i & 1) != reduced) continue;
        sides.side[sides.ndim] = side;
        sides.step[sides.ndim++] = step;
        sides.count *= side;
    }
    return sides;
}

static int64_t start_of(const Sides *kept, int64_t index) {
    int64_t start = 0;
    for (int i = kept->ndim - 1; i >= 0; index /= kept->side[i], i--)
        start += index % kept->side[i] * kept->step[i];
    return start;
}

static double sum_over(const real *x, const Sides *sides, int dim) {
    if (dim == sides->ndim || dim == TENSOR_MAX_DIMS) return (double)*x;
    double sum = 0;
    for (int64_t i = 0; i < sides->side[dim]; i++)
        sum += sum_over(x + i * sides->step[dim], sides, dim + 1);
    return sum;
}

static void spread_over(real *dx, const Sides *sides, int dim, real value, bool add) {
    if (dim == sides->ndim || dim == TENSOR_MAX_DIMS) {
        accumulate(dx, value, add);
        return;
    }
    for (int64_t i = 0; i < sides->side[dim]; i++)
        spread_over(dx + i * sides->step[dim], sides, dim + 1, value, add);
}

int CPU(reduce_forward)(const reduce_args *args) {
    Sides kept = sides_of(args, false), reduced = sides_of(args, true);
    double scale = args->mean ? 1 / (double)reduced.count : 1;
#pragma omp parallel for schedule(static) if (kept.count > 1 && \
                                              kept.count * reduced.count > 1 << 14)
    for (int64_t i = 0; i < kept.count; i++) {
        const real *x = values(args->x) + start_of(&kept, i);
        values(args->y)[i] = (real)(scale * sum_over(x, &reduced, 0));
    }
    return 0;
}

int CPU(reduce_backward)(const reduce_args *args) {
    if (!args->x->needs_grad) return 0;
    Sides kept = sides_of(args, false), reduced = sides_of(args, true);
    double scale = args->mean ? 1 / (double)reduced.count : 1;
#pragma omp parallel for schedule(static) if (kept.count > 1 && \
                                              kept.count * reduced.count > 1 << 14)
    for (int64_t i = 0; i < kept.count; i++) {
        real value = (real)(scale * (double)gradient(args->y)[i]);
        spread_over(gradient(args->x) + start_of(&kept, i), &reduced, 0, value, args->x->has_grad);
    }
    return 0;
}
