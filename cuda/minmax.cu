// SPDX-License-Identifier: MIT
// Output normalisation by minimum and maximum, in f32. The gradient through both ends is exact and
// spread evenly over ties: see cpu/minmax.c, whose steps these are.
#include "cuda/kernels.h"
#include "cuda/totals.cuh"

enum { RANGE_MIN, RANGE_MAX, RANGE_MINS, RANGE_MAXS, RANGE_FIELDS };

struct Range {
    float low, high;
    int64_t lows, highs; // elements equal to each

    __device__ void include(const Range &other) {
        if (other.low < low) lows = 0;
        if (other.high > high) highs = 0;
        low = fminf(low, other.low);
        high = fmaxf(high, other.high);
        lows += other.low == low ? other.lows : 0;
        highs += other.high == high ? other.highs : 0;
    }
};

// parts[group][block]: the range of the block's share.
static __global__ void range_kernel(const float *x, int64_t count, Range *parts) {
    SHARED(Range, ranges, BLOCK);
    Share share = share_of_block(count);
    Range range = {INFINITY, -INFINITY, 0, 0};
    x += blockIdx.y * count;
    for (int64_t i = share.begin + threadIdx.x; i < share.end; i += blockDim.x)
        range.include(Range{x[i], x[i], 1, 1});
    ranges[threadIdx.x] = range;
    for (unsigned half = blockDim.x / 2; half > 0; half /= 2) {
        __syncthreads();
        if (threadIdx.x < half) ranges[threadIdx.x].include(ranges[threadIdx.x + half]);
    }
    if (threadIdx.x == 0) parts[blockIdx.y * gridDim.x + blockIdx.x] = ranges[0];
}

static __global__ void join_ranges_kernel(const Range *parts, int64_t blocks, float *fields) {
    Range range = parts[blockIdx.x * blocks];
    for (int64_t k = 1; k < blocks; k++) range.include(parts[blockIdx.x * blocks + k]);
    fields += blockIdx.x * RANGE_FIELDS;
    fields[RANGE_MIN] = range.low;
    fields[RANGE_MAX] = range.high;
    fields[RANGE_MINS] = (float)range.lows;
    fields[RANGE_MAXS] = (float)range.highs;
}

static __device__ double scale_of(MinmaxForm form, double low, double high) {
    double shift = fabs(low);
    if (form == MINMAX_TRAINING) return fabs(high) + shift + 1e-5;
    return fabs(high + shift) + fabs(low + shift);
}

static __global__ void normalise_kernel(const float *x, const float *range, MinmaxForm form,
                                        int64_t groups, int64_t count, float *y) {
    for (int64_t i = first_item(); i < groups * count; i += item_step()) {
        const float *fields = range + i / count * RANGE_FIELDS;
        double low = (double)fields[RANGE_MIN];
        double scale = scale_of(form, low, (double)fields[RANGE_MAX]);
        y[i] = scale > 0 ? (float)(255 / scale) * (x[i] + (float)fabs(low)) : 0.0f;
    }
}

static int check_type(const minmax_args *args) {
    if (args->x->dtype == F32) return 0;
    return error_int("minmax: %s is not f32, as this device needs", tensor_text(args->x));
}

int cuda_minmax_forward(const minmax_args *args) {
    int64_t groups = args->range->shape[0], count = tensor_numel(args->x) / groups;
    int64_t blocks = total_blocks(groups, count);
    size_t bytes = (size_t)(groups * blocks) * sizeof(Range);
    if (check_type(args) != 0) return -1;
    Range *parts = (Range *)cuda_scratch("minmax", bytes);
    if (!parts) return -1;
    const float *x = values<float>(args->x);
    float *range = values<float>(args->range);
    int result =
        LAUNCH(range_kernel, dim3((unsigned)blocks, (unsigned)groups), BLOCK, x, count, parts);
    if (result == 0) result = LAUNCH(join_ranges_kernel, (unsigned)groups, 1, parts, blocks, range);
    if (result == 0)
        result = LAUNCH(normalise_kernel, blocks_for(groups * count), BLOCK, x, range, args->form,
                        groups, count, values<float>(args->y));
    cuda_free(parts, bytes);
    return result;
}

// ---- backward -----------------------------------------------------------------------------------

struct SumOfSlopes {
    const float *dy;
    int64_t count;
    __device__ float operator()(int64_t group, int64_t i) const { return dy[group * count + i]; }
};

struct SumOfShifted { // dy (x + shift)
    const float *x, *dy, *range;
    int64_t count;
    __device__ float operator()(int64_t group, int64_t i) const {
        float shift = fabsf(range[group * RANGE_FIELDS + RANGE_MIN]);
        return dy[group * count + i] * (x[group * count + i] + shift);
    }
};

static __device__ double sign(double x) {
    return x > 0 ? 1 : x < 0 ? -1 : 0;
}

// ends[3 group]: 255 / scale, and what each minimum and each maximum receives.
static __global__ void ends_kernel(const float *range, MinmaxForm form, const double *slopes,
                                   const double *shifted, int64_t blocks, float *ends) {
    const float *fields = range + blockIdx.x * RANGE_FIELDS;
    double low = (double)fields[RANGE_MIN], high = (double)fields[RANGE_MAX], shift = fabs(low);
    double scale = scale_of(form, low, high), factor = scale > 0 ? 255 / scale : 0;
    double dshift = factor * total_of(slopes, blockIdx.x, blocks), dlow, dhigh;
    double dscale = scale > 0 ? -factor * total_of(shifted, blockIdx.x, blocks) / scale : 0;
    if (form == MINMAX_TRAINING) {
        dlow = sign(low) * (dshift + dscale);
        dhigh = sign(high) * dscale;
    } else { // the ends of x + shift lie at low + shift and high + shift
        double low_end = sign(low + shift), high_end = sign(high + shift);
        dlow = dscale * low_end + sign(low) * (dshift + dscale * (low_end + high_end));
        dhigh = dscale * high_end;
    }
    ends[3 * blockIdx.x] = (float)factor;
    ends[3 * blockIdx.x + 1] = (float)(dlow / (double)fields[RANGE_MINS]);
    ends[3 * blockIdx.x + 2] = (float)(dhigh / (double)fields[RANGE_MAXS]);
}

static __global__ void input_gradient_kernel(const float *x, const float *dy, const float *range,
                                             const float *ends, int64_t groups, int64_t count,
                                             float *dx, bool add) {
    for (int64_t i = first_item(); i < groups * count; i += item_step()) {
        const float *fields = range + i / count * RANGE_FIELDS, *end = ends + i / count * 3;
        float d = end[0] * dy[i];
        if (x[i] == fields[RANGE_MIN]) d += end[1];
        if (x[i] == fields[RANGE_MAX]) d += end[2];
        store(dx + i, d, add);
    }
}

static int backward(const minmax_args *args, int64_t groups, int64_t blocks, double *slopes,
                    double *shifted, float *ends) {
    int64_t count = tensor_numel(args->x) / groups;
    const float *x = values<float>(args->x), *dy = gradient<float>(args->y);
    const float *range = values<float>(args->range);
    dim3 grid((unsigned)blocks, (unsigned)groups);
    SumOfSlopes first = {dy, count};
    SumOfShifted second = {x, dy, range, count};
    if (LAUNCH((total_parts_kernel<SumOfSlopes>), grid, BLOCK, count, first, slopes) != 0 ||
        LAUNCH((total_parts_kernel<SumOfShifted>), grid, BLOCK, count, second, shifted) != 0 ||
        LAUNCH(ends_kernel, (unsigned)groups, 1, range, args->form, slopes, shifted, blocks,
               ends) != 0)
        return -1;
    return LAUNCH(input_gradient_kernel, blocks_for(groups * count), BLOCK, x, dy, range, ends,
                  groups, count, gradient<float>(args->x), args->x->has_grad);
}

int cuda_minmax_backward(const minmax_args *args) {
    if (!args->x->needs_grad) return 0;
    int64_t groups = args->range->shape[0];
    int64_t blocks = total_blocks(groups, tensor_numel(args->x) / groups);
    size_t count = (size_t)(groups * blocks);
    size_t bytes = 2 * count * sizeof(double) + 3 * (size_t)groups * sizeof(float);
    double *slopes = (double *)cuda_scratch("minmax", bytes);
    if (!slopes) return -1;
    int result =
        backward(args, groups, blocks, slopes, slopes + count, (float *)(slopes + 2 * count));
    cuda_free(slopes, bytes);
    return result;
}
