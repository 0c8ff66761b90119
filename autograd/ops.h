// SPDX-License-Identifier: MIT
// Every op: its row, its arguments, its contract. The index of the framework.
//
// OP_LIST has one row per op: name, number of inputs, number of outputs. An op's args struct lists
// inputs, outputs, then attributes, in that order: the first inputs + outputs fields are Tensor
// pointers. From the list come the enum, the names, the back end's table of kernels and the
// dispatch. For each row there are: the front op_<name> (autograd/), `<name>_saves` beside it, one
// forward and one backward kernel per back end, and a case (tests/op_<file>.c).
//
// Fronts check shapes once and return a result owned by the tape (tape.h), or NULL with an error
// that begins with the op's name. Given NULL they return NULL, so that a forward pass reads as
// mathematics and is checked once. NONE leaves an optional input out. Only output 0 can carry a
// gradient; further outputs are what backward reads again.
//
// Float inputs of one op share one type, F32, F64 or, on devices that compute in it, BF16: then
// parameters (weight, bias) are F32, as are their gradients and the norms' statistics, and products
// are taken in BF16 and added in F32. minmax and the losses are in F32 or F64. Shapes: letters as
// in tensor.h; "..." stands for any leading dimensions.
#ifndef AUTOGRAD_OPS_H
#define AUTOGRAD_OPS_H

#include "autograd/tensor.h"

#ifdef __cplusplus
extern "C" {
#endif

// clang-format off
#define OP_LIST(OP)              \
    OP(unary,              1, 1) \
    OP(binary,             2, 1) \
    OP(geglu,              1, 1) \
    OP(cast,               1, 1) \
    OP(conv2d,             4, 1) \
    OP(linear,             4, 1) \
    OP(matmul,             2, 1) \
    OP(attention,          4, 2) \
    OP(group_norm,         3, 3) \
    OP(layer_norm,         3, 3) \
    OP(resize_nearest,     1, 1) \
    OP(concat,             2, 1) \
    OP(slice,              1, 1) \
    OP(softmax,            1, 1) \
    OP(minmax,             1, 2) \
    OP(reduce,             1, 1) \
    OP(pointwise_loss,     3, 1) \
    OP(coloring_loss,      4, 2) \
    OP(resize_bilinear,    1, 1) \
    OP(embedding,          2, 1)

// ---- elementwise ---------------------------------------------------------------------------------
typedef enum { UNARY_SILU, UNARY_GELU, UNARY_QUICK_GELU, UNARY_EXP, UNARY_SQUARE, UNARY_CLAMP, UNARY_AFFINE } UnaryKind;
typedef struct { Tensor *x;  Tensor *y;  UnaryKind kind; double a, b; } unary_args;
typedef enum { BINARY_ADD, BINARY_SUB, BINARY_MUL } BinaryKind;
typedef struct { Tensor *left, *right;  Tensor *y;  BinaryKind kind; } binary_args;
typedef struct { Tensor *x;  Tensor *y; } geglu_args;
typedef struct { Tensor *x;  Tensor *y; } softmax_args;
typedef struct { Tensor *x;  Tensor *y; } cast_args;
// ---- products ------------------------------------------------------------------------------------
typedef struct { int stride, pad_top, pad_left, pad_bottom, pad_right; bool upsample2x; } Conv2dOptions;
typedef struct { Tensor *x, *weight, *bias, *residual;  Tensor *y;  Conv2dOptions options; } conv2d_args;
typedef struct { Tensor *x, *weight, *bias, *residual;  Tensor *y; } linear_args;
typedef struct { Tensor *left, *right;  Tensor *y;  bool transpose_left, transpose_right; } matmul_args;
typedef struct { Tensor *q, *k, *v, *key_mask;  Tensor *y, *lse;  int heads; double scale; bool causal; } attention_args;
// ---- normalisation -------------------------------------------------------------------------------
typedef struct { Tensor *x, *weight, *bias;  Tensor *y, *mean, *rstd;  int groups; double eps; bool silu; } group_norm_args;
typedef struct { Tensor *x, *weight, *bias;  Tensor *y, *mean, *rstd;  double eps; } layer_norm_args;
typedef enum { MINMAX_TRAINING, MINMAX_INFERENCE } MinmaxForm;
typedef struct { Tensor *x;  Tensor *y, *range;  MinmaxForm form; bool per_image; } minmax_args;
// ---- shape and resampling ------------------------------------------------------------------------
typedef struct { Tensor *x;  Tensor *y; } resize_nearest_args;
typedef struct { Tensor *x;  Tensor *y; } resize_bilinear_args;
typedef struct { Tensor *left, *right;  Tensor *y;  int axis; } concat_args;
typedef struct { Tensor *x;  Tensor *y;  int axis; int64_t start; } slice_args;
typedef struct { Tensor *table, *ids;  Tensor *y; } embedding_args;
// ---- reductions and losses -----------------------------------------------------------------------
typedef struct { Tensor *x;  Tensor *y;  unsigned axes; bool mean; } reduce_args;
typedef enum { LOSS_MSE, LOSS_L1, LOSS_HUBER, LOSS_BCE } LossKind;
typedef struct { Tensor *prediction, *target, *weight;  Tensor *loss;  LossKind kind; } pointwise_loss_args;
typedef enum { COLORING_CODE, COLORING_PAPER, COLORING_PROMPTED } ColoringForm;
typedef struct {
    ColoringForm form;
    double variance, separation, mean; // weights of the three terms; 1, 300, 300 as published
    double separation_factor;          // the code's further factor on separation: 10 (30 in an older release)
    int cap;                           // largest number of counted ids, background included; 0 = no cap
} ColoringOptions;
typedef struct { Tensor *prediction, *labels, *no_background, *prompted;  Tensor *loss, *dprediction;  ColoringOptions options; } coloring_loss_args;
// clang-format on

#define OP(name, inputs, outputs) OP_##name,
typedef enum { OP_LIST(OP) OP_COUNT } OpKind;
#undef OP

// Which tensors backward reads: bit i is the i-th Tensor field of the args. Depends on which inputs
// need a gradient, so that a frozen layer keeps nothing that its input gradient does not read.
#define OP(name, inputs, outputs) unsigned name##_saves(const name##_args *args);
OP_LIST(OP)
#undef OP

const char *op_name(OpKind kind);
int op_inputs(OpKind kind);
int op_outputs(OpKind kind);
size_t op_args_size(OpKind kind);

// ---- elementwise --------------------------------------------------------------------------------

// y = f(x), any shape. Saves x (silu, gelu, quick_gelu, square, clamp) or y (exp).
Tensor *op_silu(Tensor *x);       // x / (1 + exp(-x))
Tensor *op_gelu(Tensor *x);       // x Phi(x), exact with erf
Tensor *op_quick_gelu(Tensor *x); // x / (1 + exp(-1.702 x))
Tensor *op_exp(Tensor *x);
Tensor *op_square(Tensor *x);
// min(max(x, low), high); the gradient passes where low <= x <= high. Fails unless low <= high.
Tensor *op_clamp(Tensor *x, double low, double high);
// scale * x + shift
Tensor *op_affine(Tensor *x, double scale, double shift);

// left (+, -, *) right with broadcasting: shapes are aligned at the end, a side of 1 or a missing
// one is repeated. Gradients are summed over what was repeated. Multiplication saves both factors
// as needed; the others save nothing. Fails when two sides differ and neither is 1.
Tensor *op_add(Tensor *left, Tensor *right);
Tensor *op_sub(Tensor *left, Tensor *right);
Tensor *op_mul(Tensor *left, Tensor *right);

// x [...,2C] -> y [...,C] = value * gelu(gate), value the first half, gate the second (exact erf).
// Saves x. Fails when the last side is odd. Source: Shazeer 2020.
Tensor *op_geglu(Tensor *x);

// The same numbers in another float type, rounded to nearest; x itself if it has that type. The
// gradient is converted back. Saves nothing. Fails for BF16 on a device that does not compute in
// it.
Tensor *op_cast(Tensor *x, Dtype dtype);

// Softmax over the last side. Saves y.
Tensor *op_softmax(Tensor *x);

// ---- products -----------------------------------------------------------------------------------

// Cross-correlation. x [N,H,W,Ci]; weight [Co,kh,kw,Ci]; bias [Co] or NONE; residual [N,Ho,Wo,Co]
// or NONE, added to the result -> y [N,Ho,Wo,Co], Ho = (H + pad_top + pad_bottom - kh) / stride + 1
// (floor). With upsample2x the convolution sees x repeated 2 x 2 (nearest), so H and W count
// double. Saves x if the weight needs a gradient, weight if x does. Fails on channel mismatch,
// stride < 1, negative padding, or an empty result.
Tensor *op_conv2d(Tensor *x, Tensor *weight, Tensor *bias, Tensor *residual, Conv2dOptions options);
// The same for an x and a residual that nobody reads any more: outside recording y takes the memory
// of one of them, where the device can do that.
Tensor *op_conv2d_over(Tensor *x, Tensor *weight, Tensor *bias, Tensor *residual,
                       Conv2dOptions options);

// x [...,K]; weight [M,K]; bias [M] or NONE; residual [...,M] or NONE, added -> y [...,M].
// Saves x if the weight needs a gradient, weight if x does.
Tensor *op_linear(Tensor *x, Tensor *weight, Tensor *bias, Tensor *residual);

// Batched product. left [B,M,K] ([B,K,M] if transposed), right [B,K,P] ([B,P,K] if transposed)
// -> [B,M,P]. Saves both factors as needed. Fails when batches or inner sides differ.
Tensor *op_matmul(Tensor *left, Tensor *right, bool transpose_left, bool transpose_right);

// Multi-head attention. q [N,T,D], k and v [N,S,D], heads contiguous slices of D; key_mask [N,S] of
// 0 and 1 or NONE: (1 - mask) * -10000 is added to the logits. causal: key s is seen by query t
// only if s <= t (S == T) -> y [N,T,D] = softmax(scale q k') v. O(T) memory: saves q, k, v, y,
// key_mask and lse [N,heads,T], the log-sum-exp of each row's logits after its largest mask term (0
// or -10000) is taken off, so that fully masked rows keep their digits. No gradient for key_mask.
// Fails unless heads divides D.
Tensor *op_attention(Tensor *q, Tensor *k, Tensor *v, Tensor *key_mask, int heads, double scale,
                     bool causal);

// ---- normalisation ------------------------------------------------------------------------------

// Group normalization over the channels of a group and all inner positions, then SiLU if asked.
// x [N,...,C]; weight, bias [C] -> y like x. Saves x, mean and rstd [N,groups]; weight, and bias
// with silu, if they are read again. eps is added to the biased variance, inside the root. Fails
// unless groups divides C and eps > 0. Source: Wu and He 2018, eq. 1 to 3.
Tensor *op_group_norm(Tensor *x, Tensor *weight, Tensor *bias, int groups, double eps, bool silu);
// The same for an x that nobody reads any more: outside recording y takes its memory.
Tensor *op_group_norm_over(Tensor *x, Tensor *weight, Tensor *bias, int groups, double eps,
                           bool silu);

// Layer normalization over the last side. x [...,C]; weight, bias [C]. Saves x, mean, rstd [rows].
Tensor *op_layer_norm(Tensor *x, Tensor *weight, Tensor *bias, double eps);

// Output normalisation of gen2seg to about 0..255, method 2.5. x [N,...]. With m = |min|, M = |max|
// over the whole tensor, or over each image if per_image:
//   training:  255 (x + m) / (M + m + 1e-5)
//   inference: s = x + m; 255 s / (|max s| + |min s|), without eps
// Saves x and range [groups,4] (min, max, number of elements equal to each; groups = N or 1). The
// gradient through min and max is exact and spread evenly over ties. A constant image in the
// inference form has no range: fails for it is left to the caller; the result is 0.
Tensor *op_minmax_normalise(Tensor *x, MinmaxForm form, bool per_image);

// ---- shape and resampling -----------------------------------------------------------------------

// The same elements under another shape; shares memory. One side may be -1 (the rest). Fails when
// the numbers of elements differ.
Tensor *op_reshape(Tensor *x, int ndim, const int64_t *shape);
#define DIMS(...)                                                            \
    (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) { \
        __VA_ARGS__                                                          \
    }

// x [N,H,W,C] -> [N,height,width,C], nearest: source row = floor(row * (float)(H / height)),
// product and ratio in float32, clamped (method 1.3.2). Saves nothing.
Tensor *op_resize_nearest(Tensor *x, int64_t height, int64_t width);

// The same, bilinear with half-pixel centres, no antialiasing, edges clamped. Saves nothing.
Tensor *op_resize_bilinear(Tensor *x, int64_t height, int64_t width);

// Joins two tensors along `axis` (negative counts from the end); other sides must agree.
Tensor *op_concat(Tensor *left, Tensor *right, int axis);

// x[..., start : start + length, ...] along `axis`; copies. Fails when it leaves the tensor.
Tensor *op_slice(Tensor *x, int axis, int64_t start, int64_t length);

// table [V,D], ids I32 [...] -> [...,D]. Saves ids. An id outside 0..V-1 is an error.
Tensor *op_embedding(Tensor *table, Tensor *ids);

// ---- reductions and losses ----------------------------------------------------------------------

// Sum or mean over the sides whose bit is set in `axes` (bit 0 = first side), which disappear; all
// sides (REDUCE_ALL) give shape [1]. Sums run in double. Saves nothing.
#define REDUCE_ALL 0x7fffffffu
Tensor *op_sum(Tensor *x, unsigned axes);
Tensor *op_mean(Tensor *x, unsigned axes);

// Mean over all elements of weight * loss(prediction, target) -> [1]. weight: NONE (1), the shape
// of prediction, or that shape with a last side of 1. target and weight take no gradient. Saves
// prediction, target, weight. Huber has delta 1; bce takes logits and targets in 0..1.
Tensor *op_mse_loss(Tensor *prediction, Tensor *target, Tensor *weight);
Tensor *op_l1_loss(Tensor *prediction, Tensor *target, Tensor *weight);
Tensor *op_huber_loss(Tensor *prediction, Tensor *target, Tensor *weight);
Tensor *op_bce_loss(Tensor *prediction, Tensor *target, Tensor *weight);

// Instance coloring loss -> [1], forward and gradient in one pass over pixels x means, O(pixels +
// instances) memory. prediction [N,H,W,3] (0..255 as published); labels I32 [N,H,W]: 0 background,
// 1..n instances in the order in which a cap counts them, -1 ignored (in no sum at all);
// no_background I32 [N]: 1 = the image's unlabelled pixels are not background: they have no term
// and no mean of their own (CODE, PAPER), or are in no sum at all (PROMPTED); NONE = 0 for all.
//   COLORING_CODE      method 2.3, COLORING_PAPER method 2.2 (background in every sum)
//   COLORING_PROMPTED  method 5.4: prompted I32 [N,K] holds the prompted ids, 0 = unused slot;
//                      everything else that is valid must be black; prompted ids that the image
//                      lacks are dropped; cap is not read. NONE in the other forms.
// Labels that do not occur do not count. Ids beyond the cap are still `other pixels` of the rest.
// Saves dprediction [N,H,W,3], the gradient of the loss, already complete; backward only scales it.
// Fails on shape mismatch; a label above the number of pixels or below -1 is an error.
Tensor *op_coloring_loss(Tensor *prediction, Tensor *labels, Tensor *no_background,
                         Tensor *prompted, ColoringOptions options);
// As published: weights 1, 300, 300; factor 10 (PAPER: 1); cap 1251 in the CODE form, else none.
ColoringOptions coloring_options_default(ColoringForm form);

#ifdef __cplusplus
}
#endif
#endif
