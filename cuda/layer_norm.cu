// SPDX-License-Identifier: MIT
// Layer normalization over the last side: a warp for each row. Gradients of weight and bias are
// sums down the rows.
#include "cuda/columns.cuh"
#include "cuda/kernels.h"
#include "cuda/operand.h"

constexpr int WARPS = BLOCK / WARP; // rows of a block

template <typename T>
static __global__ void layer_norm_kernel(const T *x, const float *weight, const float *bias,
                                         int64_t rows, int64_t width, float eps, T *y, float *mean,
                                         float *rstd) {
    int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    if (row >= rows) return; // the whole warp
    x += row * width;
    y += row * width;
    float sum = 0, squares = 0;
    for (int64_t c = threadIdx.x; c < width; c += WARP) sum += to_float(x[c]);
    float center = warp_sum(sum) / (float)width;
    for (int64_t c = threadIdx.x; c < width; c += WARP) {
        float d = to_float(x[c]) - center;
        squares += d * d;
    }
    float scale = 1 / sqrtf(warp_sum(squares) / (float)width + eps);
    for (int64_t c = threadIdx.x; c < width; c += WARP)
        store(y + c, (to_float(x[c]) - center) * scale * weight[c] + bias[c], false);
    if (threadIdx.x > 0) return;
    mean[row] = center;
    rstd[row] = scale;
}

int cuda_layer_norm_forward(const layer_norm_args *args) {
    int64_t width = tensor_side(args->x, -1), rows = tensor_numel(args->mean);
    if (rows == 0) return 0;
    DISPATCH(args->x->dtype, "layer_norm", T, {
        return LAUNCH((layer_norm_kernel<T>), (unsigned)((rows + WARPS - 1) / WARPS),
                      dim3(WARP, WARPS), values<T>(args->x), values<float>(args->weight),
                      values<float>(args->bias), rows, width, (float)args->eps, values<T>(args->y),
                      values<float>(args->mean), values<float>(args->rstd));
    })
}

template <typename T>
static __global__ void input_gradient_kernel(const T *x, const T *dy, const float *weight,
                                             const float *mean, const float *rstd, int64_t rows,
                                             int64_t width, T *dx, bool add) {
    int64_t row = (int64_t)blockIdx.x * WARPS + threadIdx.y;
    if (row >= rows) return; // the whole warp
    float center = mean[row], scale = rstd[row], sum = 0, dot = 0;
    x += row * width;
    dy += row * width;
    dx += row * width;
    for (int64_t c = threadIdx.x; c < width; c += WARP) {
        float dxhat = to_float(dy[c]) * weight[c];
        sum += dxhat;
        dot += dxhat * ((to_float(x[c]) - center) * scale);
    }
    sum = warp_sum(sum) / (float)width;
    dot = warp_sum(dot) / (float)width;
    for (int64_t c = threadIdx.x; c < width; c += WARP) {
        float xhat = (to_float(x[c]) - center) * scale;
        store(dx + c, scale * (to_float(dy[c]) * weight[c] - sum - xhat * dot), add);
    }
}

// Sums of dy and dy xhat down a chunk of rows; x is NULL when only the bias asks.
template <typename T>
static __global__ void affine_sums_kernel(const T *x, const T *dy, const float *mean,
                                          const float *rstd, Columns c, float *sums, float *dots) {
    Span span = columns_span(c, 1);
    float sum = 0, dot = 0;
    for (int64_t row = span.row; row < span.end; row += blockDim.y) {
        int64_t at = row * c.channels + span.channel;
        float d = to_float(dy[at]);
        sum += d;
        if (x) dot += d * ((to_float(x[at]) - mean[row]) * rstd[row]);
    }
    columns_store<1>(c, span, &sum, sums);
    columns_store<1>(c, span, &dot, dots);
}

static __global__ void affine_gradient_kernel(Columns c, const float *sums, float *to, bool add) {
    for (int64_t channel = first_item(); channel < c.channels; channel += item_step()) {
        double sum = 0;
        for (int64_t k = 0; k < c.chunks; k++) sum += (double)sums[k * c.channels + channel];
        store(to + channel, (float)sum, add);
    }
}

template <typename T> static int affine_gradients(const layer_norm_args *args) {
    const Tensor *weight = args->weight, *bias = args->bias;
    Columns c = columns_new(1, tensor_numel(args->mean), tensor_side(args->y, -1), 1);
    size_t count = (size_t)(c.chunks * c.channels), bytes = 2 * count * sizeof(float);
    float *sums = (float *)cuda_scratch("layer_norm", bytes), *dots = sums + count;
    if (!sums) return -1;
    const T *x = weight->needs_grad ? values<T>(args->x) : NULL;
    int result = LAUNCH((affine_sums_kernel<T>), columns_grid(c, 1), columns_block(c, 1), x,
                        gradient<T>(args->y), values<float>(args->mean), values<float>(args->rstd),
                        c, sums, dots);
    if (result == 0 && bias->needs_grad)
        result = LAUNCH(affine_gradient_kernel, blocks_for(c.channels, 32), 32, c, sums,
                        gradient<float>(bias), bias->has_grad);
    if (result == 0 && weight->needs_grad)
        result = LAUNCH(affine_gradient_kernel, blocks_for(c.channels, 32), 32, c, dots,
                        gradient<float>(weight), weight->has_grad);
    cuda_free(sums, bytes);
    return result;
}

int cuda_layer_norm_backward(const layer_norm_args *args) {
    int64_t width = tensor_side(args->y, -1), rows = tensor_numel(args->mean);
    if (rows == 0)
        return operand_no_gradient(args->weight) == 0 ? operand_no_gradient(args->bias) : -1;
    DISPATCH(args->y->dtype, "layer_norm", T, {
        if (args->x->needs_grad &&
            LAUNCH((input_gradient_kernel<T>), (unsigned)((rows + WARPS - 1) / WARPS),
                   dim3(WARP, WARPS), values<T>(args->x), gradient<T>(args->y),
                   values<float>(args->weight), values<float>(args->mean),
                   values<float>(args->rstd), rows, width, gradient<T>(args->x),
                   args->x->has_grad) != 0)
            return -1;
        bool affine = args->weight->needs_grad || args->bias->needs_grad;
        return affine ? affine_gradients<T>(args) : 0;
    })
}
