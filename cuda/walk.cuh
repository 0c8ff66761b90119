// SPDX-License-Identifier: MIT
// Loops over some sides of tensors: a running number becomes an offset in each of two arrays.
#ifndef CUDA_WALK_CUH
#define CUDA_WALK_CUH

#include "cuda/kernel.cuh"

struct Walk {
    int ndim;
    int64_t count, side[TENSOR_MAX_DIMS], step[2][TENSOR_MAX_DIMS];
};

// Adds a side inside of those that are there; merges it with the one before where both arrays
// allow.
static inline void walk_add(Walk *walk, int64_t side, int64_t step0, int64_t step1) {
    walk->count = (walk->ndim ? walk->count : 1) * side;
    if (side == 1 && walk->ndim > 0) return;
    int last = walk->ndim - 1;
    if (last >= 0 && walk->step[0][last] == side * step0 && walk->step[1][last] == side * step1) {
        walk->side[last] *= side;
    } else {
        last = walk->ndim++;
        walk->side[last] = side;
    }
    walk->step[0][last] = step0;
    walk->step[1][last] = step1;
}

static inline Walk walk_new() {
    Walk walk = {};
    walk.count = 1;
    return walk;
}

static __device__ __forceinline__ void walk_offsets(const Walk &walk, int64_t number,
                                                    int64_t *offset0, int64_t *offset1) {
    *offset0 = *offset1 = 0;
    for (int i = walk.ndim - 1; i > 0; i--) {
        int64_t at = number % walk.side[i];
        number /= walk.side[i];
        *offset0 += at * walk.step[0][i];
        *offset1 += at * walk.step[1][i];
    }
    if (walk.ndim == 0) return;
    *offset0 += number * walk.step[0][0];
    *offset1 += number * walk.step[1][0];
}

// y[e] = scale * sum over `summed` of a[...] (* b[...], if b is given), or added to y; e runs over
// `kept`. Step 0 of both walks is of a, step 1 of b. Defined for T, To in float, Bf16.
template <typename T, typename To>
int gather_sum(const char *op, const T *a, const T *b, const Walk &kept, const Walk &summed,
               double scale, To *y, bool add);

#endif
