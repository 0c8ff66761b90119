// SPDX-License-Identifier: MIT
// Training: every task learns, a resumed run gives the same bits, what is frozen stays, bad
// settings are refused by name.
#include "tests/train_runs.h"

#include "nn/model.h"
#include "train/schedule.h"

#include <criterion/redirect.h>
#include <math.h>

TestSuite(train, .init = begin, .fini = end, .timeout = 240);

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

Test(train, a_random_branch_takes_the_place_of_the_trained_one) {
    const char *const first[] = {"task=prompt2seg", "train.steps=2", NULL};
    char model[160];
    train("first", first, false);
    snprintf(model, sizeof model, "model=%s/first/checkpoints/latest", folder);
    const char *const again[] = {"task=prompt2seg", "train.steps=2", model, "random_branch=true",
                                 NULL};
    const char *const on[] = {"task=prompt2seg", "train.steps=2", model, NULL};
    train("again", again, false);
    train("on", on, false);
    cr_assert(same_file("first", "again", "controlnet/diffusion_pytorch_model.safetensors"));
    cr_assert_not(same_file("first", "on", "controlnet/diffusion_pytorch_model.safetensors"));
}

Test(train, a_branch_is_not_trained_on_with_another_encoding) {
    const char *const more[] = {"task=prompt2seg", "model=" P2S_FIXTURES "/../../models/miniature",
                                "prompt.encoding=similarity", NULL};
    cr_assert(strstr(failure("run", more, false), "was trained with \"both\""), "%s",
              error_message());
}

// What is printed is the plan, which asks the model again.
Test(train, a_run_that_prints_its_plan_goes_on_with_another_encoding_than_its_first_model) {
    const char *const first[] = {"task=prompt2seg", "prompt.encoding=similarity",
                                 "prompt.loss=latent", "train.steps=1", NULL};
    const char *const more[] = {"task=prompt2seg", "prompt.encoding=similarity",
                                "prompt.loss=latent", "train.steps=2", NULL};
    TrainConfig config;
    TrainEnd how;
    train("run", first, false);
    configure(&config, "run", more);
    cr_redirect_stderr();
    cr_assert_eq(train_run(&config, true, false, &how), 0, "%s", error_message());
    config_free(&train_table, &config);
}

Test(train, a_random_unet_is_refused_where_it_is_not_trained) {
    const char *const more[] = {"task=prompt2seg", "random_unet=true", NULL};
    refuse("run", more, "random_unet: task prompt2seg does not train the U-Net");
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

Test(train, diffusion_learns_the_unet_alone_and_resumes_to_the_same_bits) {
    const char *const part[] = {"task=diffusion",
                                "train.batch=5",
                                "train.steps=3",
                                "train.schedule_steps=6",
                                "train.sample_every=3",
                                "data.split=pretrain",
                                "train.lr=3e-3",
                                "train.checkpoint_every=3",
                                NULL};
    const char *const whole[] = {"task=diffusion",
                                 "train.batch=5",
                                 "train.steps=6",
                                 "train.schedule_steps=6",
                                 "data.split=pretrain",
                                 "train.lr=3e-3",
                                 "train.checkpoint_every=3",
                                 NULL};
    train("whole", whole, false);
    train("parts", part, false);
    cr_assert(same_file("whole", "parts", "vae/diffusion_pytorch_model.safetensors"));
    train("parts", whole, true);
    cr_assert(same_file("whole", "parts", "unet/diffusion_pytorch_model.safetensors"));
    cr_assert_lt(loss_of("whole", 5), loss_of("whole", 0));
}

Test(train, the_first_steps_of_gen2seg_learn_either_target) {
    const char *const targets[] = {"train.first_target=white", "train.first_target=place"};
    for (size_t i = 0; i < 2; i++) {
        const char *const more[] = {"train.steps=12", "train.first_steps=12",
                                    "train.checkpoint_every=12", targets[i], NULL};
        train(targets[i], more, false);
        cr_assert_lt(loss_of(targets[i], 11), 0.9 * loss_of(targets[i], 0));
    }
}

Test(train, prompts_are_learned_against_an_image_and_against_a_latent) {
    const char *const losses[] = {"prompt.loss=fixed", "prompt.loss=latent"};
    const char *const balances[] = {"prompt.balance=object", "prompt.balance=root"};
    for (size_t i = 0; i < 2; i++) {
        const char *const first[] = {"task=prompt2seg", "train.steps=1", losses[i], balances[i],
                                     NULL};
        const char *const more[] = {"task=prompt2seg", "train.steps=3", losses[i], balances[i],
                                    NULL};
        train(losses[i], first, false);
        train(balances[i], more, false);
        cr_assert(same_file(losses[i], balances[i], "unet/diffusion_pytorch_model.safetensors"));
        cr_assert_not(
            same_file(losses[i], balances[i], "controlnet/diffusion_pytorch_model.safetensors"));
    }
}

static double scaling_of(const char *run, const char *checkpoint) {
    char *path = text_format("%s/%s/checkpoints/%s/vae/config.json", folder, run, checkpoint);
    json_t *config = json_load_file(path, 0, NULL);
    double factor = json_number_value(json_object_get(config, "scaling_factor"));
    json_decref(config);
    free(path);
    return factor;
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
    double factor = scaling_of("vae", "latest");
    cr_assert(factor > 0 && fabs(factor - 0.18215) > 1e-6);
}

Test(train, every_checkpoint_of_the_vae_has_its_scaling_factor_and_resumes_to_the_same_bits) {
    const char *const part[] = {"task=vae", "train.steps=3", "train.schedule_steps=4",
                                "train.lr=2e-3", NULL};
    const char *const whole[] = {"task=vae", "train.steps=4", "train.schedule_steps=4",
                                 "train.lr=2e-3", NULL};
    train("whole", whole, false);
    cr_assert_gt(fabs(scaling_of("whole", "step-2") - 0.18215), 1e-6);
    cr_assert_neq(scaling_of("whole", "step-2"), scaling_of("whole", "step-4"));
    train("parts", part, false);
    train("parts", whole, true);
    cr_assert(same_file("whole", "parts", "vae/diffusion_pytorch_model.safetensors"));
    cr_assert(same_file("whole", "parts", "vae/config.json"));
    cr_assert(same_file("whole", "parts", "optimizer.safetensors"));
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

// A model like Stable Diffusion's in all but width, with random weights, in folder/eight.
static void make_model_of_factor_8(void) {
    UnetConfig unet = *unet_config_named("sd2");
    VaeConfig vae = *vae_config_named("sd2");
    for (int i = 0; i < unet.levels; i++) unet.channels[i] = i < 2 ? 16 : 32, unet.heads[i] = 2;
    for (int i = 0; i < vae.levels; i++) vae.channels[i] = 16;
    unet.groups = vae.groups = 8;
    unet.layers = vae.layers = 1;
    unet.context_width = 16;
    char *parts[] = {text_format("%s/shape/unet", folder), text_format("%s/shape/vae", folder)};
    char *files[] = {path_join(parts[0], "config.json"), path_join(parts[1], "config.json")};
    char *shape = text_format("%s/shape", folder), *out = text_format("%s/eight", folder);
    cr_assert_eq(folder_make(parts[0]), 0);
    cr_assert_eq(folder_make(parts[1]), 0);
    cr_assert_eq(unet_config_write(&unet, files[0]), 0);
    cr_assert_eq(vae_config_write(&vae, files[1]), 0);
    Model *made = model_init(shape, &(ModelOptions){.dtype = F32, .seed = 1});
    cr_assert_not_null(made, "%s", error_message());
    cr_assert_eq(model_save(made, out, NULL), 0, "%s", error_message());
    model_free(made);
    for (int i = 0; i < 2; i++) free(parts[i]), free(files[i]);
    free(shape), free(out);
}

// 16x25 latents; halved they are 8x13, 4x7, 2x4.
Test(train, a_step_at_128x200_pixels_trains) {
    make_model_of_factor_8();
    char *model = text_format("model=%s/eight", folder);
    const char *const tasks[] = {"task=gen2seg", "task=prompt2seg"};
    for (int i = 0; i < 2; i++) {
        const char *const more[] = {model,
                                    tasks[i],
                                    "train.batch=1",
                                    "train.steps=2",
                                    "data.height=128",
                                    "data.width=200",
                                    "train.warmup=0",
                                    NULL};
        train(tasks[i], more, false);
        cr_assert(isfinite(loss_of(tasks[i], 1)));
        cr_assert_neq(loss_of(tasks[i], 0), loss_of(tasks[i], 1));
    }
    free(model);
}

// Two images again and again; the branch draws other prompts on them every time. Under a sanitizer
// a few steps take the same paths, and show no learning.
#ifdef P2S_SANITIZED
#define LEARNING_STEPS "3"
#else
#define LEARNING_STEPS "40"
#endif
#define TWO_IMAGES                                                                               \
    "data.count=2", "data.flip=false", "train.steps=" LEARNING_STEPS, "train.schedule=constant", \
        "train.lr=3e-3", "train.checkpoint_every=" LEARNING_STEPS

static double mean_loss(const char *run, int first, int count) {
    double sum = 0;
    for (int i = 0; i < count; i++) sum += loss_of(run, first + i);
    return sum / count;
}

// The mean loss of `count` steps from `first` on is below that share of the first five's.
static void expect_learning(const char *run, int first, int count, double share) {
    if (atoi(LEARNING_STEPS) < first + count) return;
    cr_assert_lt(mean_loss(run, first, count), share * mean_loss(run, 0, 5));
}

Test(train, gen2seg_learns) {
    const char *const more[] = {TWO_IMAGES, NULL};
    train("run", more, false);
    expect_learning("run", 35, 5, 0.7);
}

// On the trained weights of the project, which random ones cannot replace.
Test(train, prompt2seg_learns) {
    const char *const more[] = {TWO_IMAGES,
                                "task=prompt2seg",
                                "prompt.encoding=both",
                                "prompt.loss=fixed",
                                "prompt.sigma=0.02",
                                "prompt.min_area=24",
                                "train.lr=1e-3",
                                "model=" P2S_FIXTURES "/../../models/miniature",
                                NULL};
    train("run", more, false);
    expect_learning("run", 20, 20, 0.9);
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
    const char *const part[] = {sets, "train.steps=4", "train.schedule_steps=6", NULL};
    const char *const whole[] = {sets, "train.steps=6", "train.schedule_steps=6", NULL};
    train("whole", whole, false);
    train("part", part, false);
    const char *const other[] = {sets, "data.sets=scenes:weight=2:count=11", NULL};
    TrainConfig config;
    TrainEnd how;
    char *path = text_format("%s/part/config.yaml", folder);
    char *before = file_read(path, 1 << 20, NULL);
    configure(&config, "part", other);
    cr_assert_eq(train_run(&config, true, true, &how), -1);
    cr_assert(strstr(error_take(), "data.json: the run began with"));
    char *after = file_read(path, 1 << 20, NULL);
    cr_assert_str_eq(before, after);
    free(before), free(after), free(path);
    config_free(&train_table, &config);
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
