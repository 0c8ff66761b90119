// SPDX-License-Identifier: MIT
// Convolutions as cuDNN's graphs. Sums are in F32; bias and residual are added to them before the
// one rounding; an F32 weight gradient of BF16 images is the F32 sum passed through unchanged,
// since cuDNN has no convolution that writes it directly.
#include "cuda/cudnn_plans.h"

#include <stdio.h>

static const char *const pass_names[] = {"forward", "input", "weight"};

const char *cudnn_convolution_name(const Convolution *p, char name[CUDNN_NAME_SIZE]) {
    snprintf(name, CUDNN_NAME_SIZE,
             "convolve %s %s %lldx%lldx%lldx%lld to %lld, %lldx%lld, stride %lld, pad %lld %lld "
             "%lld %lld%s%s%s",
             pass_names[p->pass], dtype_name((Dtype)p->type), (long long)p->shape.N,
             (long long)p->shape.H, (long long)p->shape.W, (long long)p->shape.Ci,
             (long long)p->shape.Co, (long long)p->shape.kh, (long long)p->shape.kw,
             (long long)p->shape.stride, (long long)p->shape.top, (long long)p->shape.left,
             (long long)p->shape.bottom, (long long)p->shape.right, p->bias ? ", bias" : "",
             p->residual ? ", residual" : "", p->result != p->type ? ", f32" : "");
    return name;
}

bool cudnn_takes_convolution(const Convolution *p) {
    return p->type != F32 || (!p->bias && !p->residual);
}

static CudnnWindow window_of(const Convolution *p) {
    return (CudnnWindow){.stride = {p->shape.stride, p->shape.stride},
                         .before = {p->shape.top, p->shape.left},
                         .after = {p->shape.bottom, p->shape.right}};
}

// conv + bias + residual, the sums virtual until the last.
static void add_sums(CudnnGraph *graph, const Convolution *p, int sums, CudnnShape shape, int y) {
    if (p->bias) {
        int bias = cudnn_graph_tensor(graph, CUDNN_REAL, F32, cudnn_image(1, 1, 1, p->shape.Co));
        int to = p->residual ? cudnn_graph_tensor(graph, CUDNN_VIRTUAL, F32, shape) : y;
        cudnn_graph_binary(graph, CUDNN_POINTWISE_ADD, sums, bias, to);
        sums = to;
    }
    if (p->residual) {
        int residual = cudnn_graph_tensor(graph, CUDNN_REAL, (Dtype)p->result, shape);
        cudnn_graph_binary(graph, CUDNN_POINTWISE_ADD, sums, residual, y);
    }
}

CudnnGraph *cudnn_convolution_graph(const Convolution *p) {
    CudnnGraph *graph = cudnn_graph_begin("convolution");
    CudnnShape shapes[] = {cudnn_image(p->shape.N, p->shape.H, p->shape.W, p->shape.Ci),
                           cudnn_image(p->shape.Co, p->shape.kh, p->shape.kw, p->shape.Ci),
                           cudnn_image(p->shape.N, p->shape.Ho, p->shape.Wo, p->shape.Co)};
    // The operand that each pass writes: y, x, weight.
    int written = p->pass == CONVOLVE_FORWARD ? 2 : p->pass == CONVOLVE_INPUT ? 0 : 1;
    int operands[3], result;
    for (int i = 0; i < 3; i++)
        operands[i] = cudnn_graph_tensor(graph, CUDNN_REAL,
                                         (Dtype)(i == written ? p->result : p->type), shapes[i]);
    result = operands[written];
    bool converts = p->result != p->type, sums = p->bias || p->residual;
    if (converts || sums)
        operands[written] = cudnn_graph_tensor(graph, CUDNN_VIRTUAL, F32, shapes[written]);
    cudnn_graph_convolve(graph, (ConvolvePass)p->pass, window_of(p), operands[0], operands[1],
                         operands[2]);
    if (sums)
        add_sums(graph, p, operands[written], shapes[written], result);
    else if (converts)
        cudnn_graph_unary(graph, CUDNN_POINTWISE_IDENTITY, operands[written], result);
    return graph;
}
