// SPDX-License-Identifier: MIT
// Convolution: a kernel of 1 x 1 is a product over pixels, the rest is the library's, on an
// upsampled copy of x where that is asked for. Beside BF16 images the parameters are F32.
//
// What has no plan takes the next of these ways:
//   forward          bias and residual in the pass; else added after it
//   weight gradient  F32 sums from BF16 images; else F32 copies of the images
//   any              the host, which says so once
#include "cuda/host_path.h"
#include "cuda/kernels.h"
#include "cuda/library.h"
#include "cuda/memory.h"
#include "cuda/operand.h"

static const char OP[] = "conv2d";
static const char NO_PLAN[] = "the library has no plan for a shape";

static Convolution problem_of(const conv2d_args *args, ConvolvePass pass) {
    Dtype type = args->y->dtype;
    return (Convolution){.pass = pass,
                         .type = type,
                         .result = pass == CONVOLVE_WEIGHT ? F32 : type,
                         .shape = conv_shape(args)};
}

static bool is_pointwise(const conv2d_args *args) {
    const Conv2dOptions *options = &args->options;
    return args->weight->shape[1] == 1 && args->weight->shape[2] == 1 && options->stride == 1 &&
           !options->upsample2x && options->pad_top == 0 && options->pad_left == 0 &&
           options->pad_bottom == 0 && options->pad_right == 0;
}

// The same as a linear layer over pixels. The tensors it names are copies of ours.
typedef struct {
    Tensor weight;
    linear_args args;
} Pixels;

static const linear_args *as_linear(Pixels *pixels, const conv2d_args *args) {
    pixels->weight = *args->weight;
    pixels->weight.ndim = 2;
    pixels->weight.shape[1] = args->weight->shape[3];
    pixels->args = (linear_args){.x = args->x,
                                 .weight = &pixels->weight,
                                 .bias = args->bias,
                                 .residual = args->residual,
                                 .y = args->y};
    return &pixels->args;
}

// ---- upsampling by repetition -------------------------------------------------------------------

// A tensor [N,H,W,Ci] over memory, standing for the repeated x.
static Tensor wide_tensor(const Convolution *p, Dtype type, void *data) {
    return (Tensor){.data = data,
                    .ndim = 4,
                    .shape = {p->shape.N, p->shape.H, p->shape.W, p->shape.Ci},
                    .dtype = type};
}

// x as the convolution sees it.
static int seen_input(Operand *seen, const conv2d_args *args, const Convolution *p) {
    if (!args->options.upsample2x) {
        *seen = (Operand){.data = args->x->data};
        return 0;
    }
    Dtype type = args->x->dtype;
    if (operand_memory(seen, OP, p->shape.N * p->shape.H * p->shape.W * p->shape.Ci, type) != 0)
        return -1;
    Tensor wide = wide_tensor(p, type, seen->data);
    return cuda_resize_nearest_forward(&(resize_nearest_args){.x = args->x, .y = &wide});
}

// ---- forward ------------------------------------------------------------------------------------

static int convolve_forward(const conv2d_args *args, Convolution p, void *x, void *weight) {
    const float *bias = args->bias == NONE ? NULL : args->bias->data;
    const void *residual = args->residual == NONE ? NULL : args->residual->data;
    void *y = args->y->data;
    p.bias = bias != NULL;
    p.residual = residual != NULL;
    int result = library_convolve(&p, x, weight, y, bias, residual);
    if (result != LIBRARY_DECLINES || (!bias && !residual)) return result;
    p.bias = p.residual = 0;
    result = library_convolve(&p, x, weight, y, NULL, NULL);
    if (result != 0) return result;
    return cuda_add_rows(y, args->y->dtype, p.shape.N * p.shape.Ho * p.shape.Wo, p.shape.Co, bias,
                         residual);
}

int cuda_conv2d_forward(const conv2d_args *args) {
    Pixels pixels;
    if (is_pointwise(args)) return cuda_linear_forward(as_linear(&pixels, args));
    Convolution p = problem_of(args, CONVOLVE_FORWARD);
    Operand x, weight = {0};
    int result = seen_input(&x, args, &p);
    if (result == 0) result = operand_values(&weight, OP, args->weight, args->y->dtype);
    if (result == 0) result = convolve_forward(args, p, x.data, weight.data);
    operand_done(&x);
    operand_done(&weight);
    return result == LIBRARY_DECLINES ? cuda_host_forward(OP_conv2d, args, NO_PLAN) : result;
}

// ---- backward -----------------------------------------------------------------------------------

// One gradient by the host; bias and residual are left out.
static int host_backward(const conv2d_args *args, bool input) {
    Tensor x = *args->x, weight = *args->weight;
    conv2d_args copy = *args;
    x.needs_grad = input;
    weight.needs_grad = !input;
    copy.x = &x;
    copy.weight = &weight;
    copy.bias = copy.residual = NONE;
    return cuda_host_backward(OP_conv2d, &copy, NO_PLAN);
}

// The gradient of the repeated x, and its sums over repetitions.
static int wide_backward(const conv2d_args *args, const Convolution *p, void *weight) {
    Dtype type = args->x->dtype;
    Operand gradient;
    int result =
        operand_memory(&gradient, OP, p->shape.N * p->shape.H * p->shape.W * p->shape.Ci, type);
    if (result == 0)
        result = library_convolve(p, gradient.data, weight, args->y->grad->data, NULL, NULL);
    if (result == 0) {
        Tensor wide = wide_tensor(p, type, NULL), dwide = wide_tensor(p, type, gradient.data);
        wide.grad = &dwide;
        result = cuda_resize_nearest_backward(&(resize_nearest_args){.x = args->x, .y = &wide});
    }
    operand_done(&gradient);
    return result;
}

static int input_backward(const conv2d_args *args) {
    Convolution p = problem_of(args, CONVOLVE_INPUT);
    Operand weight, gradient = {0};
    int result = operand_values(&weight, OP, args->weight, args->y->dtype);
    if (result == 0 && args->options.upsample2x) {
        result = wide_backward(args, &p, weight.data);
    } else if (result == 0) {
        result = operand_gradient(&gradient, OP, args->x);
        if (result == 0)
            result =
                library_convolve(&p, gradient.data, weight.data, args->y->grad->data, NULL, NULL);
        if (result == 0) result = operand_deliver(&gradient);
    }
    operand_done(&gradient);
    operand_done(&weight);
    return result == LIBRARY_DECLINES ? host_backward(args, true) : result;
}

// The same from F32 copies of both images.
static int copied_weight_gradient(const conv2d_args *args, Convolution p, const Tensor *x,
                                  void *dweight) {
    Operand image, dy = {0};
    p.type = F32;
    int result = operand_values(&image, OP, x, F32);
    if (result == 0) result = operand_values(&dy, OP, args->y->grad, F32);
    if (result == 0) result = library_convolve(&p, image.data, dweight, dy.data, NULL, NULL);
    operand_done(&image);
    operand_done(&dy);
    return result;
}

static int weight_backward(const conv2d_args *args) {
    Convolution p = problem_of(args, CONVOLVE_WEIGHT);
    Operand x, gradient = {0};
    int result = seen_input(&x, args, &p);
    if (result == 0) result = operand_gradient(&gradient, OP, args->weight);
    if (result == 0)
        result = library_convolve(&p, x.data, gradient.data, args->y->grad->data, NULL, NULL);
    if (result == LIBRARY_DECLINES && p.type != F32) {
        Tensor seen = wide_tensor(&p, args->x->dtype, x.data);
        result = copied_weight_gradient(args, p, &seen, gradient.data);
    }
    if (result == 0) result = operand_deliver(&gradient);
    operand_done(&gradient);
    operand_done(&x);
    return result == LIBRARY_DECLINES ? host_backward(args, false) : result;
}

int cuda_conv2d_backward(const conv2d_args *args) {
    Pixels pixels;
    if (is_pointwise(args)) return cuda_linear_backward(as_linear(&pixels, args));
    int result = args->x->needs_grad ? input_backward(args) : 0;
    if (result == 0 && args->weight->needs_grad) result = weight_backward(args);
    return result == 0 ? operand_rows_backward(args->y, args->bias, args->residual) : result;
}
