// SPDX-License-Identifier: MIT
// Training: every task learns something, a resumed run gives the same bits, bad settings are
// refused before anything is written.
#include "autograd/backend.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cpu/cpu.h"
#include "train/schedule.h"
#include "train/trainer.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64]; // of this test

static void begin(void) {
    backend_use(cpu_backend());
    cpu_set_threads(2);
    snprintf(folder, sizeof folder, "/tmp/p2s-train-XXXXXX");
    cr_assert_not_null(mkdtemp(folder));
}

static void end(void) {
    folder_remove(folder);
}

TestSuite(train, .init = begin, .fini = end, .timeout = 240);

static const char *const small[] = {
    "model=miniature",
    "threads=2",
    "train.batch=2",
    "train.steps=6",
    "train.lr=1e-3",
    "train.warmup=2",
    "train.schedule=cosine",
    "train.normalise=affine",
    "loss.scale=0.125",
    "data.count=12",
    "data.height=32",
    "data.width=32",
    "data.workers=1",
    "train.keep=3",
    "train.checkpoint_every=2",
    "train.sample_every=0",
};

// The small run in folder/NAME with more settings, NULL-terminated.
static void configure(TrainConfig *config, const char *name, const char *const *more) {
    memset(config, 0, sizeof *config);
    cr_assert_eq(config_defaults(&train_table, config), 0, "%s", error_message());
    for (size_t i = 0; i < sizeof small / sizeof small[0]; i++)
        cr_assert_eq(config_override(&train_table, config, small[i], "test"), 0, "%s",
                     error_message());
    for (; more && *more; more++)
        cr_assert_eq(config_override(&train_table, config, *more, "test"), 0, "%s",
                     error_message());
    char run[128];
    snprintf(run, sizeof run, "%s/%s", folder, name);
    cr_assert_eq(config_set(&train_table, config, "run", run, "test"), 0);
}

static void train(const char *name, const char *const *more, bool resume) {
    TrainConfig config;
    TrainEnd how;
    configure(&config, name, more);
    cr_assert_eq(train_run(&config, resume, true, &how), 0, "%s", error_message());
    cr_assert_eq(how, TRAIN_FINISHED);
    config_free(&train_table, &config);
}

static void refuse(const char *name, const char *const *more, const char *message) {
    TrainConfig config;
    TrainEnd how;
    configure(&config, name, more);
    cr_assert_eq(train_run(&config, false, true, &how), -1);
    const char *found = error_take();
    cr_assert(strstr(found, message), "expected \"%s\" in \"%s\"", message, found);
    config_free(&train_table, &config);
}

static bool same_file(const char *a, const char *b, const char *name) {
    size_t sizes[2] = {0, 1};
    char *bytes[2];
    const char *runs[] = {a, b};
    for (int i = 0; i < 2; i++) {
        char *path = text_format("%s/%s/checkpoints/latest/%s", folder, runs[i], name);
        bytes[i] = file_read(path, (size_t)1 << 30, &sizes[i]);
        cr_assert_not_null(bytes[i], "%s", error_message());
        free(path);
    }
    bool same = sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

static double loss_of(const char *run, int line) {
    char *path = text_format("%s/%s/metrics.jsonl", folder, run);
    FILE *file = fopen(path, "r");
    char row[512];
    cr_assert_not_null(file);
    for (int i = 0; i <= line; i++) cr_assert_not_null(fgets(row, sizeof row, file));
    fclose(file);
    free(path);
    json_t *parsed = json_loads(row, 0, NULL);
    double loss = json_real_value(json_object_get(parsed, "loss"));
    json_decref(parsed);
    return loss;
}

Test(train, a_resumed_gen2seg_run_gives_the_same_bits) {
    const char *const part[] = {"train.steps=4", "train.schedule_steps=6", NULL};
    const char *const whole[] = {"train.schedule_steps=6", NULL};
    train("whole", whole, false);
    train("parts", part, false);
    train("parts", whole, true);
    cr_assert(same_file("whole", "parts", "unet/diffusion_pytorch_model.safetensors"));
    cr_assert(same_file("whole", "parts", "optimizer.safetensors"));
}

Test(train, another_seed_gives_other_weights) {
    const char *const other[] = {"seed=1", "train.steps=2", NULL};
    const char *const one[] = {"train.steps=2", NULL};
    train("one", one, false);
    train("other", other, false);
    cr_assert_not(same_file("one", "other", "unet/diffusion_pytorch_model.safetensors"));
}

Test(train, gen2seg_leaves_the_vae_as_it_was) {
    const char *const none[] = {"train.steps=1", NULL}, *const more[] = {"train.steps=3", NULL};
    train("one", none, false);
    train("three", more, false);
    cr_assert(same_file("one", "three", "vae/diffusion_pytorch_model.safetensors"));
    cr_assert_not(same_file("one", "three", "unet/diffusion_pytorch_model.safetensors"));
}

Test(train, prompt2seg_trains_the_branch_and_nothing_else) {
    const char *const first[] = {"task=prompt2seg", "train.steps=1", NULL};
    const char *const more[] = {"task=prompt2seg", "train.steps=4", "prompt.points=3",
                                "prompt.empty=0.3", NULL};
    train("one", first, false);
    train("four", more, false);
    cr_assert(same_file("one", "four", "unet/diffusion_pytorch_model.safetensors"));
    cr_assert(same_file("one", "four", "vae/diffusion_pytorch_model.safetensors"));
    cr_assert_not(same_file("one", "four", "controlnet/diffusion_pytorch_model.safetensors"));
}

Test(train, a_resumed_prompt2seg_run_gives_the_same_bits) {
    const char *const part[] = {"task=prompt2seg", "prompt.loss=fixed", "train.steps=2",
                                "train.schedule_steps=6", NULL};
    const char *const whole[] = {"task=prompt2seg", "prompt.loss=fixed", "train.schedule_steps=6",
                                 NULL};
    train("whole", whole, false);
    train("parts", part, false);
    train("parts", whole, true);
    cr_assert(same_file("whole", "parts", "controlnet/diffusion_pytorch_model.safetensors"));
}

Test(train, the_vae_learns_and_sets_its_scaling_factor) {
    const char *const more[] = {"task=vae",
                                "train.steps=30",
                                "train.lr=2e-3",
                                "data.split=pretrain",
                                "train.checkpoint_every=30",
                                NULL};
    train("vae", more, false);
    cr_assert_lt(loss_of("vae", 29), 0.7 * loss_of("vae", 0));
    char *path = text_format("%s/vae/checkpoints/latest/vae/config.json", folder);
    json_t *config = json_load_file(path, 0, NULL);
    double factor = json_number_value(json_object_get(config, "scaling_factor"));
    cr_assert(factor > 0 && fabs(factor - 0.18215) > 1e-6);
    json_decref(config);
    free(path);
}

Test(train, accumulation_and_recompute_change_nothing_but_memory) {
    const char *const plain[] = {"train.batch=2", "train.steps=2", NULL};
    const char *const again[] = {"train.batch=2", "train.steps=2", "train.recompute=true", NULL};
    train("plain", plain, false);
    train("again", again, false);
    cr_assert(same_file("plain", "again", "unet/diffusion_pytorch_model.safetensors"));
    const char *const parts[] = {"train.batch=1", "train.accumulate=2", "train.steps=1", NULL};
    const char *const whole[] = {"train.batch=2", "train.steps=1", NULL};
    train("parts", parts, false);
    train("whole", whole, false);
    cr_assert_float_eq(loss_of("parts", 0), loss_of("whole", 0), 1e-4 * loss_of("whole", 0));
}

Test(train, odd_latent_sizes_train) {
    const char *const odd[] = {"train.steps=1", "data.height=36", "data.width=60", NULL};
    train("odd", odd, false);
    const char *const branch[] = {"task=prompt2seg", "train.steps=1", "data.height=36",
                                  "data.width=60", NULL};
    train("odd-branch", branch, false);
}

Test(train, only_the_newest_checkpoints_stay) {
    const char *const keep[] = {"train.keep=1", "train.checkpoint_every=1", "train.steps=3", NULL};
    train("keep", keep, false);
    char *path = text_format("%s/keep/checkpoints", folder);
    size_t count = 0;
    char **names = folder_list(path, &count);
    cr_assert_eq(count, 2);
    cr_assert_str_eq(names[0], "latest");
    cr_assert_str_eq(names[1], "step-3");
    folder_list_free(names, count);
    free(path);
}

static char *config_of(const char *run) {
    char *path = text_format("%s/%s/config.yaml", folder, run);
    char *text = file_read(path, 1 << 20, NULL);
    cr_assert_not_null(text, "%s", error_message());
    free(path);
    return text;
}

// As kill -9 leaves it between a checkpoint's renaming and its link, and inside a save.
Test(train, what_a_killed_save_left_never_replaces_the_newest_checkpoint) {
    const char *const part[] = {"train.keep=1", "train.checkpoint_every=1", "train.steps=2", NULL};
    const char *const more[] = {"train.keep=1", "train.checkpoint_every=1", "train.steps=3", NULL};
    train("killed", part, false);
    char *stale = text_format("%s/killed/checkpoints/step-4", folder);
    char *aside = text_format("%s/killed/checkpoints/step-9.p2s-tmp", folder);
    cr_assert_eq(folder_make(stale), 0);
    cr_assert_eq(folder_make(aside), 0);
    train("killed", more, true);
    char *kept = text_format("%s/killed/checkpoints/step-3/state.json", folder);
    cr_assert(file_exists(kept));
    cr_assert_not(folder_exists(stale));
    cr_assert_not(folder_exists(aside));
    free(stale), free(aside), free(kept);
}

Test(train, a_run_whose_newest_checkpoint_is_gone_is_not_begun_anew) {
    const char *const one[] = {"train.steps=1", NULL}, *const more[] = {"train.steps=2", NULL};
    train("run", one, false);
    char *newest = text_format("%s/run/checkpoints/step-1", folder), *before = config_of("run");
    cr_assert_eq(folder_remove(newest), 0);
    TrainConfig config;
    TrainEnd how;
    configure(&config, "run", more);
    cr_assert_eq(train_run(&config, true, true, &how), -1);
    cr_assert(strstr(error_take(), "latest"));
    char *after = config_of("run");
    cr_assert_str_eq(before, after);
    config_free(&train_table, &config);
    free(newest), free(before), free(after);
}

Test(train, a_finished_run_says_so_without_its_data) {
    const char *const one[] = {"train.steps=1", NULL};
    const char *const gone[] = {"train.steps=1", "data.set=hypersim", "data.path=/nowhere", NULL};
    train("run", one, false);
    char *before = config_of("run");
    train("run", gone, true);
    char *after = config_of("run");
    cr_assert_str_eq(before, after);
    free(before), free(after);
}

Test(train, the_paper_form_of_the_loss_has_no_further_factor) {
    const char *const usual[] = {"loss.form=paper", "train.steps=1", NULL};
    const char *const other[] = {"loss.form=paper", "loss.factor=1", "train.steps=1", NULL};
    const char *const code[] = {"train.steps=1", NULL};
    const char *const other_code[] = {"loss.factor=1", "train.steps=1", NULL};
    train("usual", usual, false);
    train("other", other, false);
    cr_assert_eq(loss_of("usual", 0), loss_of("other", 0));
    train("code", code, false);
    train("other-code", other_code, false);
    cr_assert_neq(loss_of("code", 0), loss_of("other-code", 0));
}

Test(train, a_run_folder_with_checkpoints_is_not_started_again) {
    const char *const one[] = {"train.steps=1", NULL};
    train("run", one, false);
    refuse("run", one, "--resume");
}

Test(train, a_resume_with_another_thread_count_or_seed_is_refused_and_changes_nothing) {
    const char *const one[] = {"train.steps=1", NULL};
    train("run", one, false);
    char *before = config_of("run");
    const char *const others[] = {"threads=1", "seed=3", "task=prompt2seg"};
    for (int i = 0; i < 3; i++) {
        const char *const more[] = {others[i], NULL};
        TrainConfig config;
        TrainEnd how;
        configure(&config, "run", more);
        cr_assert_eq(train_run(&config, true, true, &how), -1);
        cr_assert(strstr(error_take(), "state.json"));
        config_free(&train_table, &config);
    }
    char *after = config_of("run");
    cr_assert_str_eq(before, after);
    free(before);
    free(after);
}

Test(train, sizes_that_the_vae_cannot_halve_are_refused) {
    const char *const odd[] = {"data.height=33", NULL};
    refuse("odd", odd, "multiples of 4");
}

Test(train, a_missing_model_is_refused_by_name) {
    const char *const missing[] = {"model=/nowhere/model", NULL}, *const empty[] = {"model=", NULL};
    refuse("missing", missing, "/nowhere/model");
    refuse("empty", empty, "model");
}

Test(train, an_unknown_data_set_is_refused_by_name) {
    const char *const unknown[] = {"data.set=imagenet", NULL};
    refuse("unknown", unknown, "imagenet");
    const char *const mixed[] = {"data.sets=scenes,imagenet:weight=2", NULL};
    refuse("mixed", mixed, "data.sets, imagenet:weight=2: unknown data set");
}

Test(train, a_resumed_run_on_mixed_sets_of_two_sizes_gives_the_same_bits) {
    const char *sets = "data.sets=scenes:weight=2:count=12,"
                       "scenes:split=wires:count=9:height=16:width=48:fit=crop";
    const char *const part[] = {sets, "train.steps=5", "train.schedule_steps=9", NULL};
    const char *const whole[] = {sets, "train.steps=9", "train.schedule_steps=9", NULL};
    train("whole", whole, false);
    train("part", part, false);
    train("part", whole, true);
    cr_assert(same_file("whole", "part", "unet/diffusion_pytorch_model.safetensors"));
    cr_assert(same_file("whole", "part", "optimizer.safetensors"));
}

Test(train, an_index_that_is_required_must_be_there) {
    const char *const required[] = {"data.index=required", "data.path=/nowhere", NULL};
    refuse("required", required, "/nowhere/index.json: there is no such index");
}

Test(train, sizes_of_each_mixed_set_must_suit_the_vae) {
    const char *const odd[] = {"data.sets=scenes,scenes:split=wires:width=34", NULL};
    refuse("odd", odd, "32 and 34 for scenes");
}

Test(schedule, the_published_rates_are_met) {
    TrainConfig config = {0};
    cr_assert_eq(config_defaults(&train_table, &config), 0);
    config.schedule_steps = 40000;
    const struct {
        int64_t step;
        double rate;
    } known[] = {{0, 0},
                 {50, 3e-5},
                 {100, 6.0000e-5},
                 {1000, 5.6080e-5},
                 {5000, 4.1531e-5},
                 {10000, 2.8532e-5},
                 {15000, 1.9602e-5},
                 {20000, 1.3467e-5},
                 {25000, 9.2519e-6},
                 {30000, 6.3561e-6},
                 {40000, 3e-6},
                 {50000, 3e-6}};
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++)
        cr_assert_float_eq(learning_rate(&config, known[i].step), known[i].rate, 5e-10);
    config_free(&train_table, &config);
}
