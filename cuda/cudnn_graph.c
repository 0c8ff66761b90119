// SPDX-License-Identifier: MIT
// Graphs and plans of cuDNN's backend interface, which knows only descriptors with attributes. See
// cudnn_graph.h.
#include "cuda/cudnn_graph.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdlib.h>
#include <string.h>

typedef cudnnBackendDescriptor_t Descriptor;

enum { MAX_TENSORS = 40, MAX_OPERATIONS = 24, MAX_DESCRIPTORS = 96, MAX_PROPOSALS = 64 };
enum { ALIGNMENT = 16 }; // bytes; what cuDNN may assume of every pointer

struct CudnnGraph {
    const char *name;
    bool failed, refused; // refused: failed since cuDNN has nothing for it
    int tensor_count, operation_count, descriptor_count;
    Descriptor tensors[MAX_TENSORS + 1]; // by number, from 1
    CudnnRole roles[MAX_TENSORS + 1];
    Descriptor operations[MAX_OPERATIONS];
    Descriptor descriptors[MAX_DESCRIPTORS]; // all that were made, to be freed
};

struct CudnnPlan {
    Descriptor plan;
    int64_t workspace;
    int64_t ids[MAX_TENSORS]; // of the tensors that have memory, in the order of their making
    int64_t count;
};

int cudnn_check(cudnnStatus_t status, const char *what) {
    if (status == CUDNN_STATUS_SUCCESS) return 0;
    char text[512];
    cudnnGetLastErrorString(text, sizeof text);
    return error_int("cudnn: %s: %s%s%s", what, cudnnGetErrorString(status), *text ? ": " : "",
                     text);
}

// Whether the status says of the problem itself that cuDNN has nothing for it, today and on the
// next try. All others (no memory, a driver that fails) say nothing about the problem.
static bool is_refusal(cudnnStatus_t status) {
    int category = CUDNN_STATUS_CATEGORY((int)status);
    return category == CUDNN_STATUS_NOT_SUPPORTED || category == CUDNN_STATUS_BAD_PARAM ||
           status == CUDNN_STATUS_INTERNAL_ERROR_COMPILATION_FAILED;
}

// ---- descriptors --------------------------------------------------------------------------------

static void note(CudnnGraph *graph, cudnnStatus_t status) {
    if (cudnn_check(status, graph->name) == 0) return;
    graph->failed = true;
    graph->refused = is_refusal(status);
}

static Descriptor make(CudnnGraph *graph, cudnnBackendDescriptorType_t type) {
    Descriptor made = NULL;
    if (graph->failed) return NULL;
    if (graph->descriptor_count == MAX_DESCRIPTORS) {
        graph->failed = true;
        return error_null("cudnn: graph %s has more than %d descriptors", graph->name,
                          (int)MAX_DESCRIPTORS);
    }
    note(graph, cudnnBackendCreateDescriptor(type, &made));
    if (graph->failed) return NULL;
    graph->descriptors[graph->descriptor_count++] = made;
    return made;
}

static void set(CudnnGraph *graph, Descriptor to, cudnnBackendAttributeName_t name,
                cudnnBackendAttributeType_t type, int64_t count, const void *values) {
    if (!graph->failed) note(graph, cudnnBackendSetAttribute(to, name, type, count, values));
}

static void set_descriptor(CudnnGraph *graph, Descriptor to, cudnnBackendAttributeName_t name,
                           Descriptor value) {
    set(graph, to, name, CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &value);
}

static void set_tensor(CudnnGraph *graph, Descriptor to, cudnnBackendAttributeName_t name,
                       int tensor) {
    if (tensor > 0) set_descriptor(graph, to, name, graph->tensors[tensor]);
}

static void set_type(CudnnGraph *graph, Descriptor to, cudnnBackendAttributeName_t name,
                     cudnnDataType_t type) {
    set(graph, to, name, CUDNN_TYPE_DATA_TYPE, 1, &type);
}

static void set_float(CudnnGraph *graph, Descriptor to, cudnnBackendAttributeName_t name,
                      float value) {
    set(graph, to, name, CUDNN_TYPE_FLOAT, 1, &value);
}

static void finish(CudnnGraph *graph, Descriptor descriptor) {
    if (!graph->failed) note(graph, cudnnBackendFinalize(descriptor));
}

static void add_operation(CudnnGraph *graph, Descriptor operation) {
    finish(graph, operation);
    if (graph->failed) return;
    if (graph->operation_count == MAX_OPERATIONS) {
        graph->failed = true;
        error_int("cudnn: graph %s has more than %d operations", graph->name, (int)MAX_OPERATIONS);
        return;
    }
    graph->operations[graph->operation_count++] = operation;
}

// ---- tensors ------------------------------------------------------------------------------------

CudnnShape cudnn_image(int64_t N, int64_t H, int64_t W, int64_t C) {
    return (CudnnShape){{N, C, H, W}, {H * W * C, 1, W * C, C}};
}

CudnnShape cudnn_packed(int64_t a, int64_t b, int64_t c, int64_t d) {
    return (CudnnShape){{a, b, c, d}, {b * c * d, c * d, d, 1}};
}

CudnnShape cudnn_transposed(CudnnShape shape) {
    CudnnShape turned = shape;
    turned.side[2] = shape.side[3], turned.side[3] = shape.side[2];
    turned.stride[2] = shape.stride[3], turned.stride[3] = shape.stride[2];
    return turned;
}

CudnnGraph *cudnn_graph_begin(const char *name) {
    CudnnGraph *graph = array_new(1, sizeof *graph);
    if (graph) graph->name = name;
    return graph;
}

void cudnn_graph_free(CudnnGraph *graph) {
    if (!graph) return;
    while (graph->descriptor_count > 0)
        cudnnBackendDestroyDescriptor(graph->descriptors[--graph->descriptor_count]);
    free(graph);
}

static cudnnDataType_t data_type(Dtype type) {
    return type == BF16 ? CUDNN_DATA_BFLOAT16 : type == I32 ? CUDNN_DATA_INT32 : CUDNN_DATA_FLOAT;
}

int cudnn_graph_tensor(CudnnGraph *graph, CudnnRole role, Dtype type, CudnnShape shape) {
    if (!graph || graph->failed) return -1;
    if (graph->tensor_count == MAX_TENSORS) {
        graph->failed = true;
        return error_int("cudnn: graph %s has more than %d tensors", graph->name, (int)MAX_TENSORS);
    }
    int number = graph->tensor_count + 1;
    int64_t id = number, alignment = ALIGNMENT;
    bool is_virtual = role == CUDNN_VIRTUAL, by_value = role == CUDNN_VALUE;
    Descriptor made = make(graph, CUDNN_BACKEND_TENSOR_DESCRIPTOR);
    set_type(graph, made, CUDNN_ATTR_TENSOR_DATA_TYPE, data_type(type));
    set(graph, made, CUDNN_ATTR_TENSOR_DIMENSIONS, CUDNN_TYPE_INT64, 4, shape.side);
    set(graph, made, CUDNN_ATTR_TENSOR_STRIDES, CUDNN_TYPE_INT64, 4, shape.stride);
    set(graph, made, CUDNN_ATTR_TENSOR_UNIQUE_ID, CUDNN_TYPE_INT64, 1, &id);
    set(graph, made, CUDNN_ATTR_TENSOR_BYTE_ALIGNMENT, CUDNN_TYPE_INT64, 1, &alignment);
    if (is_virtual)
        set(graph, made, CUDNN_ATTR_TENSOR_IS_VIRTUAL, CUDNN_TYPE_BOOLEAN, 1, &is_virtual);
    if (by_value) set(graph, made, CUDNN_ATTR_TENSOR_IS_BY_VALUE, CUDNN_TYPE_BOOLEAN, 1, &by_value);
    finish(graph, made);
    if (graph->failed) return -1;
    graph->tensors[number] = made;
    graph->roles[number] = role;
    return graph->tensor_count = number;
}

// ---- operations ---------------------------------------------------------------------------------

static Descriptor convolution(CudnnGraph *graph, CudnnWindow window) {
    int64_t sides = 2, dilation[2] = {1, 1};
    cudnnConvolutionMode_t mode = CUDNN_CROSS_CORRELATION;
    Descriptor made = make(graph, CUDNN_BACKEND_CONVOLUTION_DESCRIPTOR);
    set_type(graph, made, CUDNN_ATTR_CONVOLUTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_CONV_MODE, CUDNN_TYPE_CONVOLUTION_MODE, 1, &mode);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_SPATIAL_DIMS, CUDNN_TYPE_INT64, 1, &sides);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_DILATIONS, CUDNN_TYPE_INT64, 2, dilation);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_FILTER_STRIDES, CUDNN_TYPE_INT64, 2, window.stride);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_PRE_PADDINGS, CUDNN_TYPE_INT64, 2, window.before);
    set(graph, made, CUDNN_ATTR_CONVOLUTION_POST_PADDINGS, CUDNN_TYPE_INT64, 2, window.after);
    finish(graph, made);
    return made;
}

void cudnn_graph_convolve(CudnnGraph *graph, ConvolvePass pass, CudnnWindow window, int x,
                          int weight, int y) {
    static const struct {
        cudnnBackendDescriptorType_t operation;
        cudnnBackendAttributeName_t convolution, x, weight, y, alpha, beta;
    } passes[] = {
        [CONVOLVE_FORWARD] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_FORWARD_DESCRIPTOR,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_CONV_DESC,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_X,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_W,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_Y,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_ALPHA,
                              CUDNN_ATTR_OPERATION_CONVOLUTION_FORWARD_BETA},
        [CONVOLVE_INPUT] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_DATA_DESCRIPTOR,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_CONV_DESC,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DX,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_W,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_DY,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_ALPHA,
                            CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_DATA_BETA},
        [CONVOLVE_WEIGHT] = {CUDNN_BACKEND_OPERATION_CONVOLUTION_BACKWARD_FILTER_DESCRIPTOR,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_CONV_DESC,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_X,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DW,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_DY,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_ALPHA,
                             CUDNN_ATTR_OPERATION_CONVOLUTION_BWD_FILTER_BETA},
    };
    if (!graph) return;
    Descriptor inner = convolution(graph, window), made = make(graph, passes[pass].operation);
    set_descriptor(graph, made, passes[pass].convolution, inner);
    set_tensor(graph, made, passes[pass].x, x);
    set_tensor(graph, made, passes[pass].weight, weight);
    set_tensor(graph, made, passes[pass].y, y);
    set_float(graph, made, passes[pass].alpha, 1);
    set_float(graph, made, passes[pass].beta, 0);
    add_operation(graph, made);
}

// b: 0 where there is none.
static void pointwise(CudnnGraph *graph, cudnnPointwiseMode_t mode, int x, int b, int y) {
    if (!graph) return;
    Descriptor inner = make(graph, CUDNN_BACKEND_POINTWISE_DESCRIPTOR);
    set(graph, inner, CUDNN_ATTR_POINTWISE_MODE, CUDNN_TYPE_POINTWISE_MODE, 1, &mode);
    set_type(graph, inner, CUDNN_ATTR_POINTWISE_MATH_PREC, CUDNN_DATA_FLOAT);
    finish(graph, inner);
    Descriptor made = make(graph, CUDNN_BACKEND_OPERATION_POINTWISE_DESCRIPTOR);
    set_descriptor(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_PW_DESCRIPTOR, inner);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_XDESC, x);
    if (b) set_tensor(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_BDESC, b);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_POINTWISE_YDESC, y);
    add_operation(graph, made);
}

void cudnn_graph_unary(CudnnGraph *graph, cudnnPointwiseMode_t mode, int x, int y) {
    pointwise(graph, mode, x, 0, y);
}

void cudnn_graph_binary(CudnnGraph *graph, cudnnPointwiseMode_t mode, int x, int b, int y) {
    pointwise(graph, mode, x, b, y);
}

void cudnn_graph_reduce(CudnnGraph *graph, cudnnReduceTensorOp_t mode, int x, int y) {
    if (!graph) return;
    Descriptor inner = make(graph, CUDNN_BACKEND_REDUCTION_DESCRIPTOR);
    set(graph, inner, CUDNN_ATTR_REDUCTION_OPERATOR, CUDNN_TYPE_REDUCTION_OPERATOR_TYPE, 1, &mode);
    set_type(graph, inner, CUDNN_ATTR_REDUCTION_COMP_TYPE, CUDNN_DATA_FLOAT);
    finish(graph, inner);
    Descriptor made = make(graph, CUDNN_BACKEND_OPERATION_REDUCTION_DESCRIPTOR);
    set_descriptor(graph, made, CUDNN_ATTR_OPERATION_REDUCTION_DESC, inner);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_REDUCTION_XDESC, x);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_REDUCTION_YDESC, y);
    add_operation(graph, made);
}

void cudnn_graph_matmul(CudnnGraph *graph, int a, int b, int c) {
    if (!graph) return;
    Descriptor inner = make(graph, CUDNN_BACKEND_MATMUL_DESCRIPTOR);
    set_type(graph, inner, CUDNN_ATTR_MATMUL_COMP_TYPE, CUDNN_DATA_FLOAT);
    finish(graph, inner);
    Descriptor made = make(graph, CUDNN_BACKEND_OPERATION_MATMUL_DESCRIPTOR);
    set_descriptor(graph, made, CUDNN_ATTR_OPERATION_MATMUL_DESC, inner);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_MATMUL_ADESC, a);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_MATMUL_BDESC, b);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_MATMUL_CDESC, c);
    add_operation(graph, made);
}

void cudnn_graph_reshape(CudnnGraph *graph, int x, int y) {
    if (!graph) return;
    Descriptor made = make(graph, CUDNN_BACKEND_OPERATION_RESHAPE_DESCRIPTOR);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_RESHAPE_XDESC, x);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_RESHAPE_YDESC, y);
    add_operation(graph, made);
}

void cudnn_graph_attention(CudnnGraph *graph, int q, int k, int v, int scale, int o, int lse) {
    if (!graph) return;
    Descriptor made = make(graph, CUDNN_BACKEND_OPERATION_SDPA_FWD_DESCRIPTOR);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_SDPA_FWD_QDESC, q);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_SDPA_FWD_KDESC, k);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_SDPA_FWD_VDESC, v);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_SDPA_FWD_SCALEDESC, scale);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_SDPA_FWD_ODESC, o);
    set_tensor(graph, made, CUDNN_ATTR_OPERATION_SDPA_FWD_STATSDESC, lse);
    add_operation(graph, made);
}

// ---- devices ------------------------------------------------------------------------------------

Descriptor cudnn_describe(const char *json) {
    Descriptor made = NULL;
    cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &made);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(made, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                          CUDNN_TYPE_CHAR, (int64_t)strlen(json), json);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(made);
    if (cudnn_check(status, "device description") == 0) return made;
    if (made) cudnnBackendDestroyDescriptor(made);
    return NULL;
}

static cudnnStatus_t read_description(Descriptor device, char **text) {
    int64_t size = 0;
    cudnnStatus_t status = cudnnBackendGetAttribute(
        device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION, CUDNN_TYPE_CHAR, 0, &size, NULL);
    if (status != CUDNN_STATUS_SUCCESS) return status;
    *text = array_new((size_t)size + 1, 1);
    if (!*text) return CUDNN_STATUS_ALLOC_FAILED;
    return cudnnBackendGetAttribute(device, CUDNN_ATTR_DEVICEPROP_JSON_REPRESENTATION,
                                    CUDNN_TYPE_CHAR, size, &size, *text);
}

char *cudnn_description(void) {
    Descriptor device = NULL;
    char *text = NULL;
    int32_t number = 0;
    cudnnStatus_t status =
        cudnnBackendCreateDescriptor(CUDNN_BACKEND_DEVICEPROP_DESCRIPTOR, &device);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(device, CUDNN_ATTR_DEVICEPROP_DEVICE_ID, CUDNN_TYPE_INT32,
                                          1, &number);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(device);
    if (status == CUDNN_STATUS_SUCCESS) status = read_description(device, &text);
    if (device) cudnnBackendDestroyDescriptor(device);
    if (cudnn_check(status, "description of device 0") == 0) return text;
    free(text);
    return NULL;
}

// ---- plans --------------------------------------------------------------------------------------

static Descriptor operation_graph(CudnnGraph *graph, const CudnnDevice *device) {
    Descriptor made = make(graph, CUDNN_BACKEND_OPERATIONGRAPH_DESCRIPTOR);
    set(graph, made, CUDNN_ATTR_OPERATIONGRAPH_OPS, CUDNN_TYPE_BACKEND_DESCRIPTOR,
        graph->operation_count, graph->operations);
    if (device->handle)
        set(graph, made, CUDNN_ATTR_OPERATIONGRAPH_HANDLE, CUDNN_TYPE_HANDLE, 1, &device->handle);
    finish(graph, made);
    return graph->failed ? NULL : made;
}

static bool is_forbidden(cudnnBackendNumericalNote_t note, CudnnPrecision precision) {
    if (note == CUDNN_NUMERICAL_NOTE_NONDETERMINISTIC ||
        note == CUDNN_NUMERICAL_NOTE_REDUCED_PRECISION_REDUCTION)
        return true;
    return precision == CUDNN_EXACT && (note == CUDNN_NUMERICAL_NOTE_TENSOR_CORE ||
                                        note == CUDNN_NUMERICAL_NOTE_DOWN_CONVERT_INPUTS ||
                                        note == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_6x6 ||
                                        note == CUDNN_NUMERICAL_NOTE_WINOGRAD_TILE_13x13);
}

// Looks up the engine of a configuration, its number and its notes.
static cudnnStatus_t read_engine(Descriptor configuration, Descriptor *engine, int64_t *number,
                                 cudnnBackendNumericalNote_t *notes, int64_t *count) {
    int64_t one = 0;
    cudnnStatus_t status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINE_DESCRIPTOR, engine);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendGetAttribute(configuration, CUDNN_ATTR_ENGINECFG_ENGINE,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &one, engine);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendGetAttribute(*engine, CUDNN_ATTR_ENGINE_NUMERICAL_NOTE,
                                          CUDNN_TYPE_NUMERICAL_NOTE,
                                          CUDNN_NUMERICAL_NOTE_TYPE_COUNT, count, notes);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendGetAttribute(*engine, CUDNN_ATTR_ENGINE_GLOBAL_INDEX, CUDNN_TYPE_INT64,
                                          1, &one, number);
    return status;
}

// What came of a call: 1, or 0 when cuDNN has nothing, or -1 and an error.
static int outcome(cudnnStatus_t status, const char *what) {
    if (status == CUDNN_STATUS_SUCCESS) return 1;
    return is_refusal(status) ? 0 : cudnn_check(status, what);
}

// Whether the rules allow the configuration, as an outcome; its engine's number in *number.
static int is_allowed(Descriptor configuration, CudnnPrecision precision, int64_t *number) {
    cudnnBackendNumericalNote_t notes[CUDNN_NUMERICAL_NOTE_TYPE_COUNT];
    Descriptor engine = NULL;
    int64_t count = 0;
    int allowed =
        outcome(read_engine(configuration, &engine, number, notes, &count), "a proposed engine");
    for (int64_t i = 0; allowed > 0 && i < count; i++) allowed = !is_forbidden(notes[i], precision);
    if (engine) cudnnBackendDestroyDescriptor(engine);
    return allowed;
}

// The plan of a configuration, as an outcome.
static int plan_of(Descriptor configuration, const CudnnDevice *device, Descriptor *plan) {
    Descriptor made = NULL;
    cudnnStatus_t status =
        cudnnBackendCreateDescriptor(CUDNN_BACKEND_EXECUTION_PLAN_DESCRIPTOR, &made);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_ENGINE_CONFIG,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &configuration);
    if (status == CUDNN_STATUS_SUCCESS)
        status =
            device->handle
                ? cudnnBackendSetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_HANDLE,
                                           CUDNN_TYPE_HANDLE, 1, &device->handle)
                : cudnnBackendSetAttribute(made, CUDNN_ATTR_EXECUTION_PLAN_DEVICEPROP,
                                           CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device->properties);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(made);
    int result = outcome(status, "a proposed plan");
    if (result > 0)
        *plan = made;
    else if (made)
        cudnnBackendDestroyDescriptor(made);
    return result;
}

// Fills `proposals` with what cuDNN proposes in a mode; *count is 0 when it has none.
static int propose(Descriptor operations, const CudnnDevice *device, cudnnBackendHeurMode_t mode,
                   Descriptor proposals[MAX_PROPOSALS], int64_t *count) {
    Descriptor rules = NULL;
    int64_t found = 0, made = 0;
    cudnnStatus_t status =
        cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINEHEUR_DESCRIPTOR, &rules);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(rules, CUDNN_ATTR_ENGINEHEUR_OPERATION_GRAPH,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &operations);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(rules, CUDNN_ATTR_ENGINEHEUR_MODE, CUDNN_TYPE_HEUR_MODE,
                                          1, &mode);
    if (status == CUDNN_STATUS_SUCCESS && !device->handle)
        status = cudnnBackendSetAttribute(rules, CUDNN_ATTR_ENGINEHEUR_DEVICEPROP,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, 1, &device->properties);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(rules);
    while (status == CUDNN_STATUS_SUCCESS && made < MAX_PROPOSALS) {
        status = cudnnBackendCreateDescriptor(CUDNN_BACKEND_ENGINECFG_DESCRIPTOR, &proposals[made]);
        made += status == CUDNN_STATUS_SUCCESS;
    }
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendGetAttribute(rules, CUDNN_ATTR_ENGINEHEUR_RESULTS,
                                          CUDNN_TYPE_BACKEND_DESCRIPTOR, made, &found, proposals);
    if (status != CUDNN_STATUS_SUCCESS) found = 0;
    *count = found < made ? found : made;
    for (int64_t i = *count; i < made; i++) cudnnBackendDestroyDescriptor(proposals[i]);
    if (rules) cudnnBackendDestroyDescriptor(rules);
    return outcome(status, "proposals") < 0 ? -1 : 0;
}

// A plan that owns `inner`. Its workspace and tensors are looked up.
static CudnnPlan *plan_new(const CudnnGraph *graph, Descriptor inner) {
    int64_t one = 0;
    CudnnPlan *plan = array_new(1, sizeof *plan);
    if (!plan ||
        cudnn_check(cudnnBackendGetAttribute(inner, CUDNN_ATTR_EXECUTION_PLAN_WORKSPACE_SIZE,
                                             CUDNN_TYPE_INT64, 1, &one, &plan->workspace),
                    graph->name) != 0) {
        free(plan);
        cudnnBackendDestroyDescriptor(inner);
        return NULL;
    }
    plan->plan = inner;
    for (int number = 1; number <= graph->tensor_count; number++)
        if (graph->roles[number] != CUDNN_VIRTUAL) plan->ids[plan->count++] = number;
    return plan;
}

// Calls `visit` with each proposal that the rules allow, until it returns not 0: 1 when it has what
// it wants, or -1 and an error. *proposed counts them all. Returns 0; LIBRARY_DECLINES and an error
// when the graph is refused; -1 and an error when any of it could not be found out.
typedef int (*Visit)(void *context, Descriptor proposal, int64_t engine);

static int each_proposal(CudnnGraph *graph, const CudnnDevice *device, CudnnPrecision precision,
                         Visit visit, void *context, int64_t *proposed) {
    static const cudnnBackendHeurMode_t modes[] = {CUDNN_HEUR_MODE_A, CUDNN_HEUR_MODE_FALLBACK};
    Descriptor operations = graph ? operation_graph(graph, device) : NULL;
    int done = 0;
    *proposed = 0;
    if (!operations) return graph && graph->refused ? LIBRARY_DECLINES : -1;
    for (size_t m = 0; m < sizeof modes / sizeof *modes && done == 0; m++) {
        Descriptor proposals[MAX_PROPOSALS];
        int64_t count, engine;
        if (propose(operations, device, modes[m], proposals, &count) != 0) return -1;
        *proposed += count;
        for (int64_t i = 0; i < count; i++) {
            int allowed = done == 0 ? is_allowed(proposals[i], precision, &engine) : 0;
            if (allowed > 0)
                done = visit(context, proposals[i], engine);
            else if (allowed < 0)
                done = -1;
            cudnnBackendDestroyDescriptor(proposals[i]);
        }
    }
    return done < 0 ? -1 : 0;
}

typedef struct {
    const CudnnDevice *device;
    int first, most, possible, count;
    Descriptor *plans; // [most], of which count are made
} Search;

static int take_chosen(void *context, Descriptor proposal, int64_t engine) {
    Search *search = context;
    Descriptor made;
    (void)engine;
    int result = plan_of(proposal, search->device, &made);
    if (result <= 0) return result;
    if (search->possible++ >= search->first)
        search->plans[search->count++] = made;
    else
        cudnnBackendDestroyDescriptor(made);
    return search->count == search->most;
}

int cudnn_graph_plans(CudnnGraph *graph, const CudnnDevice *device, CudnnPrecision precision,
                      int first, int most, CudnnPlan **plans, int *count) {
    Descriptor made[CUDNN_PLANS];
    Search search = {.device = device, .first = first, .most = most, .plans = made};
    int64_t proposed;
    int result = each_proposal(graph, device, precision, take_chosen, &search, &proposed);
    *count = 0;
    for (int i = 0; i < search.count; i++) {
        CudnnPlan *plan = plan_new(graph, made[i]);
        if (plan) plans[(*count)++] = plan;
        if (!plan && result == 0) result = -1;
    }
    if (result != 0) {
        while (*count > 0) cudnn_plan_free(plans[--*count]);
        return result;
    }
    if (*count > 0) return 0;
    error_int("cudnn: %s: of %lld configurations that cuDNN proposes %d can run; number %d was "
              "asked for",
              graph->name, (long long)proposed, search.possible, first);
    return LIBRARY_DECLINES;
}

static int take_any(void *context, Descriptor proposal, int64_t engine) {
    (void)proposal;
    *(int64_t *)context = engine;
    return 1;
}

int cudnn_graph_engine(CudnnGraph *graph, const CudnnDevice *device, CudnnPrecision precision,
                       int64_t *engine) {
    int64_t proposed;
    *engine = -1;
    return each_proposal(graph, device, precision, take_any, engine, &proposed) == 0 ? 0 : -1;
}

void cudnn_plan_free(CudnnPlan *plan) {
    if (!plan) return;
    cudnnBackendDestroyDescriptor(plan->plan);
    free(plan);
}

size_t cudnn_plan_workspace(const CudnnPlan *plan) {
    return (size_t)plan->workspace;
}

int cudnn_plan_run(const CudnnPlan *plan, cudnnHandle_t handle, void *const *pointers,
                   void *workspace) {
    Descriptor pack = NULL;
    cudnnStatus_t status =
        cudnnBackendCreateDescriptor(CUDNN_BACKEND_VARIANT_PACK_DESCRIPTOR, &pack);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_UNIQUE_IDS,
                                          CUDNN_TYPE_INT64, plan->count, plan->ids);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_DATA_POINTERS,
                                          CUDNN_TYPE_VOID_PTR, plan->count, pointers);
    if (status == CUDNN_STATUS_SUCCESS)
        status = cudnnBackendSetAttribute(pack, CUDNN_ATTR_VARIANT_PACK_WORKSPACE,
                                          CUDNN_TYPE_VOID_PTR, 1, &workspace);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendFinalize(pack);
    if (status == CUDNN_STATUS_SUCCESS) status = cudnnBackendExecute(handle, plan->plan, pack);
    int result = cudnn_check(status, "run");
    if (pack) cudnnBackendDestroyDescriptor(pack);
    return result;
}
