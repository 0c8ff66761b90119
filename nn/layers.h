// SPDX-License-Identifier: MIT
// Layers: an op with its parameters. Declaring adds the parameters to a set, under a dotted name;
// a failure is kept by the set (ParamSet.failed). Forwards take NULL and return NULL.
#ifndef NN_LAYERS_H
#define NN_LAYERS_H

#include "autograd/ops.h"
#include "nn/param.h"

enum { LAYER_NAME_SIZE = 160 };

typedef struct {
    Tensor *weight; // [Co,k,k,Ci]
    Tensor *bias;   // [Co]
} Conv;

typedef struct {
    Tensor *weight; // [out,in]
    Tensor *bias;   // [out], or NONE
} Linear;

typedef struct {
    Tensor *weight, *bias; // [C]
} Norm;

typedef enum { START_UNIFORM, START_ZERO } LayerStart;

// Convolution in -> out with a square kernel and a bias. START_ZERO closes it: weight and bias 0.
void conv_declare(ParamSet *set, Conv *conv, const char *name, int64_t in, int64_t out,
                  int64_t kernel, LayerStart start);

// Linear in -> out.
void linear_declare(ParamSet *set, Linear *linear, const char *name, int64_t in, int64_t out,
                    bool bias);
// The same whose weight stands in files as a 1 x 1 convolution, [out,in,1,1].
void linear_declare_1x1(ParamSet *set, Linear *linear, const char *name, int64_t in, int64_t out);

void norm_declare(ParamSet *set, Norm *norm, const char *name, int64_t channels);

// x [N,H,W,Ci] -> [N,H,W,Co], stride 1, sizes kept (odd kernels); residual added, or NONE.
Tensor *conv_forward(const Conv *conv, Tensor *x, Tensor *residual);
// The same for an x and a residual that nobody reads any more (op_conv2d_over).
Tensor *conv_forward_over(const Conv *conv, Tensor *x, Tensor *residual);
// Halves the size: stride 2, one zero all around (rounds up), or only below and to the right
// (rounds down).
Tensor *conv_down(const Conv *conv, Tensor *x);
Tensor *conv_down_shifted(const Conv *conv, Tensor *x);
// Nearest resize of x to height x width, then the convolution.
Tensor *conv_up(const Conv *conv, Tensor *x, int64_t height, int64_t width);

Tensor *linear_forward(const Linear *linear, Tensor *x, Tensor *residual);

// x in the type that a network computes in: BF16 if `bf16`, else as it is; and back to F32 from
// BF16.
Tensor *layer_enter(Tensor *x, bool bf16);
Tensor *layer_leave(Tensor *x);

// "prefix.name" with a printf-formatted name, into out [LAYER_NAME_SIZE]; returns out.
const char *layer_name(char *out, const char *prefix, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#endif
