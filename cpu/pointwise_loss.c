// SPDX-License-Identifier: MIT
// Losses of a prediction against a target, element by element, averaged with optional weights.
#include "cpu/kernel.h"

#include <math.h>

static double loss_at(LossKind kind, double p, double t) {
    double e = p - t;
    switch (kind) {
    case LOSS_MSE:
        return e * e;
    case LOSS_L1:
        return fabs(e);
    case LOSS_HUBER:
        return fabs(e) < 1 ? 0.5 * e * e : fabs(e) - 0.5;
    case LOSS_BCE: // -t log(sigmoid(p)) - (1 - t) log(1 - sigmoid(p)), without overflow
        return fmax(p, 0) - p * t + log1p(exp(-fabs(p)));
    }
    return 0;
}

static double slope_at(LossKind kind, double p, double t) {
    double e = p - t;
    switch (kind) {
    case LOSS_MSE:
        return 2 * e;
    case LOSS_L1:
        return e > 0 ? 1 : e < 0 ? -1 : 0;
    case LOSS_HUBER:
        return fmin(fmax(e, -1), 1);
    case LOSS_BCE:
        return 1 / (1 + exp(-p)) - t;
    }
    return 0;
}

// Elements of the prediction that share one weight; 0 where there is none.
static int64_t elements_per_weight(const pointwise_loss_args *args) {
    if (args->weight == &tensor_none) return 0;
    return tensor_numel(args->prediction) / tensor_numel(args->weight);
}

static double weight_at(const pointwise_loss_args *args, int64_t per_weight, int64_t i) {
    return per_weight ? (double)values(args->weight)[i / per_weight] : 1;
}

int CPU(pointwise_loss_forward)(const pointwise_loss_args *args) {
    int64_t count = tensor_numel(args->prediction), per_weight = elements_per_weight(args);
    const real *prediction = values(args->prediction), *target = values(args->target);
    double sum = 0;
    for (int64_t i = 0; i < count; i++)
        sum += weight_at(args, per_weight, i) *
               loss_at(args->kind, (double)prediction[i], (double)target[i]);
    values(args->loss)[0] = (real)(sum / (double)count);
    return 0;
}

int CPU(pointwise_loss_backward)(const pointwise_loss_args *args) {
    if (!args->prediction->needs_grad) return 0;
    int64_t count = tensor_numel(args->prediction), per_weight = elements_per_weight(args);
    const real *prediction = values(args->prediction), *target = values(args->target);
    double scale = (double)gradient(args->loss)[0] / (double)count;
    real *dprediction = gradient(args->prediction);
    bool add = args->prediction->has_grad;
#pragma omp parallel for schedule(static) if (count > 1 << 14)
    for (int64_t i = 0; i < count; i++) {
        double slope = slope_at(args->kind, (double)prediction[i], (double)target[i]);
        accumulate(dprediction + i, (real)(scale * weight_at(args, per_weight, i) * slope), add);
    }
    return 0;
}
