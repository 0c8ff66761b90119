// SPDX-License-Identifier: MIT
// Element-wise losses, averaged, in f32.
#include "cuda/kernels.h"
#include "cuda/totals.cuh"

struct Errors {
    LossKind kind;
    const float *prediction, *target, *weight; // weight NULL: 1
    int64_t per_weight;                        // elements that share one

    __device__ float weight_at(int64_t i) const { return weight ? weight[i / per_weight] : 1.0f; }
    __device__ float operator()(int64_t, int64_t i) const {
        float p = prediction[i], t = target[i], e = p - t, size = fabsf(e);
        switch (kind) {
        case LOSS_MSE:
            return weight_at(i) * e * e;
        case LOSS_L1:
            return weight_at(i) * size;
        case LOSS_HUBER:
            return weight_at(i) * (size < 1 ? 0.5f * e * e : size - 0.5f);
        case LOSS_BCE: // -t log(sigmoid(p)) - (1 - t) log(1 - sigmoid(p)), without overflow
            return weight_at(i) * (fmaxf(p, 0) - p * t + log1pf(expf(-fabsf(p))));
        }
        return 0;
    }
    __device__ float slope(int64_t i) const {
        float p = prediction[i], t = target[i], e = p - t;
        switch (kind) {
        case LOSS_MSE:
            return 2 * e;
        case LOSS_L1:
            return e > 0 ? 1.0f : e < 0 ? -1.0f : 0.0f;
        case LOSS_HUBER:
            return fminf(fmaxf(e, -1), 1);
        case LOSS_BCE:
            return 1 / (1 + expf(-p)) - t;
        }
        return 0;
    }
};

static int errors_of(const pointwise_loss_args *args, Errors *errors) {
    const Tensor *weight = args->weight, *prediction = args->prediction;
    bool weighted = weight != NONE;
    if (prediction->dtype != F32)
        return error_int("pointwise_loss: %s is not f32, as this device needs",
                         tensor_text(prediction));
    *errors = {args->kind, values<float>(prediction), values<float>(args->target),
               weighted ? values<float>(weight) : NULL,
               weighted ? tensor_numel(prediction) / tensor_numel(weight) : 1};
    return 0;
}

static __global__ void mean_kernel(const double *parts, int64_t blocks, int64_t count,
                                   float *loss) {
    *loss = (float)(total_of(parts, 0, blocks) / (double)count);
}

int cuda_pointwise_loss_forward(const pointwise_loss_args *args) {
    Errors errors = {};
    int64_t count = tensor_numel(args->prediction), blocks = total_blocks(1, count);
    if (errors_of(args, &errors) != 0) return -1;
    size_t bytes = (size_t)blocks * sizeof(double);
    double *parts = (double *)cuda_scratch("pointwise_loss", bytes);
    if (!parts) return -1;
    int result =
        LAUNCH((total_parts_kernel<Errors>), (unsigned)blocks, BLOCK, count, errors, parts);
    if (result == 0)
        result = LAUNCH(mean_kernel, 1, 1, parts, blocks, count, values<float>(args->loss));
    cuda_free(parts, bytes);
    return result;
}

static __global__ void slopes_kernel(Errors errors, const float *dloss, int64_t count, float *dx,
                                     bool add) {
    float scale = *dloss / (float)count;
    for (int64_t i = first_item(); i < count; i += item_step())
        store(dx + i, scale * errors.weight_at(i) * errors.slope(i), add);
}

int cuda_pointwise_loss_backward(const pointwise_loss_args *args) {
    Errors errors = {};
    const Tensor *prediction = args->prediction;
    if (!prediction->needs_grad) return 0;
    if (errors_of(args, &errors) != 0) return -1;
    int64_t count = tensor_numel(prediction);
    return LAUNCH(slopes_kernel, blocks_for(count), BLOCK, errors, gradient<float>(args->loss),
                  count, gradient<float>(prediction), prediction->has_grad);
}
