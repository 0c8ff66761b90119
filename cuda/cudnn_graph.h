// SPDX-License-Identifier: MIT
// cuDNN's graphs from C: tensors, the operations between them, and the plan that computes them.
//
// A graph is built, made into a plan for one device, and freed; the plan is kept (plan_cache.h). A
// tensor is a number, counted from 1; after a failure building goes on without effect and
// cudnn_graph_plans fails, so that a graph reads as mathematics and is checked once.
//
// A plan can be made for a device that is not present, from its description as JSON: whether a
// graph can run on it, and by which engine, is known without one.
#ifndef CUDA_CUDNN_GRAPH_H
#define CUDA_CUDNN_GRAPH_H

#include "cuda/library.h"

#include <cudnn.h>

typedef struct CudnnGraph CudnnGraph;
typedef struct CudnnPlan CudnnPlan;

// The device that plans are made for: exactly one of the two is set. `properties` comes from
// cudnn_describe and is freed with cudnnBackendDestroyDescriptor.
typedef struct {
    cudnnHandle_t handle;
    cudnnBackendDescriptor_t properties;
} CudnnDevice;

// The device that a JSON text describes (tests/fixtures/devices). NULL and an error if cuDNN
// refuses it.
cudnnBackendDescriptor_t cudnn_describe(const char *json);
// The description of device 0, to be freed. NULL and an error without a device.
char *cudnn_description(void);

// What a call of cuDNN returned: 0, or -1 and an error with cuDNN's own message.
int cudnn_check(cudnnStatus_t status, const char *what);

// ---- tensors ------------------------------------------------------------------------------------

// Four sides and their strides in elements, in the order that cuDNN names them: images N,C,H,W,
// attention N,heads,rows,width. The strides say how they lie.
typedef struct {
    int64_t side[4], stride[4];
} CudnnShape;

CudnnShape cudnn_image(int64_t N, int64_t H, int64_t W, int64_t C);  // N,C,H,W in NHWC memory
CudnnShape cudnn_packed(int64_t a, int64_t b, int64_t c, int64_t d); // row-major as given
CudnnShape cudnn_transposed(CudnnShape shape);                       // last two sides exchanged

// REAL tensors have memory, VIRTUAL ones exist inside the graph, VALUE ones are a float on the
// host.
typedef enum { CUDNN_REAL, CUDNN_VIRTUAL, CUDNN_VALUE } CudnnRole;

// ---- graphs -------------------------------------------------------------------------------------

// A new graph; `name` is for messages. NULL when out of memory.
CudnnGraph *cudnn_graph_begin(const char *name);
void cudnn_graph_free(CudnnGraph *graph); // takes NULL

// A new tensor of the graph, type F32 or BF16.
int cudnn_graph_tensor(CudnnGraph *graph, CudnnRole role, Dtype type, CudnnShape shape);

// The three passes of a convolution; x, weight and y name the operands or their gradients. Sums
// are in f32. Padding at the end of each side may differ from that at its beginning.
typedef struct {
    int64_t stride[2], before[2], after[2]; // rows, columns
} CudnnWindow;
void cudnn_graph_convolve(CudnnGraph *graph, ConvolvePass pass, CudnnWindow window, int x,
                          int weight, int y);

// y = mode(x) or, with b, mode(x, b); sides of 1 in b are repeated.
void cudnn_graph_unary(CudnnGraph *graph, cudnnPointwiseMode_t mode, int x, int y);
void cudnn_graph_binary(CudnnGraph *graph, cudnnPointwiseMode_t mode, int x, int b, int y);
// y = x summed, or its largest, over the sides that are 1 in y
void cudnn_graph_reduce(CudnnGraph *graph, cudnnReduceTensorOp_t mode, int x, int y);
void cudnn_graph_matmul(CudnnGraph *graph, int a, int b, int c);
void cudnn_graph_reshape(CudnnGraph *graph, int x, int y);
// o = softmax(scale q k') v and the log-sum-exp of each row.
void cudnn_graph_attention(CudnnGraph *graph, int q, int k, int v, int scale, int o, int lse);

// ---- plans --------------------------------------------------------------------------------------

// What a plan may do. Plans whose results depend on the order of atomic additions are never taken.
typedef enum {
    CUDNN_EXACT, // f32 products in f32: no tensor cores
    CUDNN_FAST   // tensor cores: tf32 for f32 operands
} CudnnPrecision;

// The plans from number `first` (0 = the first) on, at most `most`, among those that cuDNN proposes
// for the graph on the device and that can be made, in cuDNN's order: 0 and *count of them, at
// least one. LIBRARY_DECLINES and an error that says why when the graph is refused or there are
// fewer, which is so every time; -1 and an error with cuDNN's text when a plan could not be made
// for another reason, as memory: going on to the next would give other bits.
enum { CUDNN_PLANS = 4 }; // most
int cudnn_graph_plans(CudnnGraph *graph, const CudnnDevice *device, CudnnPrecision precision,
                      int first, int most, CudnnPlan **plans, int *count);
// The engine of the first configuration that cuDNN proposes and the rules allow, -1 if there is
// none: cuDNN has checked that it can run on the device, but nothing is made. 0, or -1 and an error
// if the graph is refused.
int cudnn_graph_engine(CudnnGraph *graph, const CudnnDevice *device, CudnnPrecision precision,
                       int64_t *engine);
void cudnn_plan_free(CudnnPlan *plan); // takes NULL
size_t cudnn_plan_workspace(const CudnnPlan *plan);

// Enqueues the plan on the handle's stream. pointers: one for each REAL tensor (device memory,
// 16-byte aligned) and each VALUE (a float of the host), in the order of their making.
int cudnn_plan_run(const CudnnPlan *plan, cudnnHandle_t handle, void *const *pointers,
                   void *workspace);

#endif
