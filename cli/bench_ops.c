// SPDX-License-Identifier: MIT
// p2s bench ops: the four families that a step of Stable Diffusion 2 consists of, at its shapes for
// 480x640 pixels, then the benchmark case of every op.
#include "cli/bench.h"

#include "autograd/backend.h"
#include "autograd/rng.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/clock.h"
#include "cli/machine.h"
#include "cpu/cpu.h"
#include "tests/op_cases.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_LEAVES = 3, LEAST = 3, PERIOD = 1 << 20 }; // of random numbers, which repeat

// One case: leaves, how to make the result from them, and what is timed.
typedef struct Work {
    Tensor *leaves[MAX_LEAVES];
    Tensor *(*forward)(struct Work *work);
    int heads;
    bool backward; // time the gradient of the result, otherwise the result
} Work;

static Tensor *random_leaf(Dtype type, int ndim, const int64_t *shape) {
    Tensor *leaf = tensor_new(type, ndim, shape);
    float *values = leaf ? array_new((size_t)tensor_numel(leaf), sizeof *values) : NULL;
    Rng rng = rng_stream(1, "bench", 0, 0);
    for (int64_t i = 0; values && i < tensor_numel(leaf); i++)
        values[i] = i < PERIOD ? (float)rng_uniform(&rng) : values[i - PERIOD];
    if (!values || tensor_write_float(leaf, values) != 0) {
        tensor_free(leaf);
        leaf = NULL;
    }
    free(values);
    return leaf;
}

// Parameters stay F32.
static Dtype type_of(const BenchOptions *options) {
    return strcmp(options->type, "bf16") == 0 ? BF16 : F32;
}

static void work_done(Work *work) {
    for (int i = 0; i < MAX_LEAVES; i++) tensor_free(work->leaves[i]);
    tape_reset();
}

static double run(void *context) {
    Work *work = context;
    tape_record(true);
    double start = clock_seconds();
    Tensor *y = work->forward(work);
    bool done = y && bench_wait(y) == 0;
    double seconds = clock_seconds() - start;
    Tensor *dy = done && work->backward ? tensor_new(y->dtype, y->ndim, y->shape) : NULL;
    if (dy && tensor_fill(dy, 0.5) == 0 && bench_wait(dy) == 0) {
        start = clock_seconds();
        done = tape_backward_from(y, dy) == 0 && bench_wait(dy) == 0;
        seconds = clock_seconds() - start;
    } else if (work->backward) {
        done = false;
    }
    tensor_free(dy);
    tape_record(false);
    for (int i = 0; i < MAX_LEAVES; i++)
        if (work->leaves[i]) tensor_clear_grad(work->leaves[i]);
    tape_reset();
    return done ? seconds : -1;
}

// What asking the device and waiting for it takes by itself: no time of its kernels.
static double latency;

// Bit i of `gradients`: leaf i needs one.
static double time_of(Work *work, const BenchOptions *options, bool backward, unsigned gradients) {
    for (int i = 0; i < MAX_LEAVES; i++) {
        if (!work->leaves[i]) continue;
        work->leaves[i]->needs_grad = gradients >> i & 1;
    }
    work->backward = backward;
    const double spend = options->seconds < 0 ? 0.5 : options->seconds;
    const double seconds = bench_median(run, work, spend, LEAST);
    return seconds < 0 ? seconds : fmax(seconds - latency, 1e-9);
}

static Tensor *conv_forward(Work *work) {
    const Conv2dOptions same = {.stride = 1, 1, 1, 1, 1};
    return op_conv2d(work->leaves[0], work->leaves[1], NONE, NONE, same);
}

static int bench_conv(const BenchOptions *options, const MachinePeak *peak,
                      const int64_t sides[4]) {
    static const char *const passes[] = {"forward", "input_gradient", "weight_gradient"};
    const int64_t in = sides[0], out = sides[1], height = sides[2], width = sides[3];
    const int64_t batch = options->batch > 0 ? options->batch : 1;
    const double flops = 18.0 * (double)(batch * in * out * height * width);
    Work work = {.leaves = {random_leaf(type_of(options), DIMS(batch, height, width, in)),
                            random_leaf(F32, DIMS(out, 3, 3, in))},
                 .forward = conv_forward};
    int result = work.leaves[0] && work.leaves[1] ? 0 : -1;
    for (int pass = 0; result == 0 && pass < 3; pass++) {
        const double seconds = time_of(&work, options, pass > 0, (unsigned)pass);
        if (seconds < 0) result = -1;
        if (result != 0) break;
        const double gflops = flops / seconds / 1e9;
        char shape[64], to[32] = "";
        if (in != out) snprintf(to, sizeof to, ">%lld", (long long)out);
        snprintf(shape, sizeof shape, "%lld%s@%lldx%lld", (long long)in, to, (long long)height,
                 (long long)width);
        result = bench_say(options, json_pack("{s:s,s:s,s:s,s:I,s:f,s:f,s:f}", "case", "conv3x3",
                                              "shape", shape, "pass_", passes[pass], "batch",
                                              (json_int_t)batch, "seconds", seconds, "gflops",
                                              gflops, "share", gflops / machine_gflops(peak)));
    }
    work_done(&work);
    return result;
}

static Tensor *attention_forward(Work *work) {
    return op_attention(work->leaves[0], work->leaves[1], work->leaves[2], NONE, work->heads, 0.125,
                        false);
}

static int bench_attention(const BenchOptions *options, const MachinePeak *peak, int heads,
                           int64_t tokens, int64_t keys) {
    const int64_t width = 64 * heads;
    const double flops = 4.0 * (double)(tokens * keys * width);
    const Dtype type = type_of(options);
    Work work = {.leaves = {random_leaf(type, DIMS(1, tokens, width)),
                            random_leaf(type, DIMS(1, keys, width)),
                            random_leaf(type, DIMS(1, keys, width))},
                 .forward = attention_forward,
                 .heads = heads};
    const bool made = work.leaves[0] && work.leaves[1] && work.leaves[2];
    const double forward = made ? time_of(&work, options, false, 7) : -1;
    const double backward = forward < 0 ? -1 : time_of(&work, options, true, 7);
    work_done(&work);
    if (backward < 0) return -1;
    char shape[64];
    snprintf(shape, sizeof shape, "%dx%lldx%lldx64", heads, (long long)tokens, (long long)keys);
    const double gflops = flops / forward / 1e9;
    return bench_say(options, json_pack("{s:s,s:s,s:f,s:f,s:f,s:f}", "case", "attention", "shape",
                                        shape, "forward", forward, "backward", backward, "gflops",
                                        gflops, "share", gflops / machine_gflops(peak)));
}

static Tensor *linear_forward(Work *work) {
    return op_linear(work->leaves[0], work->leaves[1], NONE, NONE);
}

static int bench_linear(const BenchOptions *options, const MachinePeak *peak, int64_t tokens,
                        int64_t inner, int64_t outer) {
    Work work = {.leaves = {random_leaf(type_of(options), DIMS(tokens, inner)),
                            random_leaf(F32, DIMS(outer, inner))},
                 .forward = linear_forward};
    const bool made = work.leaves[0] && work.leaves[1];
    const double seconds = made ? time_of(&work, options, false, 0) : -1;
    work_done(&work);
    if (seconds < 0) return -1;
    char shape[64];
    snprintf(shape, sizeof shape, "%lldx%lld->%lld", (long long)tokens, (long long)inner,
             (long long)outer);
    const double gflops = 2.0 * (double)(tokens * inner * outer) / seconds / 1e9;
    return bench_say(options,
                     json_pack("{s:s,s:s,s:f,s:f,s:f}", "case", "linear", "shape", shape, "seconds",
                               seconds, "gflops", gflops, "share", gflops / machine_gflops(peak)));
}

static Tensor *norm_forward(Work *work) {
    return op_group_norm(work->leaves[0], work->leaves[1], work->leaves[2], 32, 1e-5, true);
}

static int bench_norm(const BenchOptions *options, const MachinePeak *peak, int64_t channels,
                      int64_t height, int64_t width) {
    Work work = {.leaves = {random_leaf(type_of(options), DIMS(1, height, width, channels)),
                            random_leaf(F32, DIMS(channels)), random_leaf(F32, DIMS(channels))},
                 .forward = norm_forward};
    const bool made = work.leaves[0] && work.leaves[1] && work.leaves[2];
    const double forward = made ? time_of(&work, options, false, 7) : -1;
    const double backward = forward < 0 ? -1 : time_of(&work, options, true, 7);
    work_done(&work);
    if (backward < 0) return -1;
    char shape[64];
    snprintf(shape, sizeof shape, "%lld@%lldx%lld", (long long)channels, (long long)height,
             (long long)width);
    // Read once and written once: what no implementation can do without.
    const double gbps = 2.0 * (double)dtype_size(type_of(options)) *
                        (double)(channels * height * width) / forward / 1e9;
    return bench_say(options, json_pack("{s:s,s:s,s:f,s:f,s:f,s:f}", "case", "group_norm+silu",
                                        "shape", shape, "forward", forward, "backward", backward,
                                        "gbps", gbps, "share", gbps / peak->copy_gbps));
}

static int bench_families(const BenchOptions *options, const MachinePeak *peak) {
    static const int64_t convs[][4] = {
        {320, 320, 60, 80},   {640, 640, 30, 40},   {1280, 1280, 15, 20}, {512, 512, 60, 80},
        {512, 512, 120, 160}, {256, 256, 240, 320}, {128, 128, 480, 640}, // and the decoder's rest:
        {512, 512, 240, 320}, {512, 256, 240, 320}, {256, 256, 480, 640}, {256, 128, 480, 640}};
    const size_t conv_count = backend_current()->host_memory ? 7 : ARGUMENTS_COUNT(convs);
    static const int64_t attentions[][3] = {
        {5, 4800, 4800}, {10, 1200, 1200}, {20, 300, 300}, {5, 4800, 77}};
    static const int64_t linears[][3] = {
        {4800, 320, 2560}, {4800, 1280, 320}, {1200, 640, 5120}, {300, 1280, 10240}};
    static const int64_t norms[][3] = {{320, 60, 80}, {128, 480, 640}};
    int result = 0;
    for (size_t i = 0; result == 0 && i < conv_count; i++)
        result = bench_conv(options, peak, convs[i]);
    for (size_t i = 0; result == 0 && i < ARGUMENTS_COUNT(attentions); i++)
        result = bench_attention(options, peak, (int)attentions[i][0], attentions[i][1],
                                 attentions[i][2]);
    for (size_t i = 0; result == 0 && i < ARGUMENTS_COUNT(linears); i++)
        result = bench_linear(options, peak, linears[i][0], linears[i][1], linears[i][2]);
    for (size_t i = 0; result == 0 && i < ARGUMENTS_COUNT(norms); i++)
        result = bench_norm(options, peak, norms[i][0], norms[i][1], norms[i][2]);
    return result;
}

// What a device with memory of its own reaches: the largest product and copy, of the type that is
// timed.
static int device_peak(const BenchOptions *options, MachinePeak *peak) {
    enum { ROUNDS = 10 };
    const int side = options->seconds == 0 ? 1024 : 8192; // 0: only that it runs
    Tensor *a = random_leaf(type_of(options), DIMS(1, side, side)),
           *b = random_leaf(type_of(options), DIMS(1, side, side));
    const size_t bytes = a ? tensor_bytes(a) : 0;
    double product = 1e9, copy = 1e9;
    int result = a && b ? 0 : -1;
    for (int round = 0; result == 0 && round < ROUNDS; round++) {
        double start = clock_seconds();
        Tensor *c = op_matmul(a, b, false, false);
        result = c ? bench_wait(c) : -1;
        product = fmin(product, clock_seconds() - start);
        tape_reset();
        start = clock_seconds();
        for (int i = 0; result == 0 && i < ROUNDS; i++)
            result = backend_current()->copy(b->data, a->data, bytes);
        if (result == 0) result = bench_wait(b);
        copy = fmin(copy, (clock_seconds() - start) / ROUNDS);
    }
    latency = 1;
    for (int round = 0; result == 0 && round < ROUNDS; round++) {
        double start = clock_seconds();
        result = backend_current()->copy(b->data, a->data, sizeof(float));
        if (result == 0) result = bench_wait(b);
        latency = fmin(latency, clock_seconds() - start);
    }
    product = fmax(product - latency, 1e-9);
    copy = fmax(copy - latency / ROUNDS, 1e-9);
    tensor_free(a);
    tensor_free(b);
    *peak = (MachinePeak){.matmul_gflops = 2.0 * pow(side, 3) / product / 1e9,
                          .copy_gbps = 2.0 * (double)bytes / copy / 1e9};
    return result;
}

int bench_ops(const BenchOptions *options) {
    MachinePeak peak;
    const bool device = !backend_current()->host_memory;
    if ((device ? device_peak(options, &peak) : machine_peak(&peak)) != 0) return -1;
    int result =
        bench_say(options, json_pack("{s:s,s:s,s:f,s:f,s:f,s:f,s:i}", "case", "machine", "type",
                                     options->type, "fma_gflops", peak.fma_gflops, "matmul_gflops",
                                     peak.matmul_gflops, "copy_gbps", peak.copy_gbps,
                                     "latency_seconds", latency, "threads", cpu_threads()));
    const bool families = options->only && strcmp(options->only, "sd2") == 0;
    if (result == 0 && (families || !options->only)) result = bench_families(options, &peak);
    if (result != 0 || families) return result;
    const CaseBench how = {.backend = backend_current(),
                           .real = type_of(options),
                           .gflops = machine_gflops(&peak),
                           .gbps = peak.copy_gbps,
                           .latency = latency};
    const int failed = op_cases_bench(&how, options->only, options->json, stdout);
    return failed > 0 ? error_int("%d cases could not be timed", failed) : failed;
}
