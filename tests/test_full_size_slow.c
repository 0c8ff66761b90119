// SPDX-License-Identifier: MIT
// Stable Diffusion 2 at full size with random weights: it is built, runs at 64x64 pixels, and comes
// back from its folder as it was. Takes 4 GB of memory and as much disk for a while.
#include "autograd/backend.h"
#include "autograd/tape.h"
#include "base/error.h"
#include "base/file.h"
#include "cpu/cpu.h"
#include "nn/model.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SIDE = 64, VALUES = SIDE * SIDE * 3 };

// Encoder, U-Net and decoder on a fixed image, into out [VALUES].
static void run(const Model *model, float *out) {
    float image[VALUES];
    for (int i = 0; i < VALUES; i++) image[i] = (float)((i * 37 % 255) / 127.5 - 1);
    Tensor *x = tensor_new(SHAPE(F32, 1, SIDE, SIDE, 3));
    cr_assert_eq(tensor_write(x, image), 0);
    Tensor *z = vae_encode_mean(model->vae, x);
    Tensor *v = unet_forward(model->unet, z, MODEL_TIMESTEP, model->train_context, NULL);
    Tensor *y = vae_decode(model->vae, model_clean_training(model, v));
    cr_assert_not_null(y, "%s", error_message());
    cr_assert_eq(tensor_read(y, out), 0);
    tape_reset();
    tensor_free(x);
}

Test(full_size, a_model_runs_and_comes_back_from_its_folder_with_the_same_bits, .timeout = 280) {
#ifdef P2S_SANITIZED
    fprintf(stderr, "SKIP full_size: too slow under a sanitizer\n");
    cr_skip_test("too slow under a sanitizer");
#endif
    backend_use(cpu_backend());
    char folder[] = "/tmp/p2s-full-XXXXXX";
    cr_assert_not_null(mkdtemp(folder));
    static float first[VALUES], second[VALUES];
    ModelOptions options = {.dtype = F32, .seed = 5};
    Model *model = model_init("sd2", &options);
    cr_assert_not_null(model, "%s", error_message());
    cr_assert_eq(params_elements(&model->unet->params), 865910724);
    run(model, first);
    double least = INFINITY, most = -INFINITY;
    for (int i = 0; i < VALUES; i++) {
        cr_assert(isfinite(first[i]));
        least = fmin(least, first[i]);
        most = fmax(most, first[i]);
    }
    cr_assert_gt(most - least, 1e-3);
    int saved = model_save(model, folder, NULL);
    model_free(model);
    model = saved == 0 ? model_open(folder, &options) : NULL;
    folder_remove(folder); // what is mapped stays readable
    cr_assert_not_null(model, "%s", error_message());
    run(model, second);
    model_free(model);
    cr_assert_eq(memcmp(first, second, sizeof first), 0);
}
