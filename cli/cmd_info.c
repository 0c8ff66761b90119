// SPDX-License-Identifier: MIT
// p2s info: what a path holds, or what this machine is.
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/device.h"
#include "cli/machine.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cpu/cpu.h"
#include "data/index.h"
#include "eval/predict_settings.h"
#include "nn/model.h"
#include "nn/weights.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/utsname.h>

static const char help[] =
    "usage: p2s info MODEL-DIR|DATASET-DIR|FILE.safetensors|data|machine\n\n"
    "Says what the networks of a model folder are, what a data set holds (the index of\n"
    "`p2s prepare` where there is one), which tensors a weight file holds, which types of data\n"
    "sets there are and what their options mean, or what this machine reaches.\n\n"
    "  p2s info runs/gen2seg/checkpoints/latest\n"
    "  p2s info machine\n";

// ---- weight files -------------------------------------------------------------------------------

static int info_weights(const char *path) {
    SafeFile *file = safetensors_open(path);
    if (!file) return -1;
    int64_t elements = 0;
    size_t bytes = 0;
    for (size_t i = 0; i < safetensors_count(file); i++) {
        const SafeTensor *tensor = safetensors_at(file, i);
        printf("%-4s [", safe_type_name(tensor->type));
        for (int d = 0; d < tensor->ndim; d++)
            printf("%s%lld", d ? "," : "", (long long)tensor->shape[d]);
        printf("] %s\n", tensor->name);
        elements += tensor->numel;
        bytes += tensor->bytes;
    }
    printf("%zu tensors, %lld elements, %.1f MB\n", safetensors_count(file), (long long)elements,
           (double)bytes / 1e6);
    safetensors_close(file);
    return 0;
}

// ---- models -------------------------------------------------------------------------------------

static void print_list(const char *name, const int64_t *values, int count) {
    printf(", %s", name);
    for (int i = 0; i < count; i++) printf("%s%lld", i ? "/" : " ", (long long)values[i]);
}

// "unet          865910724 parameters, weights 3463.7 MB", without the end of the line.
static void print_part(const char *folder, const char *part, const ParamSet *params) {
    char *inner = path_join(folder, part), *path = inner ? path_join(inner, MODEL_WEIGHTS) : NULL;
    printf("%-12s %lld parameters in %zu tensors, ", part, (long long)params_elements(params),
           params->count);
    if (path && file_exists(path))
        printf("weights %.1f MB", (double)file_size(path) / 1e6);
    else
        printf("%s", inner && weights_in_folder(inner, MODEL_WEIGHTS_STEM)
                         ? "weights in shards or as fp16"
                         : "no weights");
    free(inner);
    free(path);
}

static int info_unet(const char *folder, const char *path) {
    UnetConfig config;
    Unet *unet = unet_config_read(&config, path) == 0 ? unet_new(&config, F32) : NULL;
    if (!unet) return -1;
    print_part(folder, "unet", &unet->params);
    print_list("channels", config.channels, config.levels);
    print_list("heads", config.heads, config.levels);
    printf(", context %lld\n", (long long)config.context_width);
    unet_free(unet);
    return 0;
}

static int info_vae(const char *folder, const char *path) {
    VaeConfig config;
    Vae *vae = vae_config_read(&config, path) == 0 ? vae_new(&config, F32) : NULL;
    if (!vae) return -1;
    print_part(folder, "vae", &vae->params);
    print_list("channels", config.channels, config.levels);
    printf(", %lld times smaller, scaling %g\n", (long long)vae_factor(&config),
           config.scaling_factor);
    vae_free(vae);
    return 0;
}

static int info_controlnet(const char *folder, const char *path) {
    ControlNetConfig config;
    ControlNet *control =
        controlnet_config_read(&config, path) == 0 ? controlnet_new(&config, F32) : NULL;
    if (!control) return -1;
    print_part(folder, "controlnet", &control->params);
    printf(", condition channels %lld\n", (long long)config.condition_channels);
    controlnet_free(control);
    return 0;
}

static bool has(const char *folder, const char *name) {
    char *path = path_join(folder, name);
    const bool found = path && file_exists(path);
    free(path);
    return found;
}

static int info_model(const char *folder) {
    static const struct {
        const char *config;
        int (*info)(const char *folder, const char *path);
    } parts[] = {{"unet/config.json", info_unet},
                 {"vae/config.json", info_vae},
                 {"controlnet/config.json", info_controlnet}};
    PredictSettings settings;
    for (size_t i = 0; i < ARGUMENTS_COUNT(parts); i++) {
        char *path = path_join(folder, parts[i].config);
        const int result = !path ? -1 : file_exists(path) ? parts[i].info(folder, path) : 0;
        free(path);
        if (result != 0) return -1;
    }
    if (predict_settings_read(&settings, folder) != 0) return -1;
    printf("empty prompt %s\n", has(folder, "empty_prompt.safetensors") ? "present" : "missing");
    printf("prediction   longer side %lld, %s output, x0 from %s, %s prompts, sigma %g%s\n",
           (long long)settings.resolution,
           settings.normalise == PREDICT_AFFINE ? "affine" : "min-max",
           settings.x0 == PREDICT_X0_IMAGE ? "the image's latent" : "a zero latent",
           condition_names[settings.encoding], settings.prompt_sigma,
           has(folder, "p2s.json") ? "" : " (no p2s.json: as published)");
    return 0;
}

// ---- data sets ----------------------------------------------------------------------------------

enum { MOST_REASONS = 8 };

// The reasons for which samples were dropped, each with its number; what does not fit in one sum.
static void say_dropped(const Index *index) {
    const char *reasons[MOST_REASONS];
    int64_t counts[MOST_REASONS] = {0}, others = 0;
    int known = 0;
    for (int64_t i = 0; i < index->count; i++) {
        const char *reason = index->entries[i].dropped;
        int at = 0;
        if (!reason) continue;
        while (at < known && strcmp(reasons[at], reason) != 0) at++;
        if (at == known && known < MOST_REASONS) reasons[known++] = reason;
        if (at < known)
            counts[at]++;
        else
            others++;
    }
    for (int i = 0; i < known; i++) printf("dropped %-9lld %s\n", (long long)counts[i], reasons[i]);
    if (others) printf("dropped %-9lld for other reasons\n", (long long)others);
}

static int info_index(const char *path) {
    Index *index = index_read(path);
    if (!index) return -1;
    int64_t kept = 0, instances = 0;
    for (int64_t i = 0; i < index->count; i++) {
        const IndexEntry *entry = &index->entries[i];
        kept += !entry->dropped;
        if (!entry->dropped) instances += entry->instances - entry->crowds;
    }
    printf("%s, indexed in %s\n%s\nsamples %-9lld kept %lld, with %lld instances\n", index->type,
           path, index->description, (long long)index->count, (long long)kept,
           (long long)instances);
    say_dropped(index);
    index_free(index);
    return 0;
}

// Shows every index in the folder. Returns their number, -1 on failure.
static int info_indices(const char *folder) {
    size_t count;
    char **names = folder_list(folder, &count);
    if (!names) return -1;
    int shown = 0;
    for (size_t i = 0; shown >= 0 && i < count; i++) {
        const bool named =
            strcmp(names[i], "index.json") == 0 ||
            (text_starts_with(names[i], "index-") && text_ends_with(names[i], ".json"));
        if (!named) continue;
        char *path = path_join(folder, names[i]);
        shown = path && info_index(path) == 0 ? shown + 1 : -1;
        free(path);
    }
    folder_list_free(names, count);
    return shown;
}

static int info_types(void) {
    const DatasetType *type;
    for (int i = 0; (type = dataset_type_at(i)); i++) printf("%-10s %s\n", type->name, type->help);
    return 0;
}

// Tries what a folder could be.
static int info_dataset(const char *path) {
    Text reasons = {0};
    const DatasetType *type;
    for (int i = 0; (type = dataset_type_at(i)); i++) {
        const DatasetOptions options = {.path = path};
        if (strcmp(type->name, "scenes") == 0) continue;
        Dataset *set = dataset_open(type->name, &options);
        if (set) {
            printf("%s, %lld samples\n%s\n", type->name, (long long)dataset_count(set),
                   dataset_describe(set));
            dataset_close(set);
            text_free(&reasons);
            return 0;
        }
        text_add(&reasons, "\n  as %s: %s", type->name, error_take());
    }
    error_int("%s is no model folder and no data set%s", path, text_string(&reasons));
    text_free(&reasons);
    return -1;
}

// ---- machine ------------------------------------------------------------------------------------

static int info_machine(void) {
    MachinePeak peak;
    struct utsname system;
    if (device_use("cpu", 0) != 0 || machine_peak(&peak) != 0) return -1;
    if (uname(&system) == 0) printf("system     %s %s\n", system.sysname, system.machine);
    printf("processor  %s, %d threads\n", machine_processor(), cpu_threads());
    printf("memory     %.1f GB\n", (double)machine_memory() / 1e9);
    printf("arithmetic %.0f GFLOP/s multiply-adds, %.0f GFLOP/s in a matrix product\n",
           peak.fma_gflops, peak.matmul_gflops);
    printf("copying    %.1f GB/s read and written\n", peak.copy_gbps);
    return 0;
}

// ---- the command --------------------------------------------------------------------------------

static int info(const char *what) {
    if (strcmp(what, "machine") == 0) return info_machine();
    if (strcmp(what, "data") == 0) return info_types();
    if (text_ends_with(what, ".safetensors")) return info_weights(what);
    if (!file_exists(what) && !folder_exists(what)) return error_int("%s does not exist", what);
    if (has(what, "unet/config.json") || has(what, "vae/config.json")) return info_model(what);
    const int indices = folder_exists(what) ? info_indices(what) : 0;
    if (indices) return indices < 0 ? -1 : 0;
    return info_dataset(what);
}

int cmd_info(int argc, char **argv) {
    Words words = {0};
    int code = EXIT_OK;
    const Arguments known = {.help = help, .words = &words, .max_words = 1};
    if (!arguments_read(&known, argc, argv, &code)) return code;
    if (words.count == 0)
        return arguments_wrong("info",
                               "expected a folder, a file or one of the words data and machine");
    return info(words.items[0]) == 0 ? EXIT_OK : command_failed();
}
