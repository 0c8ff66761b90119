// SPDX-License-Identifier: MIT
// Components beside what the references answered, forward and backward: replays tests/fixtures/run,
// which scripts/make_fixtures.py records, through `p2s run`.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/command.h"
#include "cli/run.h"
#include "nn/safetensors.h"

#include <criterion/criterion.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { MAX_WORDS = 16 };

static char folder[] = "/tmp/p2s-fixtures-XXXXXX";

static double rms(const double *values, int64_t count) {
    double sum = 0;
    for (int64_t i = 0; i < count; i++) sum += values[i] * values[i];
    return count > 0 ? sqrt(sum / (double)count) : 0;
}

// Writes the tensors "in.NAME" of a fixture as NAME.
static void write_input(const SafeFile *fixture, const char *path) {
    size_t count = safetensors_count(fixture), used = 0;
    SafeEntry *entries = array_new(count, sizeof *entries);
    for (size_t i = 0; i < count; i++) {
        const SafeTensor *tensor = safetensors_at(fixture, i);
        if (!text_starts_with(tensor->name, "in.")) continue;
        SafeEntry *entry = &entries[used++];
        *entry = (SafeEntry){tensor->name + 3, tensor->type, tensor->ndim, {0}, tensor->data};
        memcpy(entry->shape, tensor->shape, sizeof tensor->shape);
    }
    cr_assert_eq(safetensors_write(path, entries, used, NULL, NULL), 0, "%s", error_message());
    free(entries);
}

// The size of the gradient of the weight beside a bias, or of the tensor itself.
static double layer_size(const SafeFile *fixture, const SafeTensor *theirs) {
    char name[256];
    snprintf(name, sizeof name, "%s", theirs->name);
    if (text_ends_with(name, ".bias")) memcpy(name + strlen(name) - 4, "weight", sizeof "weight");
    const SafeTensor *weight = safetensors_find(fixture, name);
    if (!weight) weight = theirs;
    double *values = array_new((size_t)weight->numel, sizeof *values);
    safetensors_read_double(weight, values);
    double size = rms(values, weight->numel);
    free(values);
    return size;
}

// The limits of scripts/fidelity/trial.py.
static double limit_of(const SafeFile *fixture, const SafeTensor *theirs, double size) {
    if (!text_starts_with(theirs->name, "out.grad.")) return 1e-5 * size;
    double layer = layer_size(fixture, theirs);
    double floor = layer * (size <= 2e-6 * layer ? 1e-2 : 1e-3);
    return 1e-4 * (size > floor ? size : floor);
}

static void compare(const char *component, const SafeFile *fixture, const SafeTensor *theirs,
                    const SafeFile *answer) {
    const SafeTensor *ours = safetensors_find(answer, theirs->name + 4);
    cr_assert_not_null(ours, "%s: %s is missing", component, theirs->name);
    cr_assert_eq(ours->numel, theirs->numel);
    if (theirs->type == SAFE_U8 || theirs->type == SAFE_I32) {
        size_t bytes = (size_t)theirs->numel * safe_type_size(theirs->type);
        cr_assert_eq(ours->type, theirs->type);
        cr_expect_arr_eq(ours->data, theirs->data, bytes, "%s: %s", component, theirs->name);
        return;
    }
    double *expected = array_new((size_t)ours->numel * 2, sizeof *expected);
    double *found = expected + ours->numel;
    safetensors_read_double(theirs, expected);
    safetensors_read_double(ours, found);
    double limit = limit_of(fixture, theirs, rms(expected, ours->numel));
    for (int64_t i = 0; i < ours->numel; i++) found[i] -= expected[i];
    double error = rms(found, ours->numel);
    cr_expect(error <= limit, "%s: %s is off by %.2g, at most %.2g", component, theirs->name, error,
              limit);
    free(expected);
}

// "COMPONENT key=value --model PATH", in the folder of the fixtures. Returns how many outputs were
// compared.
static int replay(const char *path) {
    char in[64], out[64], words[256], *argv[MAX_WORDS] = {"run"}, *state = NULL;
    SafeFile *fixture = safetensors_open(path);
    cr_assert_not_null(fixture, "%s", error_message());
    snprintf(words, sizeof words, "%s", safetensors_metadata(fixture, "run"));
    snprintf(in, sizeof in, "%s/in.safetensors", folder);
    snprintf(out, sizeof out, "%s/out.safetensors", folder);
    char *component = strtok_r(words, " ", &state);
    argv[1] = component;
    argv[2] = in;
    argv[3] = out;
    int argc = 4, compared = 0;
    for (char *word; (word = strtok_r(NULL, " ", &state)) && argc < MAX_WORDS;) argv[argc++] = word;
    write_input(fixture, in);
    cr_assert_eq(cmd_run(argc, argv), EXIT_OK, "%s", path);
    SafeFile *answer = safetensors_open(out);
    cr_assert_not_null(answer, "%s", error_message());
    for (size_t i = 0; i < safetensors_count(fixture); i++) {
        const SafeTensor *theirs = safetensors_at(fixture, i);
        if (!text_starts_with(theirs->name, "out.")) continue;
        compare(component, fixture, theirs, answer);
        compared++;
    }
    safetensors_close(answer);
    safetensors_close(fixture);
    return compared;
}

// Whether a fixture runs the component.
static bool recorded(const char *component, char *const *names, size_t count) {
    bool found = false;
    for (size_t i = 0; i < count && !found; i++) {
        if (!text_ends_with(names[i], ".safetensors")) continue;
        SafeFile *fixture = safetensors_open(names[i]);
        const char *run = fixture ? safetensors_metadata(fixture, "run") : NULL;
        size_t length = strlen(component);
        found = run && strncmp(run, component, length) == 0 &&
                (run[length] == ' ' || run[length] == '\0');
        safetensors_close(fixture);
    }
    return found;
}

#define GROUP(name) &components_##name,
static const ComponentGroup *const groups[] = {COMPONENT_GROUPS(GROUP)};

// Whole networks and the tokenizer have fixtures of their own.
static const char *const elsewhere[] = {
    "unet",       "controlnet", "vae.encode", // test_reference.c
    "vae.decode", "text",       "tokenize"};  // test_tokenizer.c

static bool held_elsewhere(const char *component) {
    for (size_t i = 0; i < sizeof elsewhere / sizeof *elsewhere; i++)
        if (strcmp(component, elsewhere[i]) == 0) return true;
    return false;
}

static void begin(void) {
    cr_assert_not_null(mkdtemp(folder));
    cr_assert_eq(chdir(P2S_FIXTURES "/run"), 0);
}

static void end(void) {
    folder_remove(folder);
}

TestSuite(run_fixtures, .init = begin, .fini = end);

Test(run_fixtures, every_component_answers_as_the_reference_did) {
    size_t count = 0;
    char **names = folder_list(".", &count);
    cr_assert_not_null(names, "%s", error_message());
    for (size_t i = 0; i < count; i++)
        if (text_ends_with(names[i], ".safetensors"))
            cr_expect_gt(replay(names[i]), 0, "%s", names[i]);
    folder_list_free(names, count);
}

Test(run_fixtures, every_component_has_a_fixture) {
    size_t count = 0;
    char **names = folder_list(".", &count);
    cr_assert_not_null(names, "%s", error_message());
    for (size_t g = 0; g < sizeof groups / sizeof *groups; g++)
        for (size_t i = 0; i < groups[g]->count; i++) {
            const char *name = groups[g]->components[i].name;
            cr_expect(held_elsewhere(name) || recorded(name, names, count), "%s has none", name);
        }
    folder_list_free(names, count);
}
