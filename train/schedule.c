// SPDX-License-Identifier: MIT
// Learning rate schedules. See schedule.h.
#include "train/schedule.h"

#include <math.h>

double learning_rate(const TrainConfig *config, int64_t step) {
    int64_t end = config->schedule_steps ? config->schedule_steps : config->steps;
    double peak = config->lr, last = config->final_ratio;
    if (step < config->warmup) return peak * (double)step / (double)config->warmup;
    if (config->schedule == SCHEDULE_CONSTANT) return peak;
    if (step >= end) return peak * last;
    double part = (double)(step - config->warmup) / (double)(end - config->warmup);
    if (config->schedule == SCHEDULE_EXPONENTIAL) return peak * exp(part * log(fmax(last, 1e-12)));
    return peak * (last + (1 - last) * 0.5 * (1 + cos(3.14159265358979323846 * part)));
}
