// SPDX-License-Identifier: MIT
// p2s bench: what this machine reaches, one row per case.
#include "cli/bench.h"
#include "cli/command.h"
#include "cli/device.h"

#include "base/error.h"
#include "cuda/cuda.h"

#include <stdio.h>
#include <string.h>

static const char help[] =
    "usage: p2s bench ops [sd2|OP] [--json]\n"
    "       p2s bench loss [--n LIST] [--size HxW] [--inputs FILE.safetensors]\n"
    "       p2s bench step|unet|predict|tune [--model DIR|sd2|sd15|miniature] [--kind "
    "gen2seg|prompt2seg]\n"
    "                 [--size HxW] [--batch B] [--tokens T] [--instances N]\n"
    "       p2s bench loader [--data TYPE] [--path PATH] [--split S]\n"
    "                 [--size HxW] [--batch B] [--workers LIST] [--count N]\n\n"
    "Times one subject and prints a row per case, with --json an object per line. Times are\n"
    "medians after one run that does not count.\n\n"
    "  ops      arithmetic at the shapes of Stable Diffusion 2 (alone: sd2), then every op; with\n"
    "           the share of what the machine or device was measured to reach, counting the\n"
    "           operations of the plain algorithm, of which a faster one does fewer (shares above\n"
    "           100 %)\n"
    "  loss     the instance coloring loss with its gradient\n"
    "  step     encode, U-Net, decode, loss over all regions, backward, AdamW\n"
    "  unet     U-Net forward and backward\n"
    "  predict  encode, U-Net, decode\n"
    "  tune     every way to compute every convolution pass of a step, with its error against\n"
    "           double; --out FILE keeps the fastest of each, and P2S_CHOICES=FILE uses them;\n"
    "           with --device cuda the first 4 plans that the libraries propose for what a step\n"
    "           asks, with their difference to the first; P2S_PLAN_TABLE=FILE uses these\n"
    "  loader   reading and resizing of images and labels\n\n"
    "  --model M       a model folder (config.json files suffice: weights are then random),\n"
    "                  or sd2, sd15 or miniature (default sd2)\n"
    "  --kind K        gen2seg or prompt2seg (default gen2seg)\n"
    "  --size HxW      pixels (default 480x640)\n"
    "  --batch B       images, for ops those of convolutions (default 1; loader 2); of a step\n"
    "                  also several, \"1,2,4\", of which one that fails is said and passed over\n"
    "  --tokens T      tokens of the empty prompt (default 77)\n"
    "  --instances N   regions of a step's target (default 20)\n"
    "  --n LIST        loss: numbers of regions (default 50,1000)\n"
    "  --inputs FILE   loss: labels target.N [3,H,W] u8 and prediction.N [3,H,W] f32\n"
    "  --data, --path, --split, --count, --workers\n"
    "                  loader: the set (default scenes), how many images of it (default 256), and\n"
    "                  numbers of threads that read (default 0,1,2)\n"
    "  --threads T     threads of arithmetic (default: all processors)\n"
    "  --seconds S     time to spend per case (default 4; ops 0.5)\n"
    "  --device D      cpu or cuda (default cpu)\n"
    "  --type T        f32, tf32 (cuda: products of f32 numbers with 10 bits) or bf16 (ops on "
    "cuda)\n"
    "  --out FILE      tune: the table\n"
    "  --json          one JSON object per line\n\n"
    "  p2s bench step --model sd2 --kind prompt2seg --size 128x192 --json\n";

typedef struct {
    const char *name;
    int (*run)(const BenchOptions *options);
} Subject;

static const Subject subjects[] = {
    {"ops", bench_ops},         {"loss", bench_loss}, {"step", bench_step},    {"unet", bench_unet},
    {"predict", bench_predict}, {"tune", bench_tune}, {"loader", bench_loader}};

static const Subject *subject_of(const char *name) {
    for (size_t i = 0; i < ARGUMENTS_COUNT(subjects); i++)
        if (strcmp(subjects[i].name, name) == 0) return &subjects[i];
    return NULL;
}

static bool read_options(int argc, char **argv, Words *words, BenchOptions *o, int *code) {
    const Argument table[] = {
        ARG_FLAG("--json", o->json),
        ARG_TEXT("--model", o->model),
        ARG_CHOICE("--kind", o->kind, "gen2seg|prompt2seg"),
        ARG_TEXT("--size", o->size),
        ARG_CHOICE("--type", o->type, "f32|tf32|bf16"),
        ARG_TEXT("--inputs", o->inputs),
        ARG_TEXT("--out", o->out),
        ARG_RANGE("--batch", LIST, o->batches, 1, 4096),
        ARG_RANGE("--tokens", INTEGER, o->tokens, 1, 4096),
        ARG_RANGE("--instances", INTEGER, o->instances, 1, 100000),
        ARG_RANGE("--seconds", NUMBER, o->seconds, 0, 3600),
        ARG_RANGE("--n", LIST, o->n, 1, 1000000),
        ARG_TEXT("--data", o->data),
        ARG_TEXT("--path", o->path),
        ARG_TEXT("--split", o->split),
        ARG_RANGE("--workers", LIST, o->workers, 0, 256),
        ARG_RANGE("--count", INTEGER, o->count, 1, 100000000),
        DEVICE_ARGUMENTS(o->device, o->threads),
    };
    const Arguments arguments = {.help = help,
                                 .options = table,
                                 .option_count = ARGUMENTS_COUNT(table),
                                 .words = words,
                                 .max_words = 2};
    return arguments_read(&arguments, argc, argv, code);
}

int cmd_bench(int argc, char **argv) {
    Words words = {0};
    BenchOptions options = {.model = "sd2",
                            .kind = "gen2seg",
                            .size = "480x640",
                            .device = "cpu",
                            .type = "f32",
                            .tokens = 77,
                            .instances = 20,
                            .seconds = -1,
                            .data = "scenes",
                            .count = 256};
    int code = EXIT_OK;
    if (!read_options(argc, argv, &words, &options, &code)) return code;
    const Subject *subject = words.count > 0 ? subject_of(words.items[0]) : NULL;
    if (!subject)
        return arguments_wrong("bench",
                               "expected one of ops, loss, step, unet, predict, tune, loader");
    if (words.count == 2 && subject->run != bench_ops)
        return arguments_wrong("bench", "unexpected \"%s\"", words.items[1]);
    if (options.batches.count > 1 && subject->run != bench_step)
        return arguments_wrong("bench", "several batches are for step");
    if (options.batches.count > 0) options.batch = options.batches.items[0];
    options.only = words.count == 2 ? words.items[1] : NULL;
    if (size_from_text(options.size, &options.height, &options.width) != 0)
        return arguments_wrong("bench", "--size: %s", error_take());
    const bool cuda = strcmp(options.device, "cuda") == 0, f32 = strcmp(options.type, "f32") == 0;
    if (!f32 && !cuda)
        return arguments_wrong("bench", "--type %s needs --device cuda", options.type);
    cuda_use_tf32(!f32);
    int (*const run)(const BenchOptions *) =
        cuda && subject->run == bench_tune ? bench_plans : subject->run;
    if (device_option(options.device, options.threads) != 0 || run(&options) != 0)
        return command_failed();
    return EXIT_OK;
}
