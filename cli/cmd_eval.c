// SPDX-License-Identifier: MIT
// p2s eval: scores a model, and what needs none, on sets with the same prompts.
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/device.h"

#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "eval/config.h"
#include "eval/evaluate.h"
#include "eval/predictor.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char help[] =
    "usage: p2s eval CONFIG.yaml [key=value ...] [--quiet]\n"
    "       p2s eval --keys\n\n"
    "Scores systems on every instance of the sets, all with the same first point, and writes into\n"
    "the folder `out`: results.json, instances.jsonl, table.md, pages/SET.png, config.yaml.\n"
    "--keys lists every key with its default and range. Relative paths mean the current folder.\n\n"
    "A set is TYPE:key=value:..., with a data set's type (hypersim, coco, folder, scenes) and the\n"
    "keys name, path, split, subset, seed, size, count. Systems:\n"
    "  gen2seg, gen2seg+cc           points choose from the feature image; +cc keeps only what is\n"
    "                                connected with a point\n"
    "  gen2seg+disc, color+disc      that within a disc around each point\n"
    "  prompt2seg                    points are the network's input; closer to the query than to\n"
    "                                black is inside\n"
    "  prompt2seg+map, ...+map+cc    the same features by gen2seg's rule\n"
    "  color, color+cc               gen2seg's rule on the image's own colours\n"
    "  disc, flood, whole, oracle    no network at all\n"
    "  masks:NAME=FOLDER             masks of any other system: FOLDER/IMAGE/ID.png, 8 bit, not 0\n"
    "                                is inside, or FOLDER/SET/IMAGE/ID.png\n\n"
    "  p2s eval configs/eval/miniature.yaml model=runs/prompt2seg/checkpoints/latest\n"
    "  p2s eval configs/eval/coco.yaml model=DIR sets=coco:path=/data/coco:split=val2017\n"
    "  p2s eval configs/eval/miniature.yaml model= systems=masks:other=/tmp/masks,disc,oracle\n";

typedef struct {
    bool quiet, keys;
    Words words, overrides;
} EvalArguments;

static int use_device(const EvalConfig *config) {
    const char *device = *config->device ? config->device : "cpu";
    if (strcmp(device, "cpu") != 0 && strcmp(device, "cuda") != 0)
        return error_int("device: found \"%s\", expected cpu or cuda", device);
    return device_use(device, config->threads) == 0 ? 0 : error_context("device=%s", device);
}

// *predictor stays NULL when the configuration names no model.
static int open_model(const EvalConfig *config, Model **model, Predictor **predictor) {
    if (!*config->model) return 0;
    const ModelOptions options = {.dtype = F32};
    PredictSettings settings;
    *model = model_open(config->model, &options);
    if (!*model || predict_settings_read(&settings, config->model)) return -1;
    predict_settings_override(&settings, config);
    *predictor = predictor_open(*model, &settings);
    return *predictor ? 0 : -1;
}

// Asked before the work is done.
static int check_writable(const char *folder) {
    if (folder_make(folder)) return -1;
    return access(folder, W_OK) == 0 ? 0 : error_int("%s: the folder cannot be written", folder);
}

static int score(const EvalConfig *config, const EvalModel *model, bool quiet) {
    const bool existed = folder_exists(config->out);
    Evaluation *evaluation = evaluation_new(config, model);
    int result = evaluation ? check_writable(config->out) : -1;
    if (result == 0) result = interrupt_watch();
    if (result == 0) result = evaluation_run(evaluation, quiet);
    if (result == 0) result = evaluation_write(evaluation);
    evaluation_free(evaluation);
    if (result != 0 && !existed) rmdir(config->out); // does nothing to one that holds files
    if (result == 0) printf("%s/results.json\n%s/table.md\n", config->out, config->out);
    return result;
}

static int run(const EvalArguments *arguments) {
    EvalConfig config = {0};
    Model *model = NULL;
    Predictor *predictor = NULL;
    int result =
        arguments_config(&eval_table, &config, arguments->words.items[0], &arguments->overrides);
    if (result == 0) result = use_device(&config);
    if (result == 0) result = open_model(&config, &model, &predictor);
    if (result == 0) {
        const EvalModel view = predictor ? predictor_eval_model(predictor) : (EvalModel){0};
        result = score(&config, &view, arguments->quiet);
    }
    predictor_close(predictor);
    model_free(model);
    config_free(&eval_table, &config);
    return result == 0 ? EXIT_OK : command_failed();
}

int cmd_eval(int argc, char **argv) {
    EvalArguments a = {0};
    const Argument options[] = {ARG_FLAG("--quiet", a.quiet), ARG_FLAG("--keys", a.keys)};
    const Arguments arguments = {help,     options, ARGUMENTS_COUNT(options),
                                 &a.words, 1,       &a.overrides};
    int code;
    if (!arguments_read(&arguments, argc, argv, &code)) return code;
    if (a.keys) return arguments_print_keys(&eval_table);
    if (a.words.count == 0) return arguments_wrong("eval", "CONFIG.yaml is missing");
    return run(&a);
}
