// SPDX-License-Identifier: MIT
// The noise schedule. See schedule.h.
#include "nn/schedule.h"

#include "base/error.h"
#include "nn/netconfig.h"

#include <math.h>
#include <string.h>

void schedule_make(Schedule *schedule, double beta_start, double beta_end) {
    schedule->beta_start = beta_start;
    schedule->beta_end = beta_end;
    float first = (float)sqrt(beta_start), last = (float)sqrt(beta_end);
    float step = (last - first) / (float)(SCHEDULE_STEPS - 1);
    double product = 1;
    for (int t = 0; t < SCHEDULE_STEPS; t++) {
        // From both ends, as the checkpoints' framework fills a linear range.
        float root = t < SCHEDULE_STEPS / 2 ? first + step * (float)t
                                            : last - step * (float)(SCHEDULE_STEPS - 1 - t);
        float alpha = 1.0f - root * root;
        product *= (double)alpha;
        float alpha_bar = (float)product;
        schedule->signal[t] = sqrtf(alpha_bar);
        schedule->noise[t] = sqrtf(1.0f - alpha_bar);
    }
}

static int expect_text(const json_t *root, const char *key, const char *missing,
                       const char *expected) {
    const json_t *value = json_object_get(root, key);
    const char *text = value ? json_string_value(value) : missing;
    if (text && strcmp(text, expected) == 0) return 0;
    return error_int("%s is %.60s%s; only %s is supported", key, text ? text : "(not text)",
                     value ? "" : " when missing", expected);
}

static int take(Schedule *schedule, const json_t *root) {
    double start = 1e-4, end = 0.02;
    int64_t steps = SCHEDULE_STEPS;
    bool clip = true, zero_snr = false, thresholding = false;
    if (expect_text(root, "prediction_type", "epsilon", "v_prediction") != 0 ||
        expect_text(root, "beta_schedule", "linear", "scaled_linear") != 0 ||
        netconfig_number(root, "beta_start", 1e-9, 0.5, &start) != 0 ||
        netconfig_number(root, "beta_end", 1e-9, 0.5, &end) != 0 ||
        netconfig_integer(root, "num_train_timesteps", SCHEDULE_STEPS, SCHEDULE_STEPS, &steps) !=
            0 ||
        netconfig_boolean(root, "clip_sample", &clip) != 0 ||
        netconfig_boolean(root, "rescale_betas_zero_snr", &zero_snr) != 0 ||
        netconfig_boolean(root, "thresholding", &thresholding) != 0)
        return -1;
    if (clip) return error_int("clip_sample is true, or missing and so true; expected false");
    if (zero_snr || thresholding)
        return error_int("rescale_betas_zero_snr and thresholding must be false");
    const json_t *betas = json_object_get(root, "trained_betas");
    if (betas && !json_is_null(betas)) return error_int("trained_betas are not supported");
    schedule_make(schedule, start, end);
    return 0;
}

int schedule_read(Schedule *schedule, const char *path) {
    json_t *root = netconfig_read(path);
    if (!root) return -1;
    int result = take(schedule, root);
    json_decref(root);
    return result == 0 ? 0 : error_context("%s", path);
}

int schedule_write(const Schedule *schedule, const char *path) {
    json_t *root = json_pack("{s:s,s:s,s:f,s:f,s:s,s:b,s:i,s:s,s:b,s:b,s:i,s:s,s:n}", "_class_name",
                             "DDIMScheduler", "_diffusers_version", "0.30.2", "beta_start",
                             schedule->beta_start, "beta_end", schedule->beta_end, "beta_schedule",
                             "scaled_linear", "clip_sample", 0, "num_train_timesteps",
                             SCHEDULE_STEPS, "prediction_type", "v_prediction", "set_alpha_to_one",
                             0, "rescale_betas_zero_snr", 0, "steps_offset", 1, "timestep_spacing",
                             "trailing", "trained_betas");
    if (!root) return error_int("%s: out of memory", path);
    int result = netconfig_write(path, root);
    json_decref(root);
    return result;
}
