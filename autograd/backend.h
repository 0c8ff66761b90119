// SPDX-License-Identifier: MIT
// What a device must provide: memory, copies, and one forward and one backward kernel per op.
//
// A kernel takes only its args struct (ops.h). Forward reads inputs and writes outputs. Backward
// reads the gradient of output 0 (`grad`, always present), the tensors that the op's saves function
// names, and for every input with `needs_grad` writes `grad`: adds to it when the input
// `has_grad`, otherwise overwrites every element. The tape allocates gradients before, and sets
// `has_grad` after. Kernels return 0, or -1 with an error; they may trust the shapes.
#ifndef AUTOGRAD_BACKEND_H
#define AUTOGRAD_BACKEND_H

#include "autograd/ops.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct {
    size_t live;  // bytes in use by tensors
    size_t peak;  // largest `live` since reset_stats
    size_t held;  // bytes taken from the system, cached ones included
    double flops; // arithmetic planned since reset_stats (the plan back end only)
    // Of a device with memory and time of its own; counted since the program began:
    size_t room;         // bytes of memory that it has; 0: unknown
    int64_t allocations; // blocks taken from the system, page-locked ones included
    int64_t waits;       // times the host waited until the device had done all that it was given
    int64_t replays;     // of recorded work
} BackendStats;

// Which work a recording is of; its meaning is the caller's.
enum { RECORD_KEY = 4 };
typedef struct {
    int64_t parts[RECORD_KEY];
} RecordKey;
typedef enum {
    RECORD_PLAIN,    // do the work
    RECORD_OPEN,     // call the work's functions, then record_end: nothing is done before
    RECORD_REPLAYED, // it is done
    RECORD_FAILED
} RecordState;
enum { FETCH_SLOTS = 2, FETCH_BYTES = 64 };

// The sides of a convolution as its kernels see them: H and W are those that the weight slides
// over, twice x's with upsample2x.
typedef struct {
    int64_t N, H, W, Ci, Ho, Wo, Co, kh, kw, stride, top, left, bottom, right;
} ConvShape;
ConvShape conv_shape(const conv2d_args *args);

// What changes from step to step, and what a step finds. Each lies in a tensor of doubles, so that
// no kernel's argument depends on it and recorded work can be replayed.
typedef struct {
    double lr, number; // of this update, counted from 1
} StepGiven;
typedef struct {
    double loss;
    double square; // sum of the gradients' squares, before clipping
    double scale;  // multiplies every gradient; 1 for none
    double stop;   // not 0: a number was not finite, parameters and moments stay as they are
} StepFound;
enum { STEP_GIVEN = sizeof(StepGiven) / sizeof(double) };
enum { STEP_FOUND = sizeof(StepFound) / sizeof(double) };

// One AdamW update over a list of parameters, in place, unless found->stop. Every array has `count`
// entries; tensors are F32. With lr the given one times rates[i], t its number, g the gradient
// times found->scale:
// p <- p (1 - lr wd); m <- b1 m + (1-b1) g; v <- b2 v + (1-b2) g^2;
// p <- p - lr (m/(1-b1^t)) / (sqrt(v)/sqrt(1-b2^t) + eps). Source: Loshchilov and Hutter 2019.
typedef struct {
    int64_t count;
    Tensor **params, **m, **v; // gradients are params[i]->grad
    const double *rates;       // [count]
    double beta1, beta2, eps, weight_decay;
    const Tensor *given, *found; // a StepGiven, a StepFound
} AdamwArgs;

struct Backend {
    const char *name;
    const char *kernels;          // what, beside shapes and threads, decides the last bits; or NULL
    bool bf16;                    // tensors may be BF16
    bool host_memory;             // tensors may lie in memory of the process (tensor_borrow)
    bool shapes_only;             // values are never read or written
    void *(*alloc)(size_t bytes); // 64-byte aligned; NULL when there is no memory left
    void (*free)(void *memory, size_t bytes);
    int (*write)(void *to, const void *host, size_t bytes);
    int (*read)(void *host, const void *from, size_t bytes);
    int (*copy)(void *to, const void *from, size_t bytes);
    int (*fill)(Tensor *tensor, double value);
    int (*add_to)(Tensor *to, const Tensor *from); // to += from
    // Sum of squares over all elements of all tensors, in double, independent of thread count.
    int (*sum_of_squares)(Tensor *const *tensors, int64_t count, double *result);
    // The same into found->square, and found->scale = min(1, limit / (its root + 1e-6)), 1 for
    // limit 0; sets found->stop when the sum is not finite. The host waits for nothing.
    int (*clip)(Tensor *const *tensors, int64_t count, double limit, Tensor *found);
    int (*adamw)(const AdamwArgs *args);
    // Every tensor (F32), found->loss and found->stop become their sums over the processes of the
    // job (base/job.h), the same bits in all; the rest of `found` is lost. All processes call it,
    // with tensors of the same shapes. In a job of one it does nothing.
    int (*all_reduce)(Tensor *const *tensors, int64_t count, Tensor *found);
    // (optional, all or none) Work without the host. note_loss: found->loss (0 if `first`) plus
    // share times the one value of `loss`; found->stop when that is not finite. fetch_begin asks
    // for at most FETCH_BYTES of memory as they are then; fetch_end gives them when they are there,
    // and waits for nothing that was asked for later.
    int (*note_loss)(const Tensor *loss, double share, bool first, Tensor *found);
    int (*fetch_begin)(int slot, const void *from, size_t bytes);
    int (*fetch_end)(int slot, void *host, size_t bytes);
    // (with those) Recording: work of a key is done plainly at first, then recorded, then replayed
    // with the same memory and arguments; it must neither read nor write from the host, and give
    // back all memory that it takes. record_end: 0 when the work is recorded and done, 1 when it
    // could not be and is to be done plainly (stderr says why). record_forget: before any tensor
    // goes that recorded work names.
    RecordState (*record_begin)(const RecordKey *key);
    int (*record_end)(bool good);
    void (*record_forget)(void);
    BackendStats (*stats)(void);
    void (*reset_stats)(void); // peak = live, flops = 0
    // (optional) Whose memory y may take, x's or the residual's: conv2d_forward then writes y from
    // where that begins. y has its shape only. NULL: nobody's.
    Tensor *(*conv2d_over)(const conv2d_args *args);
    void (*trim)(void); // (optional) gives cached memory back to the system
#define OP(name, inputs, outputs)                   \
    int (*name##_forward)(const name##_args *args); \
    int (*name##_backward)(const name##_args *args);
    OP_LIST(OP)
#undef OP
};

// The back end that new tensors and ops use, per thread. cli/ and tests/ set it; the rest asks.
void backend_use(const Backend *backend);
const Backend *backend_current(void);

// Runs one op's kernel by its number; args is the op's args struct.
int backend_forward(const Backend *backend, OpKind kind, const void *args);
int backend_backward(const Backend *backend, OpKind kind, const void *args);

// Knows shapes only: memory is counted, not taken, kernels count FLOPs. Runs any step to tell its
// peak memory and arithmetic before anything is computed. Values are never read or written.
const Backend *plan_backend(void);
// Called for every kernel that the plan back end is asked for, with the op's args struct; what it
// returns is the kernel's result. For tests of what the back ends are asked; NULL: nobody watches.
typedef int (*PlanWatch)(OpKind kind, const void *args, bool backward);
void plan_backend_watch(PlanWatch watch);

#ifdef __cplusplus
}
#endif
#endif
