// SPDX-License-Identifier: MIT
// Which graphs of cuDNN the full-size networks need, and whether each can run on an H200 and an
// A100, without either: devices are descriptions (tests/fixtures/devices), and plans are only asked
// for, never run.
//
//   p2s-plans DEVICE.json HEIGHT WIDTH [-v]
//   p2s-plans --describe                        the description of this machine's first GPU
//
// The steps run on the plan back end, as `p2s train --plan` does. Each convolution, product and
// attention that passes is given, as BF16 with F32 parameters, to the op of cuda/ itself; its calls
// of library.h end here. A problem for which cuDNN proposes nothing is declined, so that the op
// goes its next way, which is printed beside it; the last way, the host, fails the test.
#include "autograd/backend.h"
#include "autograd/tape.h"
#include "base/config.h"
#include "base/error.h"
#include "base/file.h"
#include "cuda/attention_rows.h"
#include "cuda/cudnn_plans.h"
#include "cuda/host_path.h"
#include "cuda/kernels.h"
#include "cuda/memory.h"
#include "cuda/operand.h"
#include "cuda/plan_cache.h"
#include "cuda/rounded.h"
#include "cuda/runtime.h"
#include "nn/model.h"
#include "train/plan.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static CudnnDevice device;
static bool verbose;
static int graphs, without, unanswered;
static char declined[CUDNN_NAME_SIZE]; // the last problem without a plan, "" when it was answered

// ---- what the ops of cuda/ ask of the rest: nothing is computed ---------------------------------

static char somewhere[64];

void *cuda_scratch(const char *op, size_t bytes) {
    (void)op, (void)bytes;
    return somewhere;
}

void cuda_free(void *memory, size_t bytes) {
    (void)memory, (void)bytes;
}

void *rounded_values(const Tensor *tensor) {
    (void)tensor;
    return somewhere;
}

int cuda_copy(void *to, const void *from, size_t bytes) {
    (void)to, (void)from, (void)bytes;
    return 0;
}

int device_set(void *to, int byte, size_t bytes) {
    (void)to, (void)byte, (void)bytes;
    return 0;
}

int cuda_cast(const void *x, Dtype from, void *y, Dtype to, int64_t count) {
    (void)x, (void)from, (void)y, (void)to, (void)count;
    return 0;
}

int cuda_add_to(Tensor *to, const Tensor *from) {
    (void)to, (void)from;
    return 0;
}

int cuda_sum_rows(const void *x, Dtype type, int64_t rows, int64_t columns, float *y, bool add) {
    (void)x, (void)type, (void)rows, (void)columns, (void)y, (void)add;
    return 0;
}

int cuda_add_rows(void *y, Dtype type, int64_t rows, int64_t columns, const float *bias,
                  const void *residual) {
    (void)y, (void)type, (void)rows, (void)columns, (void)bias, (void)residual;
    return 0;
}

int cuda_attention_weights(const AttentionRows *rows, const float *logits, void *weights,
                           float *lse, bool again) {
    (void)rows, (void)logits, (void)weights, (void)lse, (void)again;
    return 0;
}

int cuda_attention_gradient(const AttentionRows *rows, void *weights, const float *dweights,
                            const void *y, const void *dy, float scale) {
    (void)rows, (void)weights, (void)dweights, (void)y, (void)dy, (void)scale;
    return 0;
}

int cuda_resize_nearest_forward(const resize_nearest_args *args) {
    (void)args;
    return 0;
}

int cuda_resize_nearest_backward(const resize_nearest_args *args) {
    (void)args;
    return 0;
}

bool cuda_uses_tf32(void) {
    return false;
}

CudnnPrecision cudnn_precision(int64_t type) {
    return type == BF16 ? CUDNN_FAST : CUDNN_EXACT;
}

// ---- answers ------------------------------------------------------------------------------------

static void answered(const char *way) {
    if (!declined[0]) return;
    printf("none %s\n     -> %s\n", declined, way);
    declined[0] = '\0';
}

static bool has_plan(CudnnGraph *graph, const char *name, int64_t type) {
    int64_t engine;
    if (cudnn_graph_engine(graph, &device, cudnn_precision(type), &engine) != 0)
        printf("refused: %s\n", error_take());
    cudnn_graph_free(graph);
    graphs++;
    without += engine < 0;
    if (verbose && engine >= 0) printf("engine %3lld %s\n", (long long)engine, name);
    return engine >= 0;
}

static int convolution_answer(const void *key, void **plan) {
    char name[CUDNN_NAME_SIZE];
    cudnn_convolution_name(key, name);
    if (has_plan(cudnn_convolution_graph(key), name, ((const Convolution *)key)->type))
        *plan = somewhere;
    return 0;
}

static int attention_answer(const void *key, void **plan) {
    char name[CUDNN_NAME_SIZE];
    cudnn_attention_name(key, name);
    if (has_plan(cudnn_attention_graph(key), name, BF16)) *plan = somewhere;
    return 0;
}

// The ways of a problem are told once: seen again, it is declined in silence.
static int answer(void *found, bool first, const char *name, const char *way) {
    if (found) {
        if (first) answered(way);
        declined[0] = '\0';
        return 0;
    }
    declined[0] = '\0';
    if (first) snprintf(declined, sizeof declined, "%s", name);
    return LIBRARY_DECLINES;
}

int library_convolve(const Convolution *p, void *x, void *weight, void *y, const void *bias,
                     const void *residual) {
    static PlanCache answers = PLAN_CACHE_EMPTY;
    (void)x, (void)weight, (void)y, (void)bias, (void)residual;
    if (!cudnn_takes_convolution(p)) return LIBRARY_DECLINES;
    char name[CUDNN_NAME_SIZE], way[CUDNN_NAME_SIZE];
    int before = graphs;
    snprintf(way, sizeof way, "%s", cudnn_convolution_name(p, name));
    bool after_another = declined[0] != '\0';
    void *found;
    if (plan_cache_find(&answers, p, sizeof *p, convolution_answer, &found) != 0) return -1;
    return answer(found, graphs > before || after_another, name, way);
}

int library_attention(const AttentionProblem *p, float scale, const AttentionMemory *memory) {
    static PlanCache answers = PLAN_CACHE_EMPTY;
    (void)scale, (void)memory;
    if (!cudnn_takes_attention(p)) return LIBRARY_DECLINES;
    char name[CUDNN_NAME_SIZE];
    int before = graphs;
    cudnn_attention_name(p, name);
    void *found;
    if (plan_cache_find(&answers, p, sizeof *p, attention_answer, &found) != 0) return -1;
    return answer(found, graphs > before, name, name);
}

int library_product(const Product *product) {
    (void)product;
    answered("products and a softmax over rows");
    return 0;
}

static int by_host(OpKind kind) {
    answered("the host");
    unanswered++;
    printf("the host would compute %s\n", op_name(kind));
    return 0;
}

int cuda_host_forward(OpKind kind, const void *args, const char *reason) {
    (void)args, (void)reason;
    return by_host(kind);
}

int cuda_host_backward(OpKind kind, const void *args, const char *reason) {
    (void)args, (void)reason;
    return by_host(kind);
}

// ---- ops as a BF16 run has them -----------------------------------------------------------------

enum { MAX_FIELDS = 6 };

typedef struct {
    Tensor tensors[MAX_FIELDS], gradients[MAX_FIELDS];
} Copies;

// A copy of args whose tensors are BF16, parameters (fields 1 and 2 of a layer) and lse excepted.
static void as_bf16(OpKind kind, void *args, Copies *copies) {
    Tensor **fields = args;
    int count = op_inputs(kind) + op_outputs(kind);
    for (int i = 0; i < count; i++) {
        if (fields[i] == NONE) continue;
        bool parameter = kind != OP_attention && (i == 1 || i == 2);
        copies->tensors[i] = *fields[i];
        copies->tensors[i].dtype = parameter || (kind == OP_attention && i == 5) ? F32 : BF16;
        copies->gradients[i] = copies->tensors[i];
        copies->tensors[i].grad = &copies->gradients[i];
        fields[i] = &copies->tensors[i];
    }
}

static int watch(OpKind kind, const void *args, bool backward) {
    Copies copies;
    if (kind == OP_conv2d) {
        conv2d_args bf16 = *(const conv2d_args *)args;
        as_bf16(kind, &bf16, &copies);
        return backward ? cuda_conv2d_backward(&bf16) : cuda_conv2d_forward(&bf16);
    }
    if (kind == OP_attention) {
        attention_args bf16 = *(const attention_args *)args;
        as_bf16(kind, &bf16, &copies);
        return backward ? cuda_attention_backward(&bf16) : cuda_attention_forward(&bf16);
    }
    return 0;
}

// ---- what is run --------------------------------------------------------------------------------

static int train(const char *task, const char *model, int height, int width) {
    char text[4][64];
    snprintf(text[0], sizeof text[0], "task=%s", task);
    snprintf(text[1], sizeof text[1], "data.height=%d", height);
    snprintf(text[2], sizeof text[2], "data.width=%d", width);
    snprintf(text[3], sizeof text[3], "model=%s", model);
    TrainConfig config = {0};
    TrainPlan plan;
    int result = config_defaults(&train_table, &config);
    for (int i = 0; i < 4 && result == 0; i++)
        result = config_override(&train_table, &config, text[i], "p2s-plans");
    if (result == 0) result = train_plan(&config, model, START_FOLDER, &plan);
    config_free(&train_table, &config);
    return result;
}

// Prediction asks with the bare two tokens of the empty prompt.
static int predict(const char *name, int height, int width) {
    backend_use(plan_backend());
    Model *model = model_init(name, &(ModelOptions){.dtype = F32});
    Tensor *image = model ? tensor_new(SHAPE(F32, 1, height, width, 3)) : NULL;
    Tensor *z = image ? vae_encode_mean(model->vae, image) : NULL;
    Tensor *v = z ? unet_forward(model->unet, z, MODEL_TIMESTEP, model->infer_context, NULL) : NULL;
    Tensor *y = v ? vae_decode(model->vae, model_clean_inference(model, z, v)) : NULL;
    tape_reset();
    tensor_free(image);
    model_free(model);
    return y ? 0 : -1;
}

static int skip(const char *why) {
    printf("SKIP p2s-plans: %s\n", why);
    return 0;
}

static int open_device(const char *path) {
    size_t size;
    char *text = file_read(path, 1 << 16, &size);
    device.properties = text ? cudnn_describe(text) : NULL;
    free(text);
    return device.properties ? 0 : -1;
}

static int describe(void) {
    char *text = cudnn_description();
    if (!text) fprintf(stderr, "p2s-plans: %s\n", error_message());
    if (text) puts(text);
    free(text);
    return text ? 0 : 1;
}

int main(int count, char **words) {
    if (count == 2 && strcmp(words[1], "--describe") == 0) return describe();
    if (count < 4) {
        fprintf(stderr, "usage: p2s-plans DEVICE.json HEIGHT WIDTH [-v] | --describe\n");
        return 2;
    }
    static const char *const tasks[] = {"gen2seg", "prompt2seg", "vae"};
    static const char *const models[] = {"sd2", "sd15"};
    int height = atoi(words[2]), width = atoi(words[3]), result = 0;
    verbose = count > 4;
    // Engines that compile their kernels look for the driver's library; the toolkit's empty one
    // will do. It must be there before cuDNN looks.
    if (!dlopen("libcuda.so.1", RTLD_NOW | RTLD_GLOBAL) &&
        !dlopen(P2S_CUDA_STUB, RTLD_NOW | RTLD_GLOBAL))
        return skip("neither a driver's libcuda.so.1 nor the toolkit's stub was found");
    if (cudnnGetVersion() < 90800) return skip("cuDNN before 9.8 takes no description of a device");
    if (open_device(words[1]) != 0) {
        fprintf(stderr, "p2s-plans: %s\n", error_message());
        return 1;
    }
    plan_backend_watch(watch);
    for (size_t m = 0; m < sizeof models / sizeof *models && result == 0; m++) {
        for (size_t t = 0; t < sizeof tasks / sizeof *tasks && result == 0; t++)
            result = train(tasks[t], models[m], height, width);
        if (result == 0) result = predict(models[m], height, width);
    }
    if (result != 0) fprintf(stderr, "p2s-plans: %s\n", error_message());
    printf("%s %dx%d: %d graphs, %d without a configuration, %d left to the host\n", words[1],
           height, width, graphs, without, unanswered);
    cudnnBackendDestroyDescriptor(device.properties);
    return result != 0 || unanswered > 0 || graphs == 0;
}
