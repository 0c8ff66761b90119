// SPDX-License-Identifier: MIT
// Components between the decoder and the loss: normalisation, the clean latent, instance coloring,
// the noise schedule.
#include "autograd/ops.h"
#include "base/error.h"
#include "cli/run.h"
#include "nn/model.h"

#include <string.h>

// ---- loss.coloring ------------------------------------------------------------------------------

#define COLORING_KEYS(KEY)                                                                       \
    KEY(CHOICE, form, "form", "code", "code|paper|prompted", "method 2.3, 2.2 or 5.4")           \
    KEY(DOUBLE, variance, "variance", "1", "[0, inf)", "weight of the intra-instance term")      \
    KEY(DOUBLE, separation, "separation", "300", "[0, inf)", "weight of separation")             \
    KEY(DOUBLE, mean, "mean", "300", "[0, inf)", "weight of the mean-level term")                \
    KEY(DOUBLE, factor, "factor", "-1", "[-1, inf)", "on separation; -1: as the form's default") \
    KEY(INT, cap, "cap", "-1", "[-1, 1000000]", "most counted ids, 0 = all; -1: the form's")
typedef struct {
    COLORING_KEYS(CONFIG_FIELD)
} ColoringKeys;
#define COLORING_ROW(...) CONFIG_ROW(ColoringKeys, __VA_ARGS__)
static const ConfigKey coloring_rows[] = {COLORING_KEYS(COLORING_ROW)};
static const ConfigTable coloring_table = {coloring_rows,
                                           sizeof coloring_rows / sizeof *coloring_rows};

static int coloring(Run *run, const void *given) {
    const ColoringKeys *keys = given;
    static const ColoringForm forms[] = {COLORING_CODE, COLORING_PAPER, COLORING_PROMPTED};
    ColoringOptions options = coloring_options_default(forms[keys->form]);
    options.variance = keys->variance;
    options.separation = keys->separation;
    options.mean = keys->mean;
    if (keys->factor >= 0) options.separation_factor = keys->factor;
    if (keys->cap >= 0) options.cap = (int)keys->cap;
    bool prompted = options.form == COLORING_PROMPTED;
    if (prompted != run_has(run, "prompted"))
        return error_int("tensor prompted is %s, and form=prompted is%s given",
                         prompted ? "missing" : "there", prompted ? "" : " not");
    Tensor *prediction = run_tensor(run, "prediction"), *labels = run_tensor(run, "labels");
    Tensor *no_background = run_optional(run, "no_background");
    Tensor *loss =
        op_coloring_loss(prediction, labels, no_background, run_optional(run, "prompted"), options);
    if (run_output(run, "loss", loss) != 0) return -1;
    return run_backward(run, NULL, 0);
}

// ---- normalise ----------------------------------------------------------------------------------

#define NORMALISE_KEYS(KEY)                                                                   \
    KEY(CHOICE, form, "form", "training", "training|inference", "method 2.5; inference: 3.1") \
    KEY(BOOL, per_image, "per_image", "false", "", "range of each image, not of the batch")
typedef struct {
    NORMALISE_KEYS(CONFIG_FIELD)
} NormaliseKeys;
#define NORMALISE_ROW(...) CONFIG_ROW(NormaliseKeys, __VA_ARGS__)
static const ConfigKey normalise_rows[] = {NORMALISE_KEYS(NORMALISE_ROW)};
static const ConfigTable normalise_table = {normalise_rows,
                                            sizeof normalise_rows / sizeof *normalise_rows};

static int normalise(Run *run, const void *given) {
    const NormaliseKeys *keys = given;
    MinmaxForm form = keys->form == 0 ? MINMAX_TRAINING : MINMAX_INFERENCE;
    Tensor *y = op_minmax_normalise(run_tensor(run, "y"), form, keys->per_image);
    if (run_output(run, "normalised", y) != 0) return -1;
    return run_backward(run, NULL, 0);
}

// ---- the noise schedule -------------------------------------------------------------------------

#define SCHEDULE_KEYS(KEY)                                                         \
    KEY(DOUBLE, beta_start, "beta_start", "0.00085", "(0, 0.5]", "first variance") \
    KEY(DOUBLE, beta_end, "beta_end", "0.012", "(0, 0.5]", "last variance")
#define X0_KEYS(KEY)                                                                              \
    KEY(CHOICE, form, "form", "training", "training|inference", "without or with z's share, 2.6") \
    SCHEDULE_KEYS(KEY)
typedef struct {
    SCHEDULE_KEYS(CONFIG_FIELD)
} ScheduleKeys;
typedef struct {
    X0_KEYS(CONFIG_FIELD)
} X0Keys;
#define SCHEDULE_ROW(...) CONFIG_ROW(ScheduleKeys, __VA_ARGS__)
#define X0_ROW(...) CONFIG_ROW(X0Keys, __VA_ARGS__)
static const ConfigKey schedule_rows[] = {SCHEDULE_KEYS(SCHEDULE_ROW)};
static const ConfigKey x0_rows[] = {X0_KEYS(X0_ROW)};
static const ConfigTable schedule_table = {schedule_rows,
                                           sizeof schedule_rows / sizeof *schedule_rows};
static const ConfigTable x0_table = {x0_rows, sizeof x0_rows / sizeof *x0_rows};

static int schedule(Run *run, const void *given) {
    const ScheduleKeys *keys = given;
    Schedule made;
    const int64_t shape[] = {SCHEDULE_STEPS};
    schedule_make(&made, keys->beta_start, keys->beta_end);
    if (run_output_values(run, "signal", SAFE_F32, 1, shape, made.signal) != 0) return -1;
    return run_output_values(run, "noise", SAFE_F32, 1, shape, made.noise);
}

static int v_to_x0(Run *run, const void *given) {
    const X0Keys *keys = given;
    Model model = {0};
    schedule_make(&model.schedule, keys->beta_start, keys->beta_end);
    Tensor *v = run_tensor(run, "v"), *x0;
    if (keys->form == 0)
        x0 = model_clean_training(&model, v);
    else
        x0 = model_clean_inference(&model, run_tensor(run, "z"), v);
    if (run_output(run, "x0", x0) != 0) return -1;
    return run_backward(run, NULL, 0);
}

// ---- the table ----------------------------------------------------------------------------------

static const Component components[] = {
    {.name = "loss.coloring",
     .help = "instance coloring loss",
     .gradients = true,
     .inputs = {{"prediction", RUN_IMAGE, "N,3,H,W", false, "0..255"},
                {"labels", RUN_INTEGER, "N,H,W", false,
                 "0 background, 1..n in the order of counting, -1 ignored"},
                {"no_background", RUN_INTEGER, "N", true, "1: unlabelled pixels are no background"},
                {"prompted", RUN_INTEGER, "N,K", true, "form=prompted: ids, 0 = unused"}},
     .outputs = {{"loss", RUN_FLOAT, "1", false, NULL}},
     .keys = &coloring_table,
     .keys_size = sizeof(ColoringKeys),
     .run = coloring},
    {.name = "normalise",
     .help = "min-max normalisation of the decoder's output to 0..255",
     .gradients = true,
     .inputs = {{"y", RUN_IMAGE, "N,C,H,W", false, NULL}},
     .outputs = {{"normalised", RUN_IMAGE, "N,C,H,W", false, NULL}},
     .keys = &normalise_table,
     .keys_size = sizeof(NormaliseKeys),
     .run = normalise},
    {.name = "schedule",
     .help = "the noise schedule by timestep",
     .outputs = {{"signal", RUN_FLOAT, "1000", false, "sqrt(alpha_bar)"},
                 {"noise", RUN_FLOAT, "1000", false, "sqrt(1 - alpha_bar)"}},
     .keys = &schedule_table,
     .keys_size = sizeof(ScheduleKeys),
     .run = schedule},
    {.name = "v_to_x0",
     .help = "the clean latent from v at timestep 999",
     .gradients = true,
     .inputs = {{"v", RUN_IMAGE, "N,C,h,w", false, NULL},
                {"z", RUN_IMAGE, "N,C,h,w", true, "form=inference: the image's latent"}},
     .outputs = {{"x0", RUN_IMAGE, "N,C,h,w", false, NULL}},
     .keys = &x0_table,
     .keys_size = sizeof(X0Keys),
     .run = v_to_x0},
};

const ComponentGroup components_loss = {components, sizeof components / sizeof components[0]};
