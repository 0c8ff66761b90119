// SPDX-License-Identifier: MIT
// p2s train: starts or continues a run.
#include "cli/command.h"

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/job.h"
#include "cli/arguments.h"
#include "cli/device.h"
#include "cuda/cuda.h"
#include "train/plan.h"
#include "train/trainer.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char help[] =
    "usage: p2s train CONFIG.yaml [key=value ...] [--quiet]\n"
    "       p2s train --resume RUN [key=value ...] [--quiet]\n"
    "       p2s train CONFIG.yaml --plan [key=value ...]\n"
    "       p2s train --keys\n\n"
    "Trains what the config describes, into its run folder: config.yaml with every value, "
    "metrics.jsonl,\n"
    "validation.jsonl, samples/, an event file for TensorBoard, and checkpoints/step-N, of which "
    "`latest`\n"
    "is always complete and `best` has the best validation. --resume continues a run from there to "
    "the\n"
    "same bits as if it had never stopped; Ctrl-C ends with a checkpoint.\n"
    "Under mpirun or srun the processes share every step's images, one device each: train.batch "
    "and\n"
    "train.accumulate stay the step's own numbers.\n"
    "--plan tells memory and arithmetic of a step and ends, before anything is loaded or "
    "computed.\n"
    "--keys lists every key with its default and range. Relative paths mean the current folder.\n\n"
    "  p2s train configs/miniature/gen2seg.yaml train.lr=5e-4 run=runs/try\n"
    "  p2s train --resume runs/try train.steps=4000\n"
    "  mpirun -n 4 --bind-to none p2s train configs/gen2seg.yaml device=cuda\n";

typedef struct {
    const char *resume;
    bool quiet, keys, plan;
    Words words, overrides;
} TrainArguments;

static int read_config(const TrainArguments *arguments, TrainConfig *config) {
    char *stored = arguments->resume ? path_join(arguments->resume, "config.yaml") : NULL;
    const char *path = stored ? stored : arguments->words.items[0];
    int result = arguments_config(&train_table, config, path, &arguments->overrides);
    free(stored);
    // The folder that was named is the run, wherever it has been moved to.
    if (result == 0 && arguments->resume)
        result = config_set(&train_table, config, "run", arguments->resume, "--resume");
    if (result != 0 || config->device != 0 || config->precision == PRECISION_F32) return result;
    return error_int("train.precision=%s needs device=cuda: the CPU computes in f32",
                     config->precision == PRECISION_BF16 ? "bf16" : "tf32");
}

// The processes of a machine share its processors.
static int64_t all_threads(void) {
    const long share = sysconf(_SC_NPROCESSORS_ONLN) / job_local_size();
    return share > 1 ? share : 1;
}

static int use_device(TrainConfig *config) {
    if (config->threads == 0) config->threads = all_threads();
    cuda_use_tf32(config->precision != PRECISION_F32);
    const char *device = config->device == 0 ? "cpu" : "cuda";
    return device_use(device, config->threads) == 0 ? 0 : error_context("device=%s", device);
}

static int tell_plan(const TrainConfig *config) {
    if (task_check_start(config) != 0) return -1;
    return job_rank() > 0 ? 0 : train_plan_tell(config, config->model, START_FOLDER);
}

// Says what went wrong once in a job of several processes, which all end.
static int failed(void) {
    if (error_is_set() && job_size() > 1 && job_rank() > 0)
        error_context("rank %d of %d", job_rank(), job_size());
    const int code = error_is_set() || job_size() == 1 ? command_failed() : EXIT_FAILED;
    job_end(false);
    return code;
}

static int run(const TrainArguments *arguments) {
    TrainConfig config = {0};
    TrainEnd end = TRAIN_FINISHED;
    int result = job_begin();
    if (result == 0) result = job_agree(read_config(arguments, &config));
    if (result == 0) result = use_device(&config);
    if (result == 0 && arguments->plan)
        result = tell_plan(&config);
    else if (result == 0 && (result = interrupt_watch()) == 0)
        result = train_run(&config, arguments->resume != NULL, arguments->quiet, &end);
    if (result == 0 && end == TRAIN_INTERRUPTED && job_rank() == 0) {
        fprintf(stderr, "interrupted; continue with: p2s train --resume %s", config.run);
        if (job_size() > 1) fprintf(stderr, " in %d processes", job_size());
        fprintf(stderr, "\n");
    }
    config_free(&train_table, &config);
    if (result != 0) return failed();
    job_end(true);
    return end == TRAIN_FINISHED ? EXIT_OK : EXIT_INTERRUPTED;
}

int cmd_train(int argc, char **argv) {
    TrainArguments a = {0};
    const Argument options[] = {ARG_TEXT("--resume", a.resume), ARG_FLAG("--quiet", a.quiet),
                                ARG_FLAG("--keys", a.keys), ARG_FLAG("--plan", a.plan)};
    const Arguments arguments = {help,     options, ARGUMENTS_COUNT(options),
                                 &a.words, 1,       &a.overrides};
    int code;
    if (!arguments_read(&arguments, argc, argv, &code)) return code;
    if (a.keys) return arguments_print_keys(&train_table);
    if (!a.resume == !a.words.count)
        return arguments_wrong("train", a.resume ? "either a config or --resume RUN, not both"
                                                 : "a config or --resume RUN is needed");
    return run(&a);
}
