// SPDX-License-Identifier: MIT
// Shares of a step. See data_parallel.h.
#include "train/data_parallel.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "base/job.h"
#include "base/text.h"

#include <stdlib.h>

static int64_t common_divisor(int64_t a, int64_t b) {
    return b == 0 ? a : common_divisor(b, a % b);
}

// Whether the loss is not a mean over images: the decoded image is scaled by its micro-batch.
static bool needs_whole(const TrainConfig *config) {
    if (config->normalise != NORMALISE_BATCH) return false;
    return config->task == TASK_GEN2SEG ||
           (config->task == TASK_PROMPT2SEG && config->prompt_loss != PROMPT_LOSS_LATENT);
}

int step_share(const TrainConfig *config, StepShare *share) {
    const int64_t size = job_size(), turns = common_divisor(config->accumulate, size);
    const int64_t slices = size / turns, rank = job_rank();
    *share = (StepShare){.loader = {.turns = (int)turns,
                                    .turn = (int)(rank / slices),
                                    .slices = (int)slices,
                                    .slice = (int)(rank % slices)},
                         .batch = config->batch / slices,
                         .parts = config->accumulate / turns};
    if (config->batch % slices != 0)
        return error_int("%lld processes cannot share a step equally: train.accumulate=%lld "
                         "micro-batches go to %lld groups of %lld, which cannot divide "
                         "train.batch=%lld images",
                         (long long)size, (long long)config->accumulate, (long long)turns,
                         (long long)slices, (long long)config->batch);
    if (slices > 1 && needs_whole(config))
        return error_int("train.normalise=batch scales images by their whole micro-batch, which "
                         "%lld of %lld processes would divide: train.accumulate=%lld must be a "
                         "multiple of the processes, or train.normalise=image or affine",
                         (long long)slices, (long long)size, (long long)config->accumulate);
    return 0;
}

int data_parallel_check(const TrainConfig *config, const Optimizer *optimizer) {
    const Backend *backend = backend_current();
    double square = 0;
    if (job_size() == 1) return 0;
    int result = backend->sum_of_squares(optimizer->params, optimizer->count, &square);
    char *text = text_format("%s kernels, %lld threads, step %lld, weights of square norm %a",
                             backend->kernels ? backend->kernels : "plain",
                             (long long)config->threads, (long long)optimizer->step, square);
    result = job_agree(text ? result : -1);
    if (result == 0) result = job_same("what this process trains", text);
    free(text);
    return result;
}
