// SPDX-License-Identifier: MIT
// Cases of conv2d.
#include "tests/op_cases.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "cpu/cpu.h"

#include <stddef.h>

// A variant's parameters.
enum { BATCH, HEIGHT, WIDTH, CI, CO, KERNEL, STRIDE, PAD_LOW, PAD_HIGH, FLAGS };
enum { BIAS = 1, RESIDUAL = 2, UPSAMPLE = 4, WIDE = 8 }; // WIDE: the kernel is one wider than high

static Conv2dOptions options_of(const int64_t *p) {
    return (Conv2dOptions){.stride = (int)p[STRIDE],
                           .pad_top = (int)p[PAD_LOW],
                           .pad_left = (int)p[PAD_LOW],
                           .pad_bottom = (int)p[PAD_HIGH],
                           .pad_right = (int)p[PAD_HIGH],
                           .upsample2x = (p[FLAGS] & UPSAMPLE) != 0};
}

static int64_t kernel_width(const int64_t *p) {
    return p[KERNEL] + ((p[FLAGS] & WIDE) != 0);
}

static int64_t result_side(const int64_t *p, int64_t side, int64_t kernel) {
    int64_t scale = p[FLAGS] & UPSAMPLE ? 2 : 1;
    return (scale * side + p[PAD_LOW] + p[PAD_HIGH] - kernel) / p[STRIDE] + 1;
}

static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    case_input(run, -1, 1, DIMS(p[BATCH], p[HEIGHT], p[WIDTH], p[CI]));
    case_input(run, -1, 1, DIMS(p[CO], p[KERNEL], kernel_width(p), p[CI]));
    if (p[FLAGS] & BIAS)
        case_input(run, -1, 1, DIMS(p[CO]));
    else
        case_none(run);
    if (p[FLAGS] & RESIDUAL)
        case_input(run, -1, 1,
                   DIMS(p[BATCH], result_side(p, p[HEIGHT], p[KERNEL]),
                        result_side(p, p[WIDTH], kernel_width(p)), p[CO]));
    else
        case_none(run);
}

static Tensor *forward(CaseRun *run) {
    Tensor **in = run->inputs;
    return op_conv2d(in[0], in[1], in[2], in[3], options_of(run->p));
}

// The same image as input and as residual: two contributions to one gradient.
static Tensor *forward_onto_itself(CaseRun *run) {
    Tensor **in = run->inputs;
    return op_conv2d(in[0], in[1], in[2], in[0], options_of(run->p));
}

// Upsampling, convolution and sum as three ops.
static Tensor *composed(CaseRun *run) {
    const int64_t *p = run->p;
    Conv2dOptions options = options_of(p);
    options.upsample2x = false;
    Tensor *x = op_resize_nearest(run->inputs[0], 2 * p[HEIGHT], 2 * p[WIDTH]);
    Tensor *y = op_conv2d(x, run->inputs[1], run->inputs[2], NONE, options);
    return run->inputs[3] == NONE ? y : op_add(y, run->inputs[3]);
}

// A kernel of 1 x 1 as a linear layer over pixels.
static Tensor *pointwise(CaseRun *run) {
    const int64_t *p = run->p;
    Tensor *weight = op_reshape(run->inputs[1], DIMS(p[CO], p[CI]));
    return op_linear(run->inputs[0], weight, run->inputs[2], run->inputs[3]);
}

static double terms(const int64_t *p) {
    double taps = (double)(p[KERNEL] * kernel_width(p));
    double pixels = (double)(p[BATCH] * result_side(p, p[HEIGHT], p[KERNEL]) *
                             result_side(p, p[WIDTH], kernel_width(p)));
    double widest = taps * (double)(p[CI] > p[CO] ? p[CI] : p[CO]) * (p[FLAGS] & UPSAMPLE ? 4 : 1);
    return pixels > widest ? pixels : widest;
}

static double flops(const int64_t *p) {
    return 2 *
           (double)(p[BATCH] * result_side(p, p[HEIGHT], p[KERNEL]) *
                    result_side(p, p[WIDTH], kernel_width(p))) *
           (double)(p[CI] * p[CO] * p[KERNEL] * kernel_width(p));
}

#define CASE(text, ...) \
    { .name = text, .p = {__VA_ARGS__}, .inputs = inputs, .forward = forward, .terms = terms }
#define COMPOSED(text, ...)                                                     \
    {                                                                           \
        .name = text, .p = {__VA_ARGS__}, .inputs = inputs, .forward = forward, \
        .composed = composed, .terms = terms                                    \
    }
// Large enough for the algorithms that only large shapes are given to.
#define LARGE(text, ...)                                                                        \
    {                                                                                           \
        .name = text, .p = {__VA_ARGS__}, .inputs = inputs, .forward = forward, .terms = terms, \
        .no_grad_check = "compared only; smaller shapes are checked"                            \
    }
#define BENCH(channels, height, width, batch)                                          \
    {                                                                                  \
        .name = #channels "@" #height "x" #width " batch " #batch,                     \
        .p = {batch, height, width, channels, channels, 3, 1, 1, 1}, .inputs = inputs, \
        .forward = forward, .terms = terms, .flops = flops, .bench = true              \
    }

// clang-format off
static const OpVariant variants[] = {
    CASE("3x3, padding 1, bias",             2, 5, 7, 3, 5, 3, 1, 1, 1, BIAS),
    CASE("everything of size 1",             1, 1, 1, 1, 1, 1, 1, 0, 0, 0),
    CASE("3x3 on one pixel",                 1, 1, 1, 2, 3, 3, 1, 1, 1, BIAS),
    CASE("stride 2, padding 1, odd sides",   2, 7, 9, 4, 6, 3, 2, 1, 1, BIAS),
    CASE("stride 2, padding bottom, right",  1, 6, 8, 4, 4, 3, 2, 0, 1, BIAS),
    CASE("stride 3, kernel 2 x 3",           2, 8, 9, 2, 3, 2, 3, 1, 0, WIDE),
    CASE("patches: kernel and stride 4",     1, 8, 12, 3, 8, 4, 4, 0, 0, BIAS),
    CASE("residual and bias",                2, 6, 5, 4, 7, 3, 1, 1, 1, BIAS | RESIDUAL),
    CASE("residual, stride 2, no bias",      1, 6, 6, 4, 5, 3, 2, 1, 1, RESIDUAL),
    CASE("no padding, prime channels",       2, 6, 7, 11, 13, 3, 1, 0, 0, 0),
    COMPOSED("upsampled",                        2, 3, 5, 4, 6, 3, 1, 1, 1, BIAS | UPSAMPLE),
    COMPOSED("upsampled, residual",              1, 4, 3, 3, 2, 3, 1, 1, 1, BIAS | RESIDUAL | UPSAMPLE),
    COMPOSED("upsampled, stride 2",              1, 4, 5, 3, 2, 3, 2, 0, 1, UPSAMPLE),
    CASE("4 to 16 channels",                 2, 9, 11, 4, 16, 3, 1, 1, 1, BIAS),
    CASE("16 to 3 channels",                 2, 9, 11, 16, 3, 3, 1, 1, 1, BIAS),
    LARGE("32 channels, 3x3",                 2, 16, 16, 32, 32, 3, 1, 1, 1, BIAS | RESIDUAL),
    LARGE("48 to 32 channels, 3x3, 13 x 10",  3, 13, 10, 48, 32, 3, 1, 1, 1, BIAS),
    LARGE("32 channels, upsampled",           2, 8, 8, 32, 16, 3, 1, 1, 1, BIAS | UPSAMPLE),
    LARGE("64 channels at 29 x 37",          1, 29, 37, 64, 64, 3, 1, 1, 1, BIAS | RESIDUAL),
    LARGE("80 to 64 channels, upsampled",    2, 12, 14, 80, 64, 3, 1, 1, 1, BIAS | UPSAMPLE),
    LARGE("64 to 80 channels, batch 3",      3, 20, 18, 64, 80, 3, 1, 1, 1, 0),
    CASE("large weights on 2 pixels",        1, 2, 1, 31, 33, 3, 1, 1, 1, BIAS | RESIDUAL),
    CASE("large weights, stride 2",          2, 2, 2, 31, 33, 3, 2, 1, 1, BIAS),
    CASE("large weights, upsampled",         1, 1, 1, 43, 45, 3, 1, 1, 1, RESIDUAL | UPSAMPLE),
    {.name = "1x1 is a linear layer", .p = {2, 5, 3, 7, 9, 1, 1, 0, 0, BIAS | RESIDUAL},
     .inputs = inputs, .forward = forward, .composed = pointwise, .terms = terms},
    {.name = "residual is the input", .p = {2, 4, 5, 6, 6, 3, 1, 1, 1, BIAS},
     .inputs = inputs, .forward = forward_onto_itself, .terms = terms},
    BENCH(320, 60, 80, 1),
    BENCH(640, 30, 40, 1),
    BENCH(1280, 15, 20, 1),
    BENCH(512, 60, 80, 1),
    BENCH(512, 120, 160, 1),
    BENCH(256, 240, 320, 1),
    BENCH(128, 480, 640, 1),
    BENCH(48, 16, 16, 8),
    BENCH(64, 8, 8, 8),
};
// clang-format on

// ---- known --------------------------------------------------------------------------------------

// One channel, 1, 2, 3, ... in rows.
static Tensor *counted(int64_t rows, int64_t columns) {
    double values[16];
    for (int i = 0; i < 16; i++) values[i] = i + 1;
    return case_leaf(F64, values, DIMS(1, rows, columns, 1));
}

static int known_stride_two(void) {
    const double unet[] = {111, 217, 363, 573}, vae[] = {348, 252, 274, 175};
    Tensor *x = counted(4, 4), *weight = counted(3, 3);
    Conv2dOptions even = {.stride = 2, 1, 1, 1, 1}, corner = {.stride = 2, 0, 0, 1, 1};
    int result = case_expect("padding 1", op_conv2d(x, weight, NONE, NONE, even), unet, 4, 1e-12);
    if (result != 0) return result;
    return case_expect("padding bottom and right", op_conv2d(x, weight, NONE, NONE, corner), vae, 4,
                       1e-12);
}

static int known_frozen_weight(void) {
    Tensor *x = counted(4, 4), *weight = counted(3, 3);
    weight->needs_grad = false;
    tape_record(true);
    Tensor *y = op_conv2d(x, weight, NONE, NONE, (Conv2dOptions){.stride = 1});
    const double one[] = {1, 0, 0, 0}, dx[] = {1, 2, 3, 0, 4, 5, 6, 0, 7, 8, 9, 0, 0, 0, 0, 0};
    if (!y || tape_backward_from(y, case_leaf(F64, one, DIMS(1, 2, 2, 1))) != 0) return -1;
    if (weight->has_grad) return error_int("a frozen weight received a gradient");
    return case_expect("input gradient", x->grad, dx, 16, 0);
}

// A number that follows from every bit of a tensor's values.
static uint64_t bits_of(const Tensor *tensor, uint64_t sum) {
    const unsigned char *bytes = tensor->data;
    for (size_t i = 0; i < tensor_bytes(tensor); i++) sum = (sum ^ bytes[i]) * 0x100000001B3u;
    return sum;
}

static uint64_t bits_of_run(void) {
    CaseRun run = {.p = (const int64_t[CASE_PARAMETERS]){2, 23, 29, 64, 80, 3, 1, 1, 1, BIAS},
                   .real = F32,
                   .rng = rng_stream(5, "same bits", 0, 0)};
    inputs(&run);
    tape_record(true);
    Tensor *y = run.failed ? NULL : tape_keep(forward(&run));
    uint64_t bits = 0;
    if (y && tape_backward_from(y, y) == 0) {
        bits = bits_of(y, 1);
        for (int i = 0; i < 3; i++) bits = bits_of(run.inputs[i]->grad, bits);
    }
    tape_record(false);
    tape_reset();
    for (int i = 0; i < run.count; i++) tensor_free(run.inputs[i]);
    return bits;
}

static int known_same_bits(void) {
    backend_use(cpu_backend());
    uint64_t first = bits_of_run(), second = bits_of_run();
    if (first == 0) return error_int("the run failed");
    return first == second ? 0 : error_int("two runs gave different bits");
}

static const OpKnown knowns[] = {
    {"the fast kernels give the same bits twice", known_same_bits},
    {"3x3 stride 2 agrees with both published paddings", known_stride_two},
    {"a frozen weight leaves the input gradient alone", known_frozen_weight},
};

// ---- reject -------------------------------------------------------------------------------------

static Tensor *run_with(int64_t channels, int64_t side, Conv2dOptions options, Tensor *bias,
                        Tensor *residual) {
    double zeros[64] = {0};
    Tensor *x = case_leaf(F32, zeros, DIMS(1, side, side, 2));
    Tensor *weight = case_leaf(F32, zeros, DIMS(2, 3, 3, channels));
    return op_conv2d(x, weight, bias, residual, options);
}

static Tensor *channels_differ(void) {
    return run_with(3, 4, (Conv2dOptions){.stride = 1}, NONE, NONE);
}
static Tensor *stride_zero(void) {
    return run_with(2, 4, (Conv2dOptions){.stride = 0}, NONE, NONE);
}
static Tensor *padding_negative(void) {
    return run_with(2, 4, (Conv2dOptions){.stride = 1, .pad_left = -1}, NONE, NONE);
}
static Tensor *result_empty(void) {
    return run_with(2, 2, (Conv2dOptions){.stride = 1}, NONE, NONE);
}
static Tensor *bias_of_three(void) {
    const double zeros[3] = {0};
    return run_with(2, 4, (Conv2dOptions){.stride = 1}, case_leaf(F32, zeros, DIMS(3)), NONE);
}
static Tensor *residual_too_small(void) {
    const double zeros[2] = {0};
    return run_with(2, 4, (Conv2dOptions){.stride = 1}, NONE,
                    case_leaf(F32, zeros, DIMS(1, 1, 1, 2)));
}
static Tensor *integer_input(void) {
    const double zeros[18] = {0};
    return op_conv2d(case_leaf(I32, zeros, DIMS(1, 3, 3, 2)),
                     case_leaf(F32, zeros, DIMS(1, 3, 3, 2)), NONE, NONE,
                     (Conv2dOptions){.stride = 1});
}

static const OpReject rejects[] = {
    {"rejects channels that differ", channels_differ, "[1,4,4,2] f32 has 2 channels"},
    {"rejects stride 0", stride_zero, "conv2d: stride 0"},
    {"rejects negative padding", padding_negative, "conv2d: padding 0 -1 0 0"},
    {"rejects a kernel larger than the image", result_empty, "conv2d: x [1,2,2,2] f32 with its"},
    {"rejects a bias of another length", bias_of_three, "conv2d: bias [3] f32"},
    {"rejects a residual of another shape", residual_too_small, "expected [1,2,2,2] f32"},
    {"rejects integers", integer_input, "conv2d: [1,3,3,2] i32 must be"},
};

const OpCase case_conv2d = {
    "conv2d", variants,          CASE_COUNT(variants), rejects, CASE_COUNT(rejects),
    knowns,   CASE_COUNT(knowns)};
