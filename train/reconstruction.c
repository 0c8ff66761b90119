// SPDX-License-Identifier: MIT
// The auto-encoder's score. See reconstruction.h.
#include "train/reconstruction.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "train/run_data.h"
#include "train/task.h"

#include <math.h>

static const double SQUARED_PEAK = 4; // of values in -1..1

static int add_error(Vae *vae, const Batch *host, double *sum) {
    DeviceBatch batch;
    Tensor *y = device_batch_begin(&batch, host) == 0
                    ? vae_decode(vae, vae_encode_mean(vae, batch.image))
                    : NULL;
    Tensor *error = y ? op_mse_loss(y, batch.image, NONE) : NULL;
    if (error) *sum += tensor_item(error);
    tape_reset();
    device_batch_done(&batch);
    return error ? 0 : -1;
}

int reconstruction_psnr(Vae *vae, const Benchmark *set, const TrainConfig *config, double *psnr) {
    int64_t height, width, images = config->validate_images;
    if (run_data_largest(config, &height, &width) != 0) return -1;
    if (images == 0 || images > set->count) images = set->count;
    LoaderOptions options = {.batch = (int)config->batch,
                             .height = (int)height,
                             .width = (int)width,
                             .end = (images + config->batch - 1) / config->batch,
                             .ahead = 1};
    Loader *loader = loader_open(set->set, &options);
    bool recording = tape_record(false);
    int result = loader ? 0 : -1;
    double sum = 0;
    for (Batch *host; result == 0 && (host = loader_next(loader));) {
        result = add_error(vae, host, &sum);
        batch_free(host);
    }
    tape_record(recording);
    loader_close(loader);
    if (result != 0 || error_is_set()) return -1;
    *psnr = 10 * log10(SQUARED_PEAK / (sum / (double)options.end));
    return 0;
}
