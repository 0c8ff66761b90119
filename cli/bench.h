// SPDX-License-Identifier: MIT
// What the subjects of `p2s bench` share. One file per subject: cli/bench_<subject>.c.
#ifndef CLI_BENCH_H
#define CLI_BENCH_H

#include "autograd/tensor.h"
#include "cli/arguments.h"

#include <jansson.h>

typedef struct {
    bool json;
    const char *only; // ops: one op, or "sd2"
    const char *model, *kind, *size, *inputs;
    const char *device, *type; // type: f32, tf32 or bf16, as train.precision
    const char *out;           // tune: the table
    int64_t threads, batch, tokens, instances;
    double seconds;                  // of measuring, per case
    Integers n, batches;             // batches: of a step; batch is the first
    const char *data, *path, *split; // loader: the set
    Integers workers;
    int64_t count;
    int64_t height, width; // from size
} BenchOptions;

// A subject; 0, or -1 and an error.
int bench_ops(const BenchOptions *options);
int bench_loss(const BenchOptions *options);
int bench_loader(const BenchOptions *options);
int bench_step(const BenchOptions *options);
int bench_unet(const BenchOptions *options);
int bench_predict(const BenchOptions *options);
int bench_tune(const BenchOptions *options);
int bench_plans(const BenchOptions *options); // bench tune --device cuda

// One training step of bench_step, neither timed nor said.
int bench_step_once(const BenchOptions *options);

// Prints one row: an object on a line of its own, or text for people. Takes the object; NULL is
// an error.
int bench_say(const BenchOptions *options, json_t *row);

// Median seconds of what `work` reports, after one run that does not count, over at least `least`
// runs and `seconds`, at most 50. work returns the seconds that count, or below 0 after an error.
// -1 and an error on failure.
typedef double (*BenchWork)(void *context);
double bench_median(BenchWork work, void *context, double seconds, int least);

// Waits until the device has done what it was asked so far, of which `tensor` is a part. Returns
// -1 and an error when that failed.
int bench_wait(const Tensor *tensor);

// Labels [H,W] of nearest of n random points, 0..n-1, the same as colours would name: an image of n
// regions, the first of which is background.
int bench_voronoi(int64_t n, int64_t height, int64_t width, uint64_t seed, int32_t *labels);

#endif
