// SPDX-License-Identifier: MIT
// p2s init: a model folder with random weights.
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/device.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "eval/predict_settings.h"
#include "nn/model.h"
#include "train/config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: p2s init CONFIG.yaml|sd2|sd15|miniature|DIR --out DIR [--seed N] [--controlnet]\n\n"
    "Writes a model folder that diffusers can read (unet/, vae/, scheduler/, and controlnet/ for\n"
    "Prompt2Seg) with random weights that follow from the seed. What is built comes from a\n"
    "built-in name, from the config.json files of another folder, or from the `model` of a\n"
    "training config, whose task also decides whether there is a branch, and whose\n"
    "prompt.encoding what it is shown.\n\n"
    "  --out DIR       the folder, new or empty\n"
    "  --seed N        0 to 4294967295 (default 0, or the config's)\n"
    "  --controlnet    with a branch for Prompt2Seg\n\n"
    "  p2s init miniature --seed 1 --controlnet --out runs/start\n";

typedef struct {
    const char *source, *out;
    int64_t seed; // -1: not given
    bool branch;
    int encoding; // the config's prompt.encoding; -1: not given
} InitArguments;

// The model, seed and task that a training config names.
static char *source_of_config(InitArguments *arguments) {
    TrainConfig config = {0};
    char *source = NULL;
    if (config_defaults(&train_table, &config) == 0 &&
        config_read(&train_table, &config, arguments->source) == 0) {
        source = config.model[0] ? string_copy(config.model)
                                 : error_null("%s: model is empty", arguments->source);
        if (arguments->seed < 0) arguments->seed = config.seed;
        if (config.task == TASK_PROMPT2SEG) {
            arguments->branch = true;
            arguments->encoding = config.prompt_encoding;
        }
    }
    config_free(&train_table, &config);
    return source;
}

// A miniature is asked at the size and in the way it is trained; DIR's own p2s.json is kept.
static int find_settings(const InitArguments *arguments, const char *source,
                         PredictSettings *settings) {
    *settings = predict_settings_default();
    if (folder_exists(source) && predict_settings_read(settings, source) != 0) return -1;
    if (strcmp(source, "miniature") == 0)
        *settings = (PredictSettings){.normalise = PREDICT_AFFINE,
                                      .x0 = PREDICT_X0_ZERO,
                                      .resolution = 64,
                                      .prompt_sigma = 0.02};
    if (arguments->encoding >= 0) settings->encoding = (ConditionEncoding)arguments->encoding;
    return 0;
}

// A branch with the channels that the prompt's encoding takes.
static int fit_branch(Model *model, bool wanted, ConditionEncoding encoding, uint64_t seed) {
    const int each = condition_channels(encoding);
    if (!model->control) return wanted ? model_add_branch(model, each, seed) : 0;
    const int64_t channels = model->control->config.condition_channels;
    if (channels % each == 0) return 0;
    return error_int("prompt.encoding is \"%s\", %d channels per object; the branch has %lld",
                     condition_names[encoding], each, (long long)channels);
}

static int save(const Model *model, const PredictSettings *settings, const char *out) {
    char *aside = folder_replace_begin(out);
    if (!aside) return -1;
    int result = model_save(model, aside, NULL);
    if (result == 0) result = predict_settings_write(settings, aside);
    if (result == 0)
        result = folder_replace_commit(aside, out);
    else
        folder_remove(aside);
    free(aside);
    return result;
}

static int init(const InitArguments *arguments, const char *source) {
    PredictSettings settings;
    if (folder_check_new(arguments->out) != 0 || find_settings(arguments, source, &settings) != 0)
        return -1;
    const ModelOptions options = {.dtype = F32,
                                  .random_seed = true,
                                  .seed = (uint64_t)(arguments->seed < 0 ? 0 : arguments->seed)};
    Model *model = model_init(source, &options);
    int result = model ? fit_branch(model, arguments->branch, settings.encoding, options.seed) : -1;
    if (result == 0) result = save(model, &settings, arguments->out);
    if (result == 0)
        printf("%s: unet %lld, vae %lld, controlnet %lld parameters\n", arguments->out,
               (long long)params_elements(&model->unet->params),
               (long long)params_elements(&model->vae->params),
               model->control ? (long long)params_elements(&model->control->params) : 0LL);
    model_free(model);
    return result;
}

int cmd_init(int argc, char **argv) {
    InitArguments arguments = {.seed = -1, .encoding = -1};
    Words words = {0};
    int code = EXIT_OK;
    const Argument table[] = {ARG_TEXT("--out", arguments.out),
                              ARG_RANGE("--seed", INTEGER, arguments.seed, 0, 4294967295.0),
                              ARG_FLAG("--controlnet", arguments.branch)};
    const Arguments known = {.help = help,
                             .options = table,
                             .option_count = ARGUMENTS_COUNT(table),
                             .words = &words,
                             .max_words = 1};
    if (!arguments_read(&known, argc, argv, &code)) return code;
    if (words.count == 0 || !arguments.out)
        return arguments_wrong("init", words.count == 0 ? "what is to be built is missing"
                                                        : "--out DIR is missing");
    arguments.source = words.items[0];
    const bool config = text_ends_with(arguments.source, ".yaml");
    char *source = config ? source_of_config(&arguments) : string_copy(arguments.source);
    const bool done = source && device_use("cpu", 0) == 0 && init(&arguments, source) == 0;
    free(source);
    return done ? EXIT_OK : command_failed();
}
