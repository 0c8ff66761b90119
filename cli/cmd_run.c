// SPDX-License-Identifier: MIT
// p2s run: one component on the tensors of a file. See run.h.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/device.h"
#include "cli/run_private.h"
#include "cpu/conv_way.h"
#include "cpu/cpu.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: p2s run COMPONENT IN.safetensors OUT.safetensors [--model DIR] [key=value ...]\n"
    "       p2s run --list [COMPONENT]\n\n"
    "Runs one component on the tensors of IN and writes its answers to OUT, to compare another\n"
    "implementation with this one. Images are NCHW and parameters in the checkpoint's layout. If\n"
    "IN holds grad.NAME for an output NAME, OUT also holds grad.INPUT for every float input and\n"
    "grad.param.NAME for every parameter.\n\n"
    "  --list       every component with its inputs, outputs and keys; or one of them\n"
    "  --model DIR  a model folder, for components that want one\n"
    "  --kernels K  fast (the default), reference (the definitions), or fast ones with one kind "
    "of\n"
    "               convolution wherever it can: winograd, direct\n"
    "  --device D   cpu (the default) or cuda\n"
    "  --threads N  1 to 1024; default all processors\n\n"
    "  p2s run normalise in.safetensors out.safetensors form=training\n"
    "  p2s run unet in.safetensors out.safetensors --model runs/start timestep=999\n";

#define GROUP(name) &components_##name,
static const ComponentGroup *const groups[] = {COMPONENT_GROUPS(GROUP)};
#undef GROUP
enum { GROUP_COUNT = sizeof groups / sizeof groups[0] };

typedef struct {
    const char *model, *kernels, *device;
    bool list;
    int64_t threads;
    Words words, keys;
} RunArguments;

// ---- --list -------------------------------------------------------------------------------------

static void list_tensors(const char *title, const RunTensor *rows) {
    static const char *const types[] = {"float", "image", "integer", "U8"};
    for (int i = 0; i < RUN_MAX_TENSORS && rows[i].name; i++)
        printf("  %-7s %s: %s [%s]%s%s%s\n", i == 0 ? title : "", rows[i].name, types[rows[i].type],
               rows[i].shape, rows[i].optional ? ", optional" : "", rows[i].help ? ": " : "",
               rows[i].help ? rows[i].help : "");
}

enum { KEYS_SHOWN = 12 }; // in the list of all

static void list_keys(const Component *component, bool all) {
    size_t count = component->keys ? component->keys->count : 0;
    if (count > KEYS_SHOWN && !all) {
        printf("  keys    %zu: p2s run --list %s\n", count, component->name);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const ConfigKey *key = &component->keys->keys[i];
        printf("  %-7s %s=%s  %s%s%s\n", i == 0 ? "keys" : "", key->name, key->text, key->range,
               key->range[0] ? ": " : "", key->help);
    }
}

static void list_component(const Component *component, bool all) {
    printf("%s%s\n", component->name, component->needs_model ? " --model DIR" : "");
    printf("  %s\n", component->help);
    list_tensors("inputs", component->inputs);
    list_tensors("outputs", component->outputs);
    list_keys(component, all);
    if (component->gradients) printf("  has gradients\n");
    putchar('\n');
}

static const Component *component_at(size_t index) {
    for (int g = 0; g < GROUP_COUNT; g++) {
        if (index < groups[g]->count) return &groups[g]->components[index];
        index -= groups[g]->count;
    }
    return NULL;
}

static const Component *find(const char *name) {
    const Component *component, *near = NULL;
    size_t best = 4;
    for (size_t i = 0; (component = component_at(i)); i++) {
        if (strcmp(component->name, name) == 0) return component;
        if (text_distance(component->name, name) >= best) continue;
        best = text_distance(component->name, name);
        near = component;
    }
    return error_null("no component is called \"%s\"%s%s; p2s run --list names all", name,
                      near ? "; nearest is " : "", near ? near->name : "");
}

static int list(const char *name) {
    const Component *component = name ? find(name) : NULL;
    if (name && !component) return -1;
    if (component) list_component(component, true);
    for (size_t i = 0; !name && (component = component_at(i)); i++)
        list_component(component, false);
    return 0;
}

// ---- running ------------------------------------------------------------------------------------

static int set_keys(const Component *component, void *keys, const Words *given) {
    static const ConfigTable none = {NULL, 0};
    const ConfigTable *table = component->keys ? component->keys : &none;
    if (given->count > 0 && table->count == 0)
        return error_int("%s has no keys, so there can be no %s", component->name, given->items[0]);
    if (config_defaults(table, keys) != 0) return -1;
    for (int i = 0; i < given->count; i++)
        if (config_override(table, keys, given->items[i], component->name) != 0) return -1;
    return 0;
}

static int run_component(const RunArguments *arguments, const Component *component) {
    const char *const *words = arguments->words.items;
    Run run = {0};
    void *keys = array_new(1, component->keys_size > 0 ? component->keys_size : 1);
    int result = keys ? set_keys(component, keys, &arguments->keys) : -1;
    if (result == 0) result = run_begin(&run, component, arguments->model, words[1]);
    if (result == 0) result = component->run(&run, keys);
    if (result == 0) result = run_end(&run, words[2]);
    run_done(&run);
    if (keys && component->keys) config_free(component->keys, keys);
    free(keys);
    return result == 0 ? 0 : error_context("run %s", component->name);
}

static int run(const RunArguments *arguments) {
    const Component *component = find(arguments->words.items[0]);
    if (!component) return -1;
    if (component->needs_model && !arguments->model)
        return error_int("%s needs --model DIR", component->name);
    if (!component->needs_model && arguments->model)
        return error_int("%s takes no --model", component->name);
    if (strcmp(arguments->device, "cpu") != 0 && strcmp(arguments->kernels, "fast") != 0)
        return error_int("--kernels chooses among the CPU's, not those of --device %s",
                         arguments->device);
    if (device_option(arguments->device, arguments->threads) != 0) return -1;
    if (strcmp(arguments->kernels, "reference") == 0) backend_use(cpu_reference_backend());
    if (strcmp(arguments->kernels, "winograd") == 0) conv_way_force(WAY_WINOGRAD);
    if (strcmp(arguments->kernels, "direct") == 0) conv_way_force(WAY_PATCHES);
    return run_component(arguments, component);
}

int cmd_run(int argc, char **argv) {
    RunArguments arguments = {.kernels = "fast", .device = "cpu"};
    int code = EXIT_OK;
    const Argument table[] = {
        ARG_FLAG("--list", arguments.list), ARG_TEXT("--model", arguments.model),
        ARG_CHOICE("--kernels", arguments.kernels, "fast|winograd|direct|reference"),
        ARG_CHOICE("--device", arguments.device, "cpu|cuda"),
        ARG_RANGE("--threads", INTEGER, arguments.threads, 1, 1024)};
    const Arguments known = {.help = help,
                             .options = table,
                             .option_count = ARGUMENTS_COUNT(table),
                             .words = &arguments.words,
                             .max_words = 3,
                             .overrides = &arguments.keys};
    if (!arguments_read(&known, argc, argv, &code)) return code;
    if (arguments.list) return list(arguments.words.items[0]) == 0 ? EXIT_OK : command_failed();
    if (arguments.words.count != 3)
        return arguments_wrong("run", "expected COMPONENT IN.safetensors OUT.safetensors");
    return run(&arguments) == 0 ? EXIT_OK : command_failed();
}
