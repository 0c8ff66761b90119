// SPDX-License-Identifier: MIT
// The miniature training steps on the emulated CUDA back end, through its own allocator, streams
// and every kernel, beside the CPU's: the same losses, the same weights after some steps, and, but
// for the sanitizers, under which all is slow, the same bits in a second run. A program without a
// framework, so that it also runs under TSan.
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "nn/safetensors.h"
#include "tests/emulated/runs.h"

#include <math.h>

// Adam's first steps have the size of the learning rate whatever the gradient's, so that noise in
// gradients near 0 moves some weights: the weights' limit is a share of how far they went. In bf16
// each result is rounded by up to 2^-9; with an assumed 150 of them in a row, whose errors are
// independent, that is 2^-9 sqrt(150) = 0.024 of the loss (measured: 0.013 to 0.018).
static const double LOSS_LIMIT = 1e-5, WEIGHT_LIMIT = 1e-3, BF16_LIMIT = 0.024; // shares
#ifdef P2S_SANITIZED
static const char AGAIN[] = "cuda";
#else
static const char AGAIN[] = "again";
#endif
enum { STEPS = 2, LISTS = 1 << 16 }; // bytes: the optimizer keeps its list of tensors

static int train(const Backend *backend, const char *task, const char *name, int steps) {
    char run[64], count[64];
    snprintf(run, sizeof run, "%s-%s", task, name);
    snprintf(count, sizeof count, "train.steps=%d", steps);
    const char *const more[] = {
        count, strcmp(name, "bf16") == 0 ? "train.precision=bf16" : "train.precision=f32", NULL};
    return run_train(backend, task, run, more);
}

static double loss_of(const char *task, const char *name, int step) {
    char run[64];
    snprintf(run, sizeof run, "%s-%s", task, name);
    return run_number(run, "loss", step);
}

static SafeFile *weights_of(const char *task, const char *name) {
    char path[200];
    const char *part = strcmp(task, "gen2seg") == 0 ? "unet" : "controlnet";
    snprintf(path, sizeof path,
             "%s/%s-%s/checkpoints/latest/%s/diffusion_pytorch_model.safetensors", folder, task,
             name, part);
    return safetensors_open(path);
}

// Squared distance between two sets of weights.
static double distance(const SafeFile *a, const SafeFile *b) {
    double sum = 0;
    for (size_t t = 0; t < safetensors_count(a); t++) {
        const SafeTensor *left = safetensors_at(a, t), *right = safetensors_find(b, left->name);
        float *values = malloc(2 * (size_t)left->numel * sizeof *values);
        if (!values || !right || right->numel != left->numel) return NAN;
        safetensors_read_float(left, values);
        safetensors_read_float(right, values + left->numel);
        for (int64_t i = 0; i < left->numel; i++) {
            double d = (double)values[i] - (double)values[left->numel + i];
            sum += d * d;
        }
        free(values);
    }
    return sum;
}

static int compare(const char *task) {
    SafeFile *start = weights_of(task, "start"), *cpu = weights_of(task, "cpu");
    SafeFile *cuda = weights_of(task, "cuda"), *again = weights_of(task, AGAIN);
    int result = start && cpu && cuda && again ? 0 : -1;
    double worst = 0;
    for (int step = 1; step <= STEPS; step++) {
        double expected = loss_of(task, "cpu", step), found = loss_of(task, "cuda", step);
        double error = fabs(found / expected - 1);
        if (isnan(error) || error > worst) worst = error;
    }
    if (result == 0) {
        double moved = sqrt(distance(start, cpu)), apart = sqrt(distance(cpu, cuda));
        bool same = distance(cuda, again) == 0;
        double bf16 = fabs(loss_of(task, "bf16", 1) / loss_of(task, "cpu", 1) - 1);
        bool ok = moved > 0 && bf16 > 0 && bf16 <= BF16_LIMIT && apart <= WEIGHT_LIMIT * moved &&
                  worst <= LOSS_LIMIT && same;
        printf("%s %s: %d steps, loss %.6g, apart by %.1e; weights moved %.3g, apart %.3g; second "
               "run %s; bf16 apart by %.1e\n",
               ok ? "ok  " : "FAIL", task, STEPS, loss_of(task, "cuda", STEPS), worst, moved, apart,
               same ? "has the same bits" : "differs", bf16);
        if (!ok) result = error_int("%s: the back ends disagree", task);
    }
    safetensors_close(start);
    safetensors_close(cpu);
    safetensors_close(cuda);
    safetensors_close(again);
    return result;
}

static int check_task(const char *task) {
    const Backend *cpu = cpu_backend(), *cuda = cuda_backend(cpu);
    if (!cuda || train(cpu, task, "start", 1) != 0 || train(cpu, task, "cpu", STEPS) != 0 ||
        train(cuda, task, "cuda", STEPS) != 0 ||
        (strcmp(AGAIN, "again") == 0 && train(cuda, task, AGAIN, STEPS) != 0) ||
        train(cuda, task, "bf16", 1) != 0)
        return -1;
    return compare(task);
}

int main(void) {
    if (!run_folder_begin()) return 1;
    cpu_set_threads(1);
    int result = check_task("gen2seg") == 0 && check_task("prompt2seg") == 0 ? 0 : 1;
    if (result != 0) fprintf(stderr, "emulated step: %s\n", error_take());
    const Backend *cuda = cuda_backend(cpu_backend());
    if (cuda && cuda->stats().live > LISTS) {
        fprintf(stderr, "emulated step: %zu bytes of device memory were not freed\n",
                cuda->stats().live);
        result = 1;
    }
    folder_remove(folder);
    return result;
}
