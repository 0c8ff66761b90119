// SPDX-License-Identifier: MIT
// The noise schedule of Stable Diffusion and the file that names it.
#ifndef NN_SCHEDULE_H
#define NN_SCHEDULE_H

enum { SCHEDULE_STEPS = 1000 };

// sqrt(alpha_bar) and sqrt(1 - alpha_bar) by timestep, rounded to float where the published
// checkpoints' framework does.
typedef struct {
    double beta_start, beta_end;
    float signal[SCHEDULE_STEPS], noise[SCHEDULE_STEPS];
} Schedule;

// Scaled-linear: beta_t = (sqrt(start) + t/999 (sqrt(end) - sqrt(start)))^2. SD: 0.00085, 0.012.
void schedule_make(Schedule *schedule, double beta_start, double beta_end);

// From and to a scheduler_config.json. An error when it predicts anything but v, clips, or uses
// another kind of schedule.
int schedule_read(Schedule *schedule, const char *path);
int schedule_write(const Schedule *schedule, const char *path);

#endif
