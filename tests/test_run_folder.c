// SPDX-License-Identifier: MIT
// The run folder: which checkpoints stay, what a killed or refused run leaves, validation and its
// best checkpoint, the event file, digests of frozen weights, losses that are not finite.
#include "tests/train_runs.h"

#include "base/interrupt.h"
#include "base/memory.h"
#include "train/checkpoint.h"
#include "train/task.h"
#include "train/validate.h"

#include <math.h>
#include <signal.h>
#include <sys/stat.h>

TestSuite(run_folder, .init = begin, .fini = end, .timeout = 240);

Test(run_folder, only_the_newest_checkpoints_stay) {
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
    return run_file(run, "config.yaml", NULL);
}

static char *link_of(const char *run, const char *link) {
    char target[64];
    char *path = text_format("%s/%s/checkpoints/%s", folder, run, link);
    ssize_t length = readlink(path, target, sizeof target - 1);
    cr_assert_gt(length, 0);
    target[length] = '\0';
    cr_assert(folder_exists(path));
    free(path);
    return string_copy(target);
}

// As kill -9 leaves it between a checkpoint's renaming and its link, and inside a save.
Test(run_folder, what_a_killed_save_left_never_replaces_the_newest_checkpoint) {
    const char *const part[] = {"train.keep=1", "train.checkpoint_every=1", "train.steps=2", NULL};
    const char *const more[] = {"train.keep=1", "train.checkpoint_every=1", "train.steps=3", NULL};
    train("killed", part, false);
    char *stale = text_format("%s/killed/checkpoints/step-4", folder);
    char *aside = text_format("%s/killed/checkpoints/step-9.p2s-tmp", folder);
    cr_assert_eq(folder_make(stale), 0);
    cr_assert_eq(folder_make(aside), 0);
    static const char *const names[] = {"config.yaml.tmp-1", "samples/step-1.png.tmp-23",
                                        "checkpoints/latest.tmp-456", "mine.tmp-", "my.tmp-2b"};
    enum { ASIDES = 3, NAMES = 5 };
    char *paths[NAMES];
    for (int i = 0; i < NAMES; i++) {
        paths[i] = text_format("%s/killed/%s", folder, names[i]);
        char *inside = path_folder(paths[i]);
        cr_assert_eq(folder_make(inside), 0);
        cr_assert_eq(i == 2 ? symlink("step-4", paths[i]) : file_write(paths[i], "x", 1), 0);
        free(inside);
    }
    train("killed", more, true);
    struct stat info;
    for (int i = 0; i < NAMES; i++) {
        cr_expect_eq(lstat(paths[i], &info) == 0, i >= ASIDES, "%s", names[i]);
        free(paths[i]);
    }
    char *kept = text_format("%s/killed/checkpoints/step-3/state.json", folder);
    cr_assert(file_exists(kept));
    cr_assert_not(folder_exists(stale));
    cr_assert_not(folder_exists(aside));
    free(stale), free(aside), free(kept);
}

Test(run_folder, a_checkpoint_that_latest_cannot_be_pointed_to_is_taken_back) {
    const char *const one[] = {"train.steps=1", NULL};
    TrainConfig config;
    Model *model;
    Optimizer optimizer;
    ParamSet *sets[TASK_SETS];
    train("run", one, false);
    configure(&config, "run", one);
    ModelOptions options = task_model_options(&config);
    model = model_init("miniature", &options);
    cr_assert_eq(optimizer_begin(&optimizer, sets, task_sets(model, sets)), 0);
    char *in_the_way = text_format("%s/run/checkpoints/latest.tmp-%ld", folder, (long)getpid());
    char *second = text_format("%s/run/checkpoints/step-2", folder);
    cr_assert_eq(folder_make(in_the_way), 0);
    optimizer.step = 2;
    cr_assert_eq(checkpoint_save(&config, model, &optimizer, false), -1);
    cr_assert(strstr(error_take(), "latest: cannot link"));
    cr_assert_not(folder_exists(second));
    char *latest = link_of("run", "latest");
    cr_assert_str_eq(latest, "step-1");
    optimizer_done(&optimizer);
    model_free(model);
    config_free(&train_table, &config);
    free(latest), free(in_the_way), free(second);
}

Test(run_folder, a_run_whose_newest_checkpoint_is_gone_is_not_begun_anew) {
    const char *const one[] = {"train.steps=1", NULL}, *const more[] = {"train.steps=2", NULL};
    train("run", one, false);
    char *newest = text_format("%s/run/checkpoints/step-1", folder), *before = config_of("run");
    cr_assert_eq(folder_remove(newest), 0);
    cr_assert(strstr(failure("run", more, true), "latest"));
    char *after = config_of("run");
    cr_assert_str_eq(before, after);
    free(newest), free(before), free(after);
}

// By what is opened last.
Test(run_folder, a_refused_resume_leaves_the_config_that_works) {
    const char *const one[] = {"train.steps=1", NULL};
    const char *const more[] = {"train.steps=2", "train.validate_every=1", NULL};
    train("run", one, false);
    char *before = config_of("run");
    cr_assert(strstr(failure("run", more, true), "validate.sets"));
    char *after = config_of("run");
    cr_assert_str_eq(before, after);
    free(before), free(after);
}

Test(run_folder, a_finished_run_says_so_without_its_data) {
    const char *const one[] = {"train.steps=1", NULL};
    const char *const gone[] = {"train.steps=1", "data.set=hypersim", "data.path=/nowhere", NULL};
    train("run", one, false);
    char *before = config_of("run");
    train("run", gone, true);
    char *after = config_of("run");
    cr_assert_str_eq(before, after);
    free(before), free(after);
}

Test(run_folder, a_run_folder_with_checkpoints_is_not_started_again) {
    const char *const one[] = {"train.steps=1", NULL};
    train("run", one, false);
    refuse("run", one, "--resume");
}

Test(run_folder, a_resume_with_another_thread_count_or_seed_is_refused_and_changes_nothing) {
    const char *const one[] = {"train.steps=1", NULL};
    train("run", one, false);
    char *before = config_of("run");
    const char *const others[] = {"threads=1", "seed=3", "task=prompt2seg"};
    for (int i = 0; i < 3; i++) {
        const char *const more[] = {others[i], NULL};
        cr_assert(strstr(failure("run", more, true), "state.json"));
    }
    char *after = config_of("run");
    cr_assert_str_eq(before, after);
    free(before);
    free(after);
}

// ---- validation ---------------------------------------------------------------------------------

#define VALIDATE                                                                             \
    "train.validate_every=2", "validate.sets=scenes:split=val:size=32", "validate.images=2", \
        "predict.resolution=32", "train.schedule_steps=6"

// Whether `best` leads to the step of the first best of the `count` lines of validation.jsonl.
static void expect_best(const char *run, int count) {
    char *text = run_file(run, "validation.jsonl", NULL), *line = text, *end_of_line;
    int64_t best = 0;
    double most = -1;
    for (; (end_of_line = strchr(line, '\n')); line = end_of_line + 1, count--) {
        json_t *row = json_loadb(line, (size_t)(end_of_line - line), 0, NULL);
        double score = json_number_value(json_object_get(row, "score"));
        cr_assert(score >= 0);
        if (score > most) best = json_integer_value(json_object_get(row, "step")), most = score;
        json_decref(row);
    }
    cr_assert_eq(count, 0);
    char *expected = text_format("step-%lld", (long long)best), *found = link_of(run, "best");
    cr_assert_str_eq(found, expected);
    free(text), free(expected), free(found);
}

Test(run_folder, validation_changes_no_bit_and_its_best_checkpoint_stays) {
    const char *const with[] = {VALIDATE, "train.keep=1", NULL};
    const char *const without[] = {"train.schedule_steps=6", NULL};
    train("with", with, false);
    train("without", without, false);
    cr_assert(same_file("with", "without", "unet/diffusion_pytorch_model.safetensors"));
    cr_assert(same_file("with", "without", "optimizer.safetensors"));
    expect_best("with", 3);
    char *latest = link_of("with", "latest");
    cr_assert_str_eq(latest, "step-6");
    free(latest);
}

// The interrupt comes in the only step.
Test(run_folder, a_validation_that_an_interrupt_kept_from_the_last_step_is_made_when_resumed) {
    const char *const more[] = {VALIDATE, "train.steps=1", NULL};
    TrainConfig config;
    TrainEnd how;
    configure(&config, "run", more);
    for (int i = 0; i < 2; i++) { // the second time the interrupt keeps it again
        cr_assert_eq(interrupt_watch(), 0);
        raise(SIGINT);
        cr_assert_eq(train_run(&config, i > 0, true, &how), 0, "%s", error_message());
        interrupt_unwatch();
        cr_assert_eq(how, TRAIN_INTERRUPTED);
    }
    config_free(&train_table, &config);
    train("run", more, true);
    expect_best("run", 1);
    train("run", more, true);
    expect_best("run", 1);
}

Test(run_folder, a_score_that_is_not_finite_is_refused_by_set_and_name) {
    const char *const more[] = {VALIDATE, "task=vae", NULL};
    TrainConfig config;
    Validation validation;
    bool improved;
    configure(&config, "run", more);
    cr_assert_eq(folder_make(config.run), 0);
    ModelOptions options = task_model_options(&config);
    Model *model = model_init("miniature", &options);
    cr_assert_not_null(model, "%s", error_message());
    Param *bias = params_find(&model->vae->params, "decoder.conv_out.bias");
    const float values[] = {NAN, NAN, NAN};
    cr_assert_eq(tensor_write_float(bias->tensor, values), 0, "%s", error_message());
    cr_assert_eq(validation_begin(&validation, &config, model, 0), 0, "%s", error_message());
    char *path = text_format("%s/events", folder);
    EventFile *events = event_file_open(path, 0);
    cr_assert_not_null(events, "%s", error_message());
    cr_assert_eq(validation_run(&validation, 2, events, &improved), -1);
    const char *message = error_take();
    cr_assert(strstr(message, "val: the score of vae (psnr) is"), "%s", message);
    event_file_close(events);
    free(path);
    validation_done(&validation);
    model_free(model);
    config_free(&train_table, &config);
}

Test(run_folder, the_vae_is_validated_by_what_it_gives_back) {
    const char *const more[] = {VALIDATE, "task=vae", "train.lr=3e-3", NULL};
    const char *const without[] = {"train.schedule_steps=6", "task=vae", "train.lr=3e-3", NULL};
    train("run", more, false);
    train("without", without, false);
    cr_assert(same_file("run", "without", "vae/diffusion_pytorch_model.safetensors"));
    cr_assert(same_file("run", "without", "vae/config.json"));
    expect_best("run", 3);
}

Test(run_folder, the_best_checkpoint_is_never_removed) {
    const char *const one[] = {"train.keep=1", "train.checkpoint_every=1", "train.steps=1", NULL};
    const char *const more[] = {"train.keep=1", "train.checkpoint_every=1", "train.steps=3", NULL};
    train("run", one, false);
    char *best = text_format("%s/run/checkpoints/best", folder);
    cr_assert_eq(link_replace("step-1", best), 0);
    train("run", more, true);
    char *found = link_of("run", "best"), *gone = text_format("%s/run/checkpoints/step-2", folder);
    cr_assert_str_eq(found, "step-1");
    cr_assert(!folder_exists(gone));
    free(best), free(found), free(gone);
}

Test(run_folder, a_better_validation_is_saved_between_two_checkpoints) {
    const char *const more[] = {VALIDATE, "task=prompt2seg", "train.checkpoint_every=100",
                                "train.steps=3", NULL};
    train("run", more, false);
    expect_best("run", 2);
}

Test(run_folder, validation_is_refused_before_training_where_it_cannot_work) {
    const char *const sets[] = {"train.validate_every=1", NULL};
    const char *const unknown[] = {"train.validate_every=1", "validate.sets=imagenet:path=/", NULL};
    const char *const system[] = {VALIDATE, "validate.systems=prompt2seg", NULL};
    const char *const option[] = {VALIDATE, "validate.options=readout.treshold=4", NULL};
    const char *const doubled[] = {VALIDATE, "validate.options=systems=disc", NULL};
    refuse("sets", sets, "validate.sets");
    refuse("unknown", unknown, "imagenet");
    refuse("system", system, "prompt2seg");
    refuse("option", option, "readout.threshold");
    refuse("doubled", doubled, "their own keys");
}

// ---- the event file -----------------------------------------------------------------------------

static uint32_t plain_crc32c(const unsigned char *bytes, size_t size) {
    uint32_t crc = 0xFFFFFFFF;
    for (size_t i = 0; i < 8 * size; i++) {
        uint32_t bit = (crc ^ (uint32_t)bytes[i / 8] >> i % 8) & 1;
        crc = crc >> 1 ^ (bit ? 0x82F63B78u : 0);
    }
    return ~crc;
}

static uint64_t little(const unsigned char *bytes, int count) {
    uint64_t value = 0;
    for (int i = 0; i < count; i++) value |= (uint64_t)bytes[i] << 8 * i;
    return value;
}

static bool is_checked(const unsigned char *bytes, size_t size) {
    uint32_t crc = plain_crc32c(bytes, size);
    return little(bytes + size, 4) == (uint32_t)((crc >> 15 | crc << 17) + 0xA282EAD8u);
}

// Checks the frame of every record; returns the steps, "0 1 1 2 ".
static char *steps_of(const char *run) {
    enum { HEAD = 12, STEP_AT = 10, FOOT = 4 };
    size_t size = 0;
    unsigned char *bytes = (unsigned char *)run_file(run, "events.out.tfevents.p2s", &size);
    Text steps = {0};
    for (size_t at = 0; at < size;) {
        cr_assert_geq(size - at, HEAD);
        size_t length = (size_t)little(bytes + at, 8);
        cr_assert(is_checked(bytes + at, 8));
        cr_assert_leq(length, size - at - HEAD - FOOT);
        cr_assert(is_checked(bytes + at + HEAD, length));
        text_add(&steps, "%d ", bytes[at + HEAD + STEP_AT]); // below 128: one byte
        at += HEAD + length + FOOT;
    }
    free(bytes);
    return text_take(&steps);
}

static void append(const char *run, const char *name, const char *text) {
    char *path = text_format("%s/%s/%s", folder, run, name);
    FILE *file = fopen(path, "a");
    cr_assert_not_null(file);
    fputs(text, file);
    fclose(file);
    free(path);
}

// A log without its times.
static char *log_of(const char *run, const char *name) {
    char *text = run_file(run, name, NULL), *to = text;
    for (const char *from = text; *from; from++) {
        if (strncmp(from, ", \"seconds\"", 11) == 0) from += strcspn(from, "\n");
        *to++ = *from;
    }
    *to = '\0';
    return text;
}

static void expect_same_log(const char *a, const char *b, const char *name) {
    char *one = log_of(a, name), *other = log_of(b, name);
    cr_assert_str_eq(one, other);
    free(one), free(other);
}

// As kill -9 leaves a run after its checkpoint of step 2: further steps in the logs, half a line,
// half a record, `best` ahead.
static void kill_after_step_2(const char *run) {
    char *newest = text_format("%s/%s/checkpoints/step-4", folder, run);
    char *latest = text_format("%s/%s/checkpoints/latest", folder, run);
    char *best = text_format("%s/%s/checkpoints/best", folder, run);
    cr_assert_eq(folder_remove(newest), 0);
    cr_assert_eq(link_replace("step-2", latest), 0);
    cr_assert_eq(link_replace("step-4", best), 0);
    append(run, "metrics.jsonl", "{\"step\": 5, \"lo");
    append(run, "validation.jsonl", "{\"step\"");
    append(run, "events.out.tfevents.p2s", "\x30 half a record");
    free(newest), free(latest), free(best);
}

Test(run_folder, a_killed_and_resumed_run_has_the_logs_and_the_best_of_one_that_was_not) {
    const char *const whole[] = {VALIDATE, "train.sample_every=3", NULL};
    const char *const part[] = {VALIDATE, "train.sample_every=3", "train.steps=4", NULL};
    train("whole", whole, false);
    train("killed", part, false);
    kill_after_step_2("killed");
    train("killed", whole, true);
    cr_assert(same_file("whole", "killed", "unet/diffusion_pytorch_model.safetensors"));
    expect_same_log("whole", "killed", "metrics.jsonl");
    expect_same_log("whole", "killed", "validation.jsonl");
    expect_best("killed", 3);
    char *one = steps_of("whole"), *other = steps_of("killed");
    cr_assert_str_eq(one, "0 1 1 2 2 2 3 3 4 4 4 5 6 6 6 6 ");
    cr_assert_str_eq(one, other);
    free(one), free(other);
}

Test(run_folder, a_file_that_is_no_event_file_is_left_alone) {
    const char *const one[] = {"train.steps=1", NULL};
    char *path = text_format("%s/run", folder);
    cr_assert_eq(folder_make(path), 0);
    append("run", "events.out.tfevents.p2s", "something that somebody else has written here");
    refuse("run", one, "not an event file of ours");
    char *text = run_file("run", "events.out.tfevents.p2s", NULL);
    cr_assert_eq(strncmp(text, "something that", 14), 0);
    free(path), free(text);
}

Test(run_folder, an_event_that_memory_was_not_enough_for_is_an_error_and_not_in_the_file) {
    const EventScalar scalars[] = {{"train/loss", 1}, {"train/lr", 2}};
    enum { MOST = 100 };
    char *path = text_format("%s/events", folder);
    EventFile *events = event_file_open(path, 0);
    cr_assert_not_null(events, "%s", error_message());
    int64_t before = file_size(path), n = 1;
    for (int result = -1; result != 0 && n < MOST; n++) {
        memory_fail_at(n);
        result = event_file_scalars(events, 1, scalars, 2);
        memory_fail_at(0);
        cr_assert_eq(result == 0, !error_is_set(), "allocation %lld", (long long)n);
        error_take();
        cr_assert(result == 0 || file_size(path) == before, "allocation %lld", (long long)n);
    }
    cr_assert(n > 4 && n < MOST);
    event_file_close(events);
    free(path);
}

// ---- what must not pass unseen ------------------------------------------------------------------

Test(run_folder, frozen_weights_that_were_changed_are_found_when_resuming) {
    const char *const one[] = {"train.steps=1", NULL}, *const more[] = {"train.steps=2", NULL};
    train("run", one, false);
    char *path =
        text_format("%s/run/checkpoints/latest/vae/diffusion_pytorch_model.safetensors", folder);
    FILE *file = fopen(path, "r+b");
    cr_assert_not_null(file);
    cr_assert_eq(fseek(file, -1, SEEK_END), 0);
    fputc('x', file);
    fclose(file);
    const char *message = failure("run", more, true);
    cr_assert(strstr(message, "vae/diffusion_pytorch_model.safetensors: its digest is"), "%s",
              message);
    free(path);
}

Test(run_folder, a_loss_that_is_not_finite_names_step_samples_and_op_and_leaves_latest) {
    const char *const more[] = {"train.first_steps=3", "loss.variance=1e300", NULL};
    const char *message = failure("run", more, false);
    cr_assert(strstr(message, "step 4 ("), "%s", message);
    cr_assert(strstr(message, "the loss is inf"), "%s", message);
    cr_assert(strstr(message, "forward of coloring_loss"), "%s", message);
    char *latest = link_of("run", "latest");
    cr_assert_str_eq(latest, "step-2");
    free(latest);
}
