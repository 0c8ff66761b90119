// SPDX-License-Identifier: MIT
// Learning rate as a function of the optimiser step.
#ifndef TRAIN_SCHEDULE_H
#define TRAIN_SCHEDULE_H

#include <stdint.h>

#include "train/config.h"

// Rate of optimiser step n, counting from 0: n/warmup of the peak while n < warmup (so the first
// update has rate 0), then constant, or
//   exponential: exp((n - warmup) / (end - warmup) ln(final_ratio)), final_ratio after `end`
//   cosine:      final_ratio + (1 - final_ratio) (1 + cos(pi (n - warmup) / (end - warmup))) / 2
// with end = train.schedule_steps, or train.steps. Source: gen2seg's schedule (method 2.7) is
// exponential with warm-up 100, end 40000, final ratio 0.05.
double learning_rate(const TrainConfig *config, int64_t step);

#endif
