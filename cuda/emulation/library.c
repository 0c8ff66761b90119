// SPDX-License-Identifier: MIT
// The libraries of the emulated device: their calls are answered by the kernels of the host's back
// end, on F32 copies of BF16 operands. See cuda/library.h.
//
// So that every way of the ops is gone, it declines what NVIDIA's may decline: of an odd number of
// output channels, sums beside a convolution and F32 weight gradients of BF16 images; of heads
// whose width is not a multiple of 8, attention; and all 1 x 1 convolutions of stride 3.
#include "cuda/library.h"

#include "base/error.h"
#include "base/memory.h"
#include "cuda/cuda.h"
#include "cuda/emulation/work.h"
#include "cuda/host_path.h"
#include "cuda/memory.h"
#include "cuda/plan_tune.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool tf32;

void cuda_use_tf32(bool on) {
    tf32 = on;
}

bool cuda_uses_tf32(void) {
    return tf32;
}

void library_product_text(char text[LIBRARY_TEXT]) {
    const Backend *host = cuda_host();
    const char *kernels = host ? host->kernels : NULL;
    snprintf(text, LIBRARY_TEXT, "the host's %s", kernels ? kernels : "kernels");
}

void library_convolve_text(char text[LIBRARY_TEXT]) {
    library_product_text(text);
}

static float get(const void *data, int64_t type, int64_t i) {
    return type == BF16 ? bf16_to_float(((const uint16_t *)data)[i]) : ((const float *)data)[i];
}

static void put(void *data, int64_t type, int64_t i, float value) {
    if (type == BF16)
        ((uint16_t *)data)[i] = float_to_bf16(value);
    else
        ((float *)data)[i] = value;
}

static float *copy_in(const void *data, int64_t type, int64_t count) {
    float *copy = array_new((size_t)count, sizeof *copy);
    for (int64_t i = 0; copy && data && i < count; i++) copy[i] = get(data, type, i);
    return copy;
}

static void copy_out(void *data, int64_t type, int64_t count, const float *copy) {
    for (int64_t i = 0; i < count; i++) put(data, type, i, copy[i]);
}

static Tensor image(float *data, int64_t N, int64_t H, int64_t W, int64_t C) {
    return (Tensor){.data = data, .ndim = 4, .shape = {N, H, W, C}, .dtype = F32};
}

// ---- products -----------------------------------------------------------------------------------

// Matrix `b` of a factor, [rows,columns] as the product sees it, packed.
static float *packed(const Factor *factor, int64_t type, int64_t b, int64_t rows, int64_t columns) {
    float *copy = array_new((size_t)(rows * columns), sizeof *copy);
    for (int64_t i = 0; copy && i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            copy[i * columns + j] =
                get(factor->data, type,
                    b * factor->batch +
                        (factor->transposed ? j * factor->row + i : i * factor->row + j));
    return copy;
}

static int product_of(const Product *p, int64_t b, float *left, float *right, float *sums) {
    Tensor L = {.data = left, .ndim = 3, .shape = {1, p->M, p->K}, .dtype = F32},
           R = {.data = right, .ndim = 3, .shape = {1, p->K, p->P}, .dtype = F32},
           C = {.data = sums, .ndim = 3, .shape = {1, p->M, p->P}, .dtype = F32};
    matmul_args args = {.left = &L, .right = &R, .y = &C};
    if (cuda_host()->matmul_forward(&args) != 0) return -1;
    for (int64_t i = 0; i < p->M; i++)
        for (int64_t j = 0; j < p->P; j++) {
            int64_t at = b * p->c_batch + i * p->c_row + j;
            float value = p->scale * sums[i * p->P + j];
            if (p->bias) value += get(p->bias, p->result, j);
            if (p->begin) value += get(p->begin, p->result, at);
            put(p->c, p->result, at, value);
        }
    return 0;
}

static int run_product(void *context) {
    const Product *p = context;
    int result = 0;
    for (int64_t b = 0; b < p->batches && result == 0; b++) {
        float *left = packed(&p->a, p->type, b, p->M, p->K),
              *right = packed(&p->b, p->type, b, p->K, p->P),
              *sums = array_new((size_t)(p->M * p->P), sizeof *sums);
        result = left && right && sums ? product_of(p, b, left, right, sums) : -1;
        free(left);
        free(right);
        free(sums);
    }
    return result;
}

int library_product(const Product *p) {
    Product copy = *p;
    if (p->M < 1 || p->K < 1 || p->P < 1 || p->batches < 1)
        return error_int("emulation: a product [%lld,%lld] [%lld,%lld] of nothing", (long long)p->M,
                         (long long)p->K, (long long)p->K, (long long)p->P);
    return emulate_work(run_product, &copy, sizeof copy);
}

// ---- convolutions -------------------------------------------------------------------------------

static int convolve(const Convolution *p, float *x, float *weight, float *y, float *bias,
                    float *residual) {
    const ConvShape *s = &p->shape;
    Tensor X = image(x, s->N, s->H, s->W, s->Ci), W = image(weight, s->Co, s->kh, s->kw, s->Ci),
           Y = image(y, s->N, s->Ho, s->Wo, s->Co), R = image(residual, s->N, s->Ho, s->Wo, s->Co),
           B = {.data = bias, .ndim = 1, .shape = {s->Co}, .dtype = F32};
    Tensor dX = X, dW = W, dY = Y;
    conv2d_args args = {.x = &X,
                        .weight = &W,
                        .bias = bias ? &B : NONE,
                        .residual = residual ? &R : NONE,
                        .y = &Y,
                        .options = {.stride = (int)s->stride,
                                    .pad_top = (int)s->top,
                                    .pad_left = (int)s->left,
                                    .pad_bottom = (int)s->bottom,
                                    .pad_right = (int)s->right}};
    if (p->pass == CONVOLVE_FORWARD) return cuda_host()->conv2d_forward(&args);
    X.grad = &dX;
    W.grad = &dW;
    Y.grad = &dY;
    X.needs_grad = p->pass == CONVOLVE_INPUT;
    W.needs_grad = p->pass == CONVOLVE_WEIGHT;
    return cuda_host()->conv2d_backward(&args);
}

static bool declines(const Convolution *p) {
    const ConvShape *s = &p->shape;
    bool odd = s->Co % 2 != 0;
    return (odd && (p->bias || p->residual)) ||
           (odd && p->pass == CONVOLVE_WEIGHT && p->type != p->result) ||
           (s->stride == 3 && s->kh == 1 && s->kw == 1);
}

typedef struct {
    Convolution problem;
    void *x, *weight, *y;
    const void *bias, *residual;
    int plan; // of a trial
} ConvolveWork;

static int run_convolve(void *context) {
    const ConvolveWork *work = context;
    const Convolution *p = &work->problem;
    void *x = work->x, *weight = work->weight, *y = work->y;
    const ConvShape *s = &p->shape;
    int64_t x_count = s->N * s->H * s->W * s->Ci, weight_count = s->Co * s->kh * s->kw * s->Ci,
            y_count = s->N * s->Ho * s->Wo * s->Co;
    float *copies[] = {copy_in(p->pass == CONVOLVE_INPUT ? NULL : x, p->type, x_count),
                       copy_in(p->pass == CONVOLVE_WEIGHT ? NULL : weight, p->type, weight_count),
                       copy_in(p->pass == CONVOLVE_FORWARD ? NULL : y, p->type, y_count),
                       p->bias ? copy_in(work->bias, F32, s->Co) : NULL,
                       p->residual ? copy_in(work->residual, p->result, y_count) : NULL};
    int result = copies[0] && copies[1] && copies[2]
                     ? convolve(p, copies[0], copies[1], copies[2], copies[3], copies[4])
                     : -1;
    if (p->pass == CONVOLVE_INPUT) copy_out(x, p->result, x_count, copies[0]);
    if (p->pass == CONVOLVE_WEIGHT) copy_out(weight, p->result, weight_count, copies[1]);
    if (p->pass == CONVOLVE_FORWARD) copy_out(y, p->result, y_count, copies[2]);
    for (size_t i = 0; i < sizeof copies / sizeof *copies; i++) free(copies[i]);
    return result;
}

// Convolutions have two plans; the second one of a weight gradient is fast and wrong.
static int prepare(void *context, int number) {
    ((ConvolveWork *)context)->plan = number;
    return number < 2 ? 0 : LIBRARY_DECLINES;
}

static int run_plan(void *context) {
    const ConvolveWork *work = context;
    const Convolution *p = &work->problem;
    if (work->plan == 0 || p->pass != CONVOLVE_WEIGHT) return run_convolve(context);
    put(work->weight, p->result, 0, 1e6f);
    return 0;
}

static int tune_convolution(const ConvolveWork *given) {
    ConvolveWork work = *given;
    const Convolution *p = &work.problem;
    const ConvShape *s = &p->shape;
    const int64_t counts[] = {s->N * s->Ho * s->Wo * s->Co, s->N * s->H * s->W * s->Ci,
                              s->Co * s->kh * s->kw * s->Ci};
    const size_t bytes = (size_t)counts[p->pass] * dtype_size((Dtype)p->result);
    char name[LIBRARY_TEXT];
    snprintf(name, sizeof name,
             "convolve %d %s %lldx%lldx%lldx%lld to %lld, %lldx%lld, stride %lld", (int)p->pass,
             dtype_name((Dtype)p->type), (long long)s->N, (long long)s->H, (long long)s->W,
             (long long)s->Ci, (long long)s->Co, (long long)s->kh, (long long)s->kw,
             (long long)s->stride);
    if (!plan_tune_wants(name)) return 0;
    void *written = cuda_scratch("bench tune", bytes);
    if (!written) return -1;
    *(p->pass == CONVOLVE_FORWARD ? &work.y
      : p->pass == CONVOLVE_INPUT ? &work.x
                                  : &work.weight) = written;
    int result = plan_tune(
        &(PlanTrial){name, prepare, run_plan, &work, written, p->result, counts[p->pass]});
    cuda_free(written, bytes);
    return result;
}

int library_convolve(const Convolution *p, void *x, void *weight, void *y, const void *bias,
                     const void *residual) {
    ConvolveWork work = {*p, x, weight, y, bias, residual, 0};
    if (declines(p)) return LIBRARY_DECLINES;
    if (plan_tune_is_watched() && tune_convolution(&work) != 0) return -1;
    return emulate_work(run_convolve, &work, sizeof work);
}

// ---- attention ----------------------------------------------------------------------------------

static Tensor tokens(float *data, int64_t N, int64_t T, int64_t D) {
    return (Tensor){.data = data, .ndim = 3, .shape = {N, T, D}, .dtype = F32};
}

enum { Q, K, V, Y, DY, DQ, DK, DV, ATTENTION_TENSORS };

static int attend(const AttentionProblem *p, float scale, float *copies[ATTENTION_TENSORS],
                  float *lse) {
    int64_t D = p->heads * p->width;
    Tensor t[ATTENTION_TENSORS], sums = {.data = lse, .ndim = 3, .shape = {p->N, p->heads, p->T}};
    sums.dtype = F32;
    for (int i = 0; i < ATTENTION_TENSORS; i++) {
        bool keys = i == K || i == V || i == DK || i == DV;
        t[i] = tokens(copies[i], p->N, keys ? p->S : p->T, D);
    }
    attention_args args = {.q = &t[Q],
                           .k = &t[K],
                           .v = &t[V],
                           .key_mask = NONE,
                           .y = &t[Y],
                           .lse = &sums,
                           .heads = (int)p->heads,
                           .scale = scale};
    if (!p->backward) return cuda_host()->attention_forward(&args);
    t[Y].grad = &t[DY];
    t[Q].grad = &t[DQ];
    t[K].grad = &t[DK];
    t[V].grad = &t[DV];
    t[Q].needs_grad = t[K].needs_grad = t[V].needs_grad = true;
    return cuda_host()->attention_backward(&args);
}

typedef struct {
    AttentionProblem problem;
    float scale;
    AttentionMemory memory;
} AttentionWork;

static int run_attention(void *context) {
    const AttentionWork *work = context;
    const AttentionProblem *p = &work->problem;
    const AttentionMemory *m = &work->memory;
    int64_t queries = p->N * p->T * p->heads * p->width, keys = p->N * p->S * p->heads * p->width;
    const void *from[] = {m->q, m->k, m->v, p->backward ? m->y : NULL, m->dy, NULL, NULL, NULL};
    void *to[] = {NULL, NULL, NULL, p->backward ? NULL : m->y, NULL, m->dq, m->dk, m->dv};
    float *copies[ATTENTION_TENSORS];
    bool failed = false;
    for (int i = 0; i < ATTENTION_TENSORS; i++) {
        int64_t count = i == K || i == V || i == DK || i == DV ? keys : queries;
        copies[i] = copy_in(from[i], p->type, count);
        failed |= !copies[i];
    }
    int result = failed ? -1 : attend(p, work->scale, copies, m->lse);
    for (int i = 0; i < ATTENTION_TENSORS; i++) {
        if (to[i] && !failed)
            copy_out(to[i], p->type, i == DK || i == DV ? keys : queries, copies[i]);
        free(copies[i]);
    }
    return result;
}

int library_attention(const AttentionProblem *p, float scale, const AttentionMemory *m) {
    AttentionWork work = {*p, scale, *m};
    return p->width % 8 != 0 ? LIBRARY_DECLINES : emulate_work(run_attention, &work, sizeof work);
}
