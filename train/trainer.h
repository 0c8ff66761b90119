// SPDX-License-Identifier: MIT
// The training loop and its run folder.
//
//     RUN/config.yaml            every value resolved
//     RUN/metrics.jsonl          one line per optimiser step
//     RUN/validation.jsonl       one line per validation (validate.h)
//     RUN/events.out.tfevents.p2s   the same and the pictures, for TensorBoard (event_file.h)
//     RUN/zero_gradients.txt     trained tensors whose first gradient is zero, where there are some
//     RUN/samples/step-N.png     image | prompt | prediction | target
//     RUN/checkpoints/step-N/    a model folder, optimizer.safetensors, state.json
//     RUN/checkpoints/latest     link to the newest; always complete
//     RUN/checkpoints/best       link to the one with the best validation
#ifndef TRAIN_TRAINER_H
#define TRAIN_TRAINER_H

#include "train/config.h"

typedef enum { TRAIN_FINISHED, TRAIN_INTERRUPTED } TrainEnd;

// Runs or continues what config describes on the current back end, to its last step and validation
// or until an interrupt (which ends with a checkpoint). `resume` continues from checkpoints/latest
// where there is one, and leaves a finished run as it is; without it a run folder that holds
// checkpoints is refused. Prints the plan and progress on stderr unless quiet. Returns 0 and *end,
// or -1 with an error that names the step and its samples; checkpoints stay intact then. In a job
// of several processes (base/job.h) all call it, and job_end after it; an error may then be
// another's.
int train_run(const TrainConfig *config, bool resume, bool quiet, TrainEnd *end);

#endif
