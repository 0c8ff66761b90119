// SPDX-License-Identifier: MIT
// Argument checks of op fronts. See front.h.
#include "autograd/front.h"

#include "autograd/backend.h"

Dtype front_precise(const Tensor *x) {
    return x->dtype == BF16 ? F32 : x->dtype;
}

// Weight and bias of a layer: inputs 1 and 2, F32 beside a BF16 x.
static bool is_parameter(OpKind kind, int input) {
    bool layer =
        kind == OP_conv2d || kind == OP_linear || kind == OP_group_norm || kind == OP_layer_norm;
    return layer && (input == 1 || input == 2);
}

static bool types_agree(OpKind kind, int input, const Tensor *first, const Tensor *tensor) {
    Dtype expected = is_parameter(kind, input) ? front_precise(first) : first->dtype;
    return tensor->dtype == expected;
}

// Inputs that may be left out.
static bool may_be_none(OpKind kind, int input) {
    switch (kind) {
    case OP_conv2d:
    case OP_linear:
    case OP_coloring_loss:
        return input >= 2; // bias, residual; no_background, prompted
    case OP_attention:
        return input == 3; // key_mask
    case OP_pointwise_loss:
        return input == 2; // weight
    default:
        return false;
    }
}

// Ids and labels, whose type the front checks.
static bool is_integer(OpKind kind, int input) {
    return (kind == OP_embedding || kind == OP_coloring_loss) && input >= 1;
}

static bool float_fits(OpKind kind, int input, const Tensor *first, const Tensor *tensor) {
    if (!tensor_is_float(tensor)) {
        error_null("%s: %s must be of a float type", op_name(kind), tensor_text(tensor));
        return false;
    }
    if (tensor->dtype == BF16 && !backend_current()->bf16) {
        error_null("%s: %s: this device does not compute in bf16", op_name(kind),
                   tensor_text(tensor));
        return false;
    }
    if (types_agree(kind, input, first, tensor)) return true;
    error_null("%s: inputs are of different types, %s and %s", op_name(kind), tensor_text(first),
               tensor_text(tensor));
    return false;
}

bool front_inputs(OpKind kind, const void *args) {
    Tensor *const *inputs = args;
    for (int i = 0; i < op_inputs(kind); i++) {
        const Tensor *tensor = inputs[i];
        if (!tensor) {
            error_null("%s: input %d failed without a message", op_name(kind), i);
            return false;
        }
        if (is_none(tensor)) {
            if (may_be_none(kind, i)) continue;
            error_null("%s: input %d is left out, but required", op_name(kind), i);
            return false;
        }
        if (!tensor->data) {
            error_null("%s: input %d (%s) has no values", op_name(kind), i, tensor_text(tensor));
            return false;
        }
        if (!is_integer(kind, i) && !float_fits(kind, i, inputs[0], tensor)) return false;
    }
    return true;
}

bool front_ndim(const char *op, const char *what, const Tensor *tensor, int ndim) {
    if (tensor->ndim == ndim) return true;
    error_null("%s: %s %s has %d sides, expected %d", op, what, tensor_text(tensor), tensor->ndim,
               ndim);
    return false;
}

bool front_last(const char *op, const char *what, const Tensor *tensor, int64_t expected) {
    if (tensor->ndim >= 1 && tensor_side(tensor, -1) == expected) return true;
    error_null("%s: the last side of %s %s must be %lld", op, what, tensor_text(tensor),
               (long long)expected);
    return false;
}

bool front_vector(const char *op, const char *what, const Tensor *tensor, int64_t expected) {
    if (tensor->ndim == 1 && tensor->shape[0] == expected) return true;
    error_null("%s: %s %s must have shape [%lld]", op, what, tensor_text(tensor),
               (long long)expected);
    return false;
}

bool front_dtype(const char *op, const char *what, const Tensor *tensor, Dtype dtype) {
    if (tensor->dtype == dtype) return true;
    error_null("%s: %s %s must be of type %s", op, what, tensor_text(tensor), dtype_name(dtype));
    return false;
}

bool front_shape(const char *op, const char *what, const Tensor *tensor, int ndim,
                 const int64_t *shape) {
    Tensor expected = {.ndim = ndim, .dtype = tensor->dtype};
    for (int i = 0; i < ndim; i++) expected.shape[i] = shape[i];
    if (tensor_same_shape(tensor, &expected)) return true;
    error_null("%s: %s is %s, expected %s", op, what, tensor_text(tensor), tensor_text(&expected));
    return false;
}
