// SPDX-License-Identifier: MIT
// Group normalization with optional SiLU. Forward: sums of x and x^2, both from a value of the
// group itself, per channel and chunk of rows; mean and rstd per group; then one pass that writes
// y. Backward: sums of dz and dz xhat per channel, from which all gradients follow; then one pass
// that writes dx. z = weight xhat + bias is computed again. Source: Wu and He 2018, eq. 1 to 3.
#include "cuda/columns.cuh"
#include "cuda/functions.cuh"
#include "cuda/kernels.h"
#include "cuda/operand.h"

struct Groups {
    Columns columns;
    int64_t count, width; // groups, channels of one
    bool silu;
    float eps;
};

static Groups groups_of(const group_norm_args *args, int vector) {
    const Tensor *x = args->x;
    int64_t channels = tensor_side(x, -1), rows = 1;
    for (int i = 1; i < x->ndim - 1; i++) rows *= x->shape[i];
    return {columns_new(x->shape[0], rows, channels, vector), args->groups, channels / args->groups,
            args->silu, (float)args->eps};
}

// ---- forward ------------------------------------------------------------------------------------

// What sums of a group are taken from: its first element, so that a large mean costs no digits.
template <typename T>
static __device__ __forceinline__ float origin_of(const T *x, const Groups &g, int64_t n,
                                                  int64_t group) {
    return to_float(x[n * g.columns.rows * g.columns.channels + group * g.width]);
}

template <typename T, int V>
static __global__ void moments_kernel(const T *x, Groups g, float *sums, float *squares) {
    const Columns &c = g.columns;
    Span span = columns_span(c, V);
    float origin[V], sum[V], square[V];
    for (int v = 0; v < V; v++) {
        int64_t group = (span.channel + v) / g.width;
        origin[v] = group < g.count ? origin_of(x, g, span.n, group) : 0.0f;
        sum[v] = square[v] = 0;
    }
    for (int64_t row = span.row; row < span.end; row += blockDim.y) {
        const T *at = x + (span.n * c.rows + row) * c.channels + span.channel;
        Vec<T, V> in = *(const Vec<T, V> *)at;
        for (int v = 0; v < V; v++) {
            float d = to_float(in.at[v]) - origin[v];
            sum[v] += d;
            square[v] += d * d;
        }
    }
    columns_store<V>(c, span, sum, sums);
    columns_store<V>(c, span, square, squares);
}

// One block for each group of each image.
template <typename T>
static __global__ void statistics_kernel(const T *x, Groups g, const float *sums,
                                         const float *squares, float *mean, float *rstd) {
    int64_t n = blockIdx.x / g.count, group = blockIdx.x % g.count;
    double sum = 0, square = 0, count = (double)(g.columns.rows * g.width);
    for (int64_t i = threadIdx.x; i < g.columns.chunks * g.width; i += blockDim.x) {
        int64_t at = (n * g.columns.chunks + i / g.width) * g.columns.channels + group * g.width +
                     i % g.width;
        sum += (double)sums[at];
        square += (double)squares[at];
    }
    sum = block_sum(sum) / count;
    square = block_sum(square) / count - sum * sum;
    if (threadIdx.x > 0) return;
    mean[blockIdx.x] = (float)((double)origin_of(x, g, n, group) + sum);
    rstd[blockIdx.x] = (float)(1 / sqrt((square > 0 ? square : 0) + (double)g.eps));
}

template <typename T, int V>
static __global__ void normalise_kernel(const T *x, const float *weight, const float *bias,
                                        const float *mean, const float *rstd, Groups g, T *y) {
    const Columns &c = g.columns;
    Span span = columns_span(c, V);
    if (span.row >= span.end) return;
    float center[V], scale[V], shift[V];
    for (int v = 0; v < V; v++) {
        int64_t channel = span.channel + v, group = span.n * g.count + channel / g.width;
        center[v] = mean[group];
        scale[v] = rstd[group] * weight[channel];
        shift[v] = bias[channel];
    }
    for (int64_t row = span.row; row < span.end; row += blockDim.y) {
        int64_t at = (span.n * c.rows + row) * c.channels + span.channel;
        Vec<T, V> in = *(const Vec<T, V> *)(x + at), out;
        for (int v = 0; v < V; v++) {
            float z = (to_float(in.at[v]) - center[v]) * scale[v] + shift[v];
            out.at[v] = Stored<T>::of(g.silu ? z * sigmoid(z) : z);
        }
        *(Vec<T, V> *)(y + at) = out;
    }
}

template <typename T, int V> static int forward(const group_norm_args *args) {
    Groups g = groups_of(args, V);
    const Columns &c = g.columns;
    if (tensor_numel(args->x) == 0) return 0;
    size_t count = (size_t)(c.batch * c.chunks * c.channels), bytes = 2 * count * sizeof(float);
    float *sums = (float *)cuda_scratch("group_norm", bytes), *squares = sums + count;
    if (!sums) return -1;
    const T *x = values<T>(args->x);
    float *mean = values<float>(args->mean), *rstd = values<float>(args->rstd);
    dim3 grid = columns_grid(c, V), block = columns_block(c, V);
    int result = LAUNCH((moments_kernel<T, V>), grid, block, x, g, sums, squares);
    if (result == 0)
        result = LAUNCH((statistics_kernel<T>), (unsigned)(c.batch * g.count), BLOCK, x, g, sums,
                        squares, mean, rstd);
    if (result == 0)
        result = LAUNCH((normalise_kernel<T, V>), grid, block, x, values<float>(args->weight),
                        values<float>(args->bias), mean, rstd, g, values<T>(args->y));
    cuda_free(sums, bytes);
    return result;
}

int cuda_group_norm_forward(const group_norm_args *args) {
    DISPATCH(args->x->dtype, "group_norm", T, {
        if (columns_vector<T>(tensor_side(args->x, -1)) > 1)
            return forward<T, Pack<T>::WIDTH>(args);
        return forward<T, 1>(args);
    })
}

// ---- backward -----------------------------------------------------------------------------------

// What a thread knows of its channels; NULL pointers where backward does not read them.
struct Saved {
    const float *weight, *bias, *mean, *rstd;
};

template <int V> struct Channel {
    float weight[V], bias[V], mean[V], rstd[V];
    __device__ Channel(const Saved &saved, const Groups &g, const Span &span) {
        for (int v = 0; v < V; v++) {
            int64_t channel = span.channel + v, group = span.n * g.count + channel / g.width;
            bool inside = channel < g.columns.channels;
            weight[v] = inside && saved.weight ? saved.weight[channel] : 0.0f;
            bias[v] = inside && saved.bias ? saved.bias[channel] : 0.0f;
            mean[v] = inside && saved.mean ? saved.mean[group] : 0.0f;
            rstd[v] = inside && saved.rstd ? saved.rstd[group] : 0.0f;
        }
    }
    // dloss/dz of channel v.
    __device__ float slope(int v, float dy, float xhat, bool silu) const {
        return silu ? dy * silu_slope(weight[v] * xhat + bias[v]) : dy;
    }
};

template <typename T, int V>
static __global__ void slopes_kernel(const T *x, const T *dy, Saved saved, Groups g, float *sums,
                                     float *dots) {
    const Columns &c = g.columns;
    Span span = columns_span(c, V);
    Channel<V> channel(saved, g, span);
    float sum[V], dot[V];
    for (int v = 0; v < V; v++) sum[v] = dot[v] = 0;
    for (int64_t row = span.row; row < span.end; row += blockDim.y) {
        int64_t at = (span.n * c.rows + row) * c.channels + span.channel;
        Vec<T, V> slopes = *(const Vec<T, V> *)(dy + at), in = slopes;
        if (x) in = *(const Vec<T, V> *)(x + at);
        for (int v = 0; v < V; v++) {
            float xhat = x ? (to_float(in.at[v]) - channel.mean[v]) * channel.rstd[v] : 0.0f;
            float dz = channel.slope(v, to_float(slopes.at[v]), xhat, g.silu);
            sum[v] += dz;
            dot[v] += dz * xhat;
        }
    }
    columns_store<V>(c, span, sum, sums);
    columns_store<V>(c, span, dot, dots);
}

// Sums over the chunks of one image's channel, in double.
static __device__ __forceinline__ double over_chunks(const Columns &c, const float *sums, int64_t n,
                                                     int64_t channel) {
    double sum = 0;
    for (int64_t k = 0; k < c.chunks; k++)
        sum += (double)sums[(n * c.chunks + k) * c.channels + channel];
    return sum;
}

static __global__ void affine_gradient_kernel(Columns c, const float *sums, const float *dots,
                                              float *dweight, bool add_weight, float *dbias,
                                              bool add_bias) {
    for (int64_t channel = first_item(); channel < c.channels; channel += item_step()) {
        double sum = 0, dot = 0;
        for (int64_t n = 0; n < c.batch; n++) {
            sum += over_chunks(c, sums, n, channel);
            dot += over_chunks(c, dots, n, channel);
        }
        if (dweight) store(dweight + channel, (float)dot, add_weight);
        if (dbias) store(dbias + channel, (float)sum, add_bias);
    }
}

// Means of dxhat and dxhat xhat over a group: means[2 group], means[2 group + 1].
static __global__ void group_means_kernel(Groups g, const float *weight, const float *sums,
                                          const float *dots, float *means) {
    const Columns &c = g.columns;
    int64_t n = blockIdx.x / g.count, first = blockIdx.x % g.count * g.width;
    double sum = 0, dot = 0, count = (double)(c.rows * g.width);
    for (int64_t i = threadIdx.x; i < c.chunks * g.width; i += blockDim.x) {
        int64_t channel = first + i % g.width;
        int64_t at = (n * c.chunks + i / g.width) * c.channels + channel;
        sum += (double)(weight[channel] * sums[at]);
        dot += (double)(weight[channel] * dots[at]);
    }
    sum = block_sum(sum);
    dot = block_sum(dot);
    if (threadIdx.x > 0) return;
    means[2 * blockIdx.x] = (float)(sum / count);
    means[2 * blockIdx.x + 1] = (float)(dot / count);
}

template <typename T, int V>
static __global__ void input_gradient_kernel(const T *x, const T *dy, Saved saved, Groups g,
                                             const float *means, T *dx, bool add) {
    const Columns &c = g.columns;
    Span span = columns_span(c, V);
    if (span.row >= span.end) return;
    Channel<V> channel(saved, g, span);
    float mean_sum[V], mean_dot[V];
    for (int v = 0; v < V; v++) {
        int64_t group = span.n * g.count + (span.channel + v) / g.width;
        mean_sum[v] = means[2 * group];
        mean_dot[v] = means[2 * group + 1];
    }
    for (int64_t row = span.row; row < span.end; row += blockDim.y) {
        int64_t at = (span.n * c.rows + row) * c.channels + span.channel;
        Vec<T, V> in = *(const Vec<T, V> *)(x + at), slopes = *(const Vec<T, V> *)(dy + at), out;
        if (add) out = *(const Vec<T, V> *)(dx + at);
        for (int v = 0; v < V; v++) {
            float xhat = (to_float(in.at[v]) - channel.mean[v]) * channel.rstd[v];
            float dz = channel.slope(v, to_float(slopes.at[v]), xhat, g.silu);
            float d = dz * channel.weight[v] - mean_sum[v] - xhat * mean_dot[v];
            store(&out.at[v], channel.rstd[v] * d, add);
        }
        *(Vec<T, V> *)(dx + at) = out;
    }
}

template <typename T, int V>
static int gradients(const group_norm_args *args, const Groups &g, float *sums, float *dots,
                     float *means) {
    const Columns &c = g.columns;
    const Tensor *weight = args->weight, *bias = args->bias;
    Saved saved = {values<float>(weight), values<float>(bias), values<float>(args->mean),
                   values<float>(args->rstd)};
    const T *x = values<T>(args->x), *dy = gradient<T>(args->y);
    dim3 grid = columns_grid(c, V), block = columns_block(c, V);
    if (LAUNCH((slopes_kernel<T, V>), grid, block, x, dy, saved, g, sums, dots) != 0) return -1;
    float *dweight = weight->needs_grad ? gradient<float>(weight) : NULL;
    float *dbias = bias->needs_grad ? gradient<float>(bias) : NULL;
    if ((dweight || dbias) &&
        LAUNCH(affine_gradient_kernel, blocks_for(c.channels, 32), 32, c, sums, dots, dweight,
               weight->has_grad, dbias, bias->has_grad) != 0)
        return -1;
    if (!args->x->needs_grad) return 0;
    if (LAUNCH(group_means_kernel, (unsigned)(c.batch * g.count), BLOCK, g, saved.weight, sums,
               dots, means) != 0)
        return -1;
    return LAUNCH((input_gradient_kernel<T, V>), grid, block, x, dy, saved, g, means,
                  gradient<T>(args->x), args->x->has_grad);
}

template <typename T, int V> static int backward(const group_norm_args *args) {
    Groups g = groups_of(args, V);
    const Columns &c = g.columns;
    size_t count = (size_t)(c.batch * c.chunks * c.channels);
    size_t bytes = (2 * count + 2 * (size_t)(c.batch * g.count)) * sizeof(float);
    float *sums = (float *)cuda_scratch("group_norm", bytes);
    if (!sums) return -1;
    int result = gradients<T, V>(args, g, sums, sums + count, sums + 2 * count);
    cuda_free(sums, bytes);
    return result;
}

int cuda_group_norm_backward(const group_norm_args *args) {
    if (tensor_numel(args->y) == 0)
        return operand_no_gradient(args->weight) == 0 ? operand_no_gradient(args->bias) : -1;
    DISPATCH(args->y->dtype, "group_norm", T, {
        if (columns_vector<T>(tensor_side(args->y, -1)) > 1)
            return backward<T, Pack<T>::WIDTH>(args);
        return backward<T, 1>(args);
    })
}
