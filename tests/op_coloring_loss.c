// SPDX-License-Identifier: MIT
// Cases of the coloring loss.
#include "tests/op_cases.h"

#include <math.h>
#include <stddef.h>
#include <stdlib.h>

enum { LABELS_ALL, LABELS_SKIP, LABELS_IGNORE };
enum { TERM_VARIANCE = 1, TERM_SEPARATION = 2, TERM_MEAN = 4, TERM_ALL = 7 };

// p: form, N, H, W, instances, what labels look like, terms, cap, no background in the second
// image, highest value of a prediction
static int32_t label_at(const int64_t *p, int64_t i) {
    int32_t label = (int32_t)((i * 7 + i / 5 * 3) % (p[4] + 1));
    if (p[5] == LABELS_SKIP && label > 2) label += 2;
    return p[5] == LABELS_IGNORE && i % 6 == 0 ? -1 : label;
}

static void inputs(CaseRun *run) {
    const int64_t *p = run->p;
    int64_t pixels = p[1] * p[2] * p[3];
    double *labels = malloc((size_t)pixels * sizeof *labels);
    for (int64_t i = 0; labels && i < pixels; i++) labels[i] = label_at(p, i);
    run->failed = run->failed || !labels;
    if (run->failed) return;
    case_input(run, 0, (double)p[9], DIMS(p[1], p[2], p[3], 3));
    case_constant(run, I32, labels, DIMS(p[1], p[2], p[3]));
    free(labels);
    const double flags[] = {0, 1, 0}, prompts[] = {2, 0, 1, 0, 0, 0, 3, 3, 20};
    if (p[8])
        case_constant(run, I32, flags, DIMS(p[1]));
    else
        case_none(run);
    if (p[0] == COLORING_PROMPTED)
        case_constant(run, I32, prompts, DIMS(p[1], 3));
    else
        case_none(run);
}

static Tensor *forward(CaseRun *run) {
    const int64_t *p = run->p;
    Tensor *const *in = run->inputs;
    ColoringOptions options = coloring_options_default((ColoringForm)p[0]);
    if (!(p[6] & TERM_VARIANCE)) options.variance = 0;
    if (!(p[6] & TERM_SEPARATION)) options.separation = 0;
    if (!(p[6] & TERM_MEAN)) options.mean = 0;
    options.cap = (int)p[7];
    return op_coloring_loss(in[0], in[1], in[2], in[3], options);
}

static double terms(const int64_t *p) {
    return (double)(p[1] * p[2] * p[3] * (p[4] + 1));
}

static double flops(const int64_t *p) {
    return 22 * terms(p);
}

#define COMMON .inputs = inputs, .forward = forward, .terms = terms, .flops = flops
static const OpVariant variants[] = {
    {.name = "code", .p = {COLORING_CODE, 1, 5, 7, 3, LABELS_ALL, TERM_ALL, 0, 0, 6}, COMMON},
    {.name = "code, two images, no background in one",
     .p = {COLORING_CODE, 2, 3, 7, 3, LABELS_ALL, TERM_ALL, 0, 1, 9},
     COMMON},
    {.name = "code, ids missing",
     .p = {COLORING_CODE, 1, 5, 5, 4, LABELS_SKIP, TERM_ALL, 0, 0, 6},
     COMMON},
    {.name = "code, ignored pixels",
     .p = {COLORING_CODE, 2, 5, 5, 3, LABELS_IGNORE, TERM_ALL, 0, 0, 6},
     COMMON},
    {.name = "code, cap 3",
     .p = {COLORING_CODE, 2, 5, 5, 5, LABELS_ALL, TERM_ALL, 3, 1, 6},
     COMMON},
    {.name = "code, variance only",
     .p = {COLORING_CODE, 1, 3, 5, 2, LABELS_ALL, TERM_VARIANCE, 0, 0, 6},
     COMMON},
    {.name = "code, separation only",
     .p = {COLORING_CODE, 1, 3, 5, 2, LABELS_ALL, TERM_SEPARATION, 0, 0, 6},
     COMMON},
    {.name = "code, mean only",
     .p = {COLORING_CODE, 1, 3, 5, 2, LABELS_ALL, TERM_MEAN, 0, 0, 6},
     COMMON},
    {.name = "code, 0..255, 7 instances",
     .p = {COLORING_CODE, 1, 7, 11, 7, LABELS_ALL, TERM_ALL, 0, 0, 255},
     COMMON},
    {.name = "paper", .p = {COLORING_PAPER, 1, 5, 7, 3, LABELS_ALL, TERM_ALL, 0, 0, 6}, COMMON},
    {.name = "paper, two images, no background in one",
     .p = {COLORING_PAPER, 2, 3, 7, 3, LABELS_IGNORE, TERM_ALL, 0, 1, 6},
     COMMON},
    {.name = "prompted, three images, unused and double slots",
     .p = {COLORING_PROMPTED, 3, 5, 5, 3, LABELS_ALL, TERM_ALL, 0, 0, 6},
     COMMON},
    {.name = "prompted, no background in one",
     .p = {COLORING_PROMPTED, 3, 5, 5, 3, LABELS_ALL, TERM_ALL, 0, 1, 6},
     COMMON},
    {.name = "prompted, ignored pixels",
     .p = {COLORING_PROMPTED, 2, 5, 5, 3, LABELS_IGNORE, TERM_ALL, 0, 0, 6},
     COMMON},
    {.name = "code, 61x67, 29 instances",
     .p = {COLORING_CODE, 1, 61, 67, 29, LABELS_IGNORE, TERM_ALL, 0, 0, 255},
     COMMON,
     .no_grad_check = "large"},
    {.name = "code, 23x31, values up to 9e18",
     .p = {COLORING_CODE, 1, 23, 31, 5, LABELS_ALL, TERM_ALL, 0, 0, 9000000000000000000},
     COMMON,
     .no_grad_check = "no smooth part"},
    {.name = "480x640, 50 instances",
     .p = {COLORING_CODE, 1, 480, 640, 50, LABELS_ALL, TERM_ALL, 0, 0, 255},
     COMMON,
     .bench = true},
    {.name = "480x640, 1000 instances",
     .p = {COLORING_CODE, 1, 480, 640, 1000, LABELS_ALL, TERM_ALL, 0, 0, 255},
     COMMON,
     .bench = true},
};

// The eight pixels of method 2.4, once or twice.
static const double vector_pixels[] = {
    2, 0, 1, 0, 3, 0, 100, 20, 30, 104, 20, 28, 5, 1, 0, 60, 60, 200, 62, 58, 204, 98, 22, 32,
    2, 0, 1, 0, 3, 0, 100, 20, 30, 104, 20, 28, 5, 1, 0, 60, 60, 200, 62, 58, 204, 98, 22, 32};
static const double vector_labels[] = {0, 0, 1, 1, 0, 2, 2, 1, 0, 0, 1, 1, 0, 2, 2, 1};
static const double with_background[] = {
    3.72314063e-2,  4.56130154e-5,  3.71134624e-2, 1.86893320e-4,  3.70745359e-2,  7.47695000e-5,
    -1.66836207e-2, -2.06022325e-2, 3.91411546e-6, 4.50444572e-2,  -2.06027481e-2, -3.70349805e-2,
    3.72456423e-2,  3.70848176e-2,  8.48431238e-5, -5.55421460e-2, 5.55228947e-2,  -5.56908053e-2,
    5.55679699e-2,  -5.55872400e-2, 5.54218711e-2, -2.90293765e-2, 4.11262394e-2,  3.70428959e-2};
static const double without_background[] = {
    2.91553919e-4,  6.84195231e-5,  1.14637974e-4, 2.80339980e-4,  5.62482314e-5,  1.12154250e-4,
    -2.50023732e-2, -3.08957045e-2, 2.42540571e-5, 6.75897436e-2,  -3.08964779e-2, -5.55340879e-2,
    3.12907825e-4,  7.16707985e-5,  1.27264686e-4, -8.33081695e-2, 8.32820213e-2,  -8.35479822e-2,
    8.33570043e-2,  -8.33831808e-2, 8.31210325e-2, -4.35210070e-2, 6.16970033e-2,  5.55827267e-2};

static int check_vector(int64_t images, const double *flags, double loss, const double *dp) {
    Tensor *prediction = case_leaf(F64, vector_pixels, DIMS(images, 2, 4, 3));
    Tensor *labels = case_leaf(I32, vector_labels, DIMS(images, 2, 4));
    tape_record(true);
    Tensor *result = op_coloring_loss(prediction, labels, case_leaf(I32, flags, DIMS(images)), NONE,
                                      coloring_options_default(COLORING_CODE));
    if (case_expect("loss", result, &loss, 1, 1e-9) != 0 || tape_backward(result) != 0) return -1;
    return case_expect("gradient", prediction->grad, dp, 24 * images, 1e-10);
}

static int known_background(void) {
    const double flags[] = {0};
    return check_vector(1, flags, 1.043205956, with_background);
}

static int known_no_background(void) {
    const double flags[] = {1};
    return check_vector(1, flags, 1.034692222, without_background);
}

static int known_batch(void) {
    const double flags[] = {0, 1};
    double dp[48];
    for (int i = 0; i < 24; i++) {
        dp[i] = with_background[i] / 2;
        dp[24 + i] = without_background[i] / 2;
    }
    return check_vector(2, flags, 1.038949089, dp);
}

static Tensor *vector_loss(ColoringForm form, double variance, double separation, double mean) {
    ColoringOptions options = coloring_options_default(form);
    options.variance = variance;
    options.separation = separation;
    options.mean = mean;
    return op_coloring_loss(case_leaf(F64, vector_pixels, DIMS(1, 2, 4, 3)),
                            case_leaf(I32, vector_labels, DIMS(1, 2, 4)), NONE, NONE, options);
}

static int known_paper(void) {
    const double variance = 8.833333333, separation = 9.214157e-5, mean = 2.312076e-5;
    const double total = 8.867912034;
    if (case_expect("L_var", vector_loss(COLORING_PAPER, 1, 0, 0), &variance, 1, 1e-9) != 0 ||
        case_expect("L_sep", vector_loss(COLORING_PAPER, 0, 1, 0), &separation, 1, 1e-11) != 0 ||
        case_expect("L_mean", vector_loss(COLORING_PAPER, 0, 0, 1), &mean, 1, 1e-11) != 0)
        return -1;
    return case_expect("L", vector_loss(COLORING_PAPER, 1, 300, 300), &total, 1, 1e-9);
}

static int known_terms(void) {
    const double variance = (1.055555556 + 1.055555556 + 0.833333333) / 3;
    const double separation = (0.116425971 + 0.054874996) / 3, mean = 0.013872458 / 3;
    if (case_expect("variance", vector_loss(COLORING_CODE, 1, 0, 0), &variance, 1, 1e-9) != 0 ||
        case_expect("separation", vector_loss(COLORING_CODE, 0, 300, 0), &separation, 1, 1e-9) != 0)
        return -1;
    return case_expect("mean", vector_loss(COLORING_CODE, 0, 0, 300), &mean, 1, 1e-9);
}

// One prompt on id 1: everything else is black; the black anchor stays in the mean term.
static int known_prompted(void) {
    const double pixels[] = {10, 0, 0, 10, 0, 0, 0, 0, 0, 2, 0, 0}, labels[] = {1, 1, 0, 2};
    const double prompts[] = {0, 1}, none[] = {0, 0};
    const double one = (1.5 / 6 + 10 / sqrt(2.0) * 150 * (1 / 101.0 + 1 / 65.0) + 300 / 101.0) / 2;
    const double black = (9.5 + 9.5 + 1.5) / 12;
    ColoringOptions options = coloring_options_default(COLORING_PROMPTED);
    Tensor *prediction = case_leaf(F64, pixels, DIMS(1, 2, 2, 3));
    Tensor *ids = case_leaf(I32, labels, DIMS(1, 2, 2));
    Tensor *loss =
        op_coloring_loss(prediction, ids, NONE, case_leaf(I32, prompts, DIMS(1, 2)), options);
    if (case_expect("one prompt", loss, &one, 1, 1e-12) != 0) return -1;
    loss = op_coloring_loss(prediction, ids, NONE, case_leaf(I32, none, DIMS(1, 2)), options);
    if (case_expect("no prompt", loss, &black, 1, 1e-12) != 0) return -1;
    const double flag[] = {1}, known = (1.5 / 3 + 10 / sqrt(2.0) * 300 / 65 + 300 / 101.0) / 2;
    loss = op_coloring_loss(prediction, ids, case_leaf(I32, flag, DIMS(1)),
                            case_leaf(I32, prompts, DIMS(1, 2)), options);
    return case_expect("unlabelled pixels unknown", loss, &known, 1, 1e-12);
}

static int known_nothing(void) {
    const double labels[8] = {0}, flags[] = {1}, zero[24] = {0};
    Tensor *prediction = case_leaf(F64, vector_pixels, DIMS(1, 2, 4, 3));
    tape_record(true);
    Tensor *loss = op_coloring_loss(prediction, case_leaf(I32, labels, DIMS(1, 2, 4)),
                                    case_leaf(I32, flags, DIMS(1)), NONE,
                                    coloring_options_default(COLORING_CODE));
    if (case_expect("loss", loss, zero, 1, 0) != 0 || tape_backward(loss) != 0) return -1;
    return case_expect("gradient", prediction->grad, zero, 24, 0);
}

static const OpKnown knowns[] = {
    {"code form with background", known_background},
    {"code form without background", known_no_background},
    {"a batch of two is a mean", known_batch},
    {"terms of the code form", known_terms},
    {"paper form and its terms", known_paper},
    {"prompted form with one prompt and none", known_prompted},
    {"an image without any term gives 0", known_nothing},
};

static Tensor *with(double label, const double *prompts, ColoringForm form) {
    const double labels[] = {0, 1, label, 1};
    return op_coloring_loss(
        case_leaf(F32, vector_pixels, DIMS(1, 2, 2, 3)), case_leaf(I32, labels, DIMS(1, 2, 2)),
        NONE, prompts ? case_leaf(I32, prompts, DIMS(1, 1)) : NONE, coloring_options_default(form));
}

static Tensor *high_label(void) {
    return with(5, NULL, COLORING_CODE);
}

static Tensor *low_label(void) {
    return with(-2, NULL, COLORING_CODE);
}

static Tensor *no_prompts(void) {
    return with(1, NULL, COLORING_PROMPTED);
}

static Tensor *negative_prompt(void) {
    const double prompt = -1;
    return with(1, &prompt, COLORING_PROMPTED);
}

static Tensor *other_size(void) {
    return op_coloring_loss(case_leaf(F32, vector_pixels, DIMS(1, 2, 4, 3)),
                            case_leaf(I32, vector_labels, DIMS(1, 4, 2)), NONE, NONE,
                            coloring_options_default(COLORING_CODE));
}

static Tensor *negative_weight(void) {
    return vector_loss(COLORING_CODE, 1, -1, 1);
}

static const OpReject rejects[] = {
    {"rejects a label above the number of pixels", high_label, "label 5 at pixel 2"},
    {"rejects a label below -1", low_label, "label -2 at pixel 2"},
    {"rejects the prompted form without prompts", no_prompts, "prompted"},
    {"rejects a negative prompted id", negative_prompt, "prompted id -1"},
    {"rejects labels of another size", other_size, "labels [1,4,2]"},
    {"rejects a negative weight", negative_weight, "negative"},
};

const OpCase case_coloring_loss = {"coloring_loss",     variants, CASE_COUNT(variants), rejects,
                                   CASE_COUNT(rejects), knowns,   CASE_COUNT(knowns)};
