// SPDX-License-Identifier: MIT
// Sum and mean over some sides.
#include "cuda/kernels.h"
#include "cuda/walk.cuh"

// The sides of x: those that stay, those that are summed over, and all of them in order. Step 1
// counts elements of y.
static void split(const reduce_args *args, Walk *kept, Walk *summed, Walk *all) {
    int64_t step = tensor_numel(args->x), y_step = tensor_numel(args->y);
    *kept = *summed = *all = walk_new();
    for (int i = 0; i < args->x->ndim; i++) {
        int64_t side = args->x->shape[i];
        bool reduced = args->axes >> i & 1;
        step = side ? step / side : 0;
        if (!reduced) y_step = side ? y_step / side : 0;
        walk_add(reduced ? summed : kept, side, step, reduced ? 0 : y_step);
        walk_add(all, side, step, reduced ? 0 : y_step);
    }
}

int cuda_reduce_forward(const reduce_args *args) {
    Walk kept, summed, all;
    split(args, &kept, &summed, &all);
    double scale = args->mean ? 1 / (double)summed.count : 1;
    DISPATCH(args->x->dtype, "reduce", T, {
        const T *none = NULL;
        return gather_sum<T, T>("reduce", values<T>(args->x), none, kept, summed, scale,
                                values<T>(args->y), false);
    })
}

template <typename T>
static __global__ void spread_kernel(const T *dy, T *dx, Walk all, float scale, bool add) {
    for (int64_t i = first_item(); i < all.count; i += item_step()) {
        int64_t x_at, y_at;
        walk_offsets(all, i, &x_at, &y_at);
        store(dx + x_at, scale * to_float(dy[y_at]), add);
    }
}

int cuda_reduce_backward(const reduce_args *args) {
    if (!args->x->needs_grad) return 0;
    Walk kept, summed, all;
    split(args, &kept, &summed, &all);
    float scale = args->mean ? (float)(1 / (double)summed.count) : 1.0f;
    DISPATCH(args->x->dtype, "reduce", T, {
        return LAUNCH((spread_kernel<T>), blocks_for(all.count), BLOCK, gradient<T>(args->y),
                      gradient<T>(args->x), all, scale, args->x->has_grad);
    })
}
