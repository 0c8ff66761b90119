// SPDX-License-Identifier: MIT
// The config table, on a small example of one.
#include "base/config.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define EXAMPLE_KEYS(KEY)                                                                          \
    KEY(STRING, run, "run", "runs/example", "", "folder of this run")                              \
    KEY(INT, steps, "train.steps", "1000", "[1, 1e9]", "number of optimiser steps")                \
    KEY(DOUBLE, lr, "train.lr", "6e-5", "(0, 1]", "learning rate after warm-up")                   \
    KEY(BOOL, flip, "data.flip", "true", "", "mirror half of the images")                          \
    KEY(LIST, sets, "data.sets", "scenes", "", "data sets to draw from")                           \
    KEY(CHOICE, schedule, "train.schedule", "cosine", "cosine|exponential|constant", "its course") \
    KEY(INT, seed, "seed", "0", "[0, inf)", "seed of everything random")
typedef struct {
    EXAMPLE_KEYS(CONFIG_FIELD)
} Example;
#define EXAMPLE_ROW(...) CONFIG_ROW(Example, __VA_ARGS__)
static const ConfigKey example_keys[] = {EXAMPLE_KEYS(EXAMPLE_ROW)};
static const ConfigTable table = {example_keys, sizeof example_keys / sizeof *example_keys};

static Example config;
static char path[64];

static void set_up(void) {
    snprintf(path, sizeof path, "/tmp/p2s-config-%ld.yaml", (long)getpid());
    config = (Example){0};
    cr_assert_eq(config_defaults(&table, &config), 0, "%s", error_message());
}

static void tear_down(void) {
    config_free(&table, &config);
    unlink(path);
}

TestSuite(config, .init = set_up, .fini = tear_down);

static int read_text(const char *yaml) {
    error_take();
    cr_assert_eq(file_write(path, yaml, strlen(yaml)), 0);
    return config_read(&table, &config, path);
}

// The text is refused, with a message that starts with the file and holds `part`.
static void refused(const char *yaml, const char *part) {
    cr_assert_eq(read_text(yaml), -1, "accepted: %s", yaml);
    const char *message = error_take();
    cr_assert(text_starts_with(message, path), "%s", message);
    cr_assert(strstr(message, part), "\"%s\" is not in \"%s\"", part, message);
}

static void override_refused(const char *text, const char *part) {
    error_take();
    cr_assert_eq(config_override(&table, &config, text, "command line"), -1, "%s", text);
    const char *message = error_take();
    cr_assert(text_starts_with(message, "command line: "), "%s", message);
    cr_assert(strstr(message, part), "\"%s\" is not in \"%s\"", part, message);
}

Test(config, defaults_fill_every_type) {
    cr_assert_str_eq(config.run, "runs/example");
    cr_assert_eq(config.steps, 1000);
    cr_assert_eq(config.lr, 6e-5);
    cr_assert(config.flip);
    cr_assert_eq(config.sets.count, 1);
    cr_assert_eq(config.schedule, 0);
}

Test(config, reads_nested_and_dotted_keys) {
    cr_assert_eq(read_text("run: \"a # b\"\n"
                           "train:\n  steps: 7\n  schedule: constant\n"
                           "train.lr: 1e-4 # a comment\n"
                           "data: {flip: false, sets: [coco, 'hyper sim']}\n"),
                 0, "%s", error_message());
    cr_assert_str_eq(config.run, "a # b");
    cr_assert_eq(config.steps, 7);
    cr_assert_eq(config.schedule, 2);
    cr_assert_eq(config.lr, 1e-4);
    cr_assert(!config.flip);
    cr_assert_eq(config.sets.count, 2);
    cr_assert_str_eq(config.sets.items[1], "hyper sim");
}

Test(config, an_empty_file_or_section_changes_nothing) {
    cr_assert_eq(read_text(""), 0, "%s", error_message());
    cr_assert_eq(read_text("# nothing\ntrain:\nseed: 3\n"), 0, "%s", error_message());
    cr_assert_eq(config.steps, 1000);
    cr_assert_eq(config.seed, 3);
}

Test(config, an_unknown_key_names_line_and_nearest_key) {
    refused("seed: 1\ntrian:\n  lr: 1e-4\n",
            ".yaml:3: unknown key \"trian.lr\"; did you mean \"train.lr\"?");
    refused("lr: 1e-4\n", "did you mean \"train.lr\"?");
    refused("banana: 1\n", ".yaml:1: unknown key \"banana\"");
    refused("train: 3\n", "is a section of keys");
    override_refused("train.stepps=3", "did you mean \"train.steps\"?");
}

Test(config, a_repeated_key_is_an_error_with_both_lines) {
    refused("train:\n  lr: 1e-4\ntrain.lr: 1e-5\n",
            ".yaml:3: train.lr is set again, first in line 2");
}

Test(config, wrong_types_are_errors) {
    refused("train.steps: 1.5\n", ":1: train.steps: found \"1.5\", expected an integer");
    refused("train.steps: \"7\"\n", "found the quoted text \"7\", expected it without quotes");
    refused("train.steps: 7x\n", "expected an integer");
    refused("train.steps:\n", "expected an integer");
    refused("train.lr: fast\n", "found \"fast\", expected a number");
    refused("train.lr: .nan\n", "expected a number");
    refused("train.lr: nan\n", "expected a number");
    refused("data.flip: yes\n", "found \"yes\", expected true or false");
    refused("data.sets: coco\n", "expected a list");
    refused("data.sets: \"coco\"\n", "found \"coco\", expected a list");
    refused("data.sets: [[coco]]\n", "expected a list of plain values");
    refused("train.lr: [1, 2]\n", "found a list, expected one value");
    refused("train.schedule: linear\n",
            "found \"linear\", expected one of cosine|exponential|constant");
}

Test(config, values_out_of_range_are_errors_that_show_the_range) {
    refused("train.steps: 0\n", "found 0, expected an integer in [1, 1e9]");
    refused("train.lr: 0\n", "found 0, expected a number in (0, 1]");
    refused("train.lr: 1.0000001\n", "(0, 1]");
    refused("seed: -1\n", "[0, inf)");
    refused("seed: 99999999999999999999\n", "expected an integer");
    cr_assert_eq(read_text("train: {lr: 1, steps: 1}\n"), 0, "%s", error_message());
}

Test(config, broken_yaml_is_an_error_with_its_line) {
    refused("seed: 1\nrun: [a\n", ".yaml:");
    refused("seed: 1\n@x: 2\n", ":2: not YAML: found character that cannot start any token");
    refused("- a\n", "expected \"key: value\" lines");
    refused("seed: 1\n---\nseed: 2\n", "a second document");
    refused("run: &a x\ntrain.schedule: *a\n", "aliases are not supported");
    refused("run: \"a\\0b\"\n", ":1: found a control character (byte 0)");
    refused("run: \"a\\x85\"\n", ":1: found a control character");
    refused("? [a, b]\n: 1\n", "expected a key");
    refused("run: \xff\xfe\n", "not YAML");
}

Test(config, deep_nesting_is_refused) {
    char yaml[4096] = "";
    for (int i = 0; i < 2000; i++) yaml[i] = '[';
    cr_assert_eq(read_text(yaml), -1);
    error_take();
    for (int i = 0; i < 300; i++) strcpy(yaml + 4 * i, "{a: ");
    refused(yaml, "a key of more than");
    refused("{\"\": {\"\": 1}}", "expected a key");
}

Test(config, every_failed_allocation_is_reported) {
    const char *yaml = "run: x\ndata: {sets: [a, b]}\ntrain.lr: 1\n";
    cr_assert_eq(file_write(path, yaml, strlen(yaml)), 0);
    int failures = 0;
    for (int64_t n = 1; n < 1000; n++) {
        memory_fail_at(n);
        int result = config_read(&table, &config, path);
        memory_fail_at(0);
        if (result == 0) break;
        cr_assert(strstr(error_take(), "out of memory"));
        failures++;
    }
    cr_assert(failures > 5 && failures < 100, "%d", failures);
    cr_assert_eq(config.sets.count, 2);
}

Test(config, a_missing_file_is_named) {
    cr_assert_eq(config_read(&table, &config, "/nonexistent/x.yaml"), -1);
    cr_assert_str_eq(error_take(), "/nonexistent/x.yaml: cannot open: No such file or directory");
}

Test(config, overrides_set_keys_and_the_last_one_wins) {
    const char *texts[] = {"train.lr=3e-5", "run=", "run=a=b", "data.sets=coco,hypersim"};
    for (int i = 0; i < 4; i++)
        cr_assert_eq(config_override(&table, &config, texts[i], "command line"), 0);
    cr_assert_eq(config.lr, 3e-5);
    cr_assert_str_eq(config.run, "a=b");
    cr_assert_eq(config.sets.count, 2);
    override_refused("train.lr", "expected key=value");
    override_refused("=3", "expected key=value");
    override_refused("train.lr=7", "train.lr: found 7, expected a number in (0, 1]");
    override_refused("data.sets=a,,b", "found the item \"\"");
    override_refused("run=\xff", "not UTF-8");
    override_refused("run=a\nb", "control character (byte 10)");
    override_refused("run=a\xe2\x80\xa8", "control character");
}

Test(config, the_written_file_reads_back_to_the_same_values) {
    const char *texts[] = {"train.lr=0.1000000000000000055", "run=q\"uote\\ # \xc3\xa4 '",
                           "data.sets=a b,c: d", "train.schedule=exponential",
                           "seed=9007199254740993"};
    for (int i = 0; i < 5; i++)
        cr_assert_eq(config_override(&table, &config, texts[i], "command line"), 0, "%s",
                     error_message());
    cr_assert_eq(config_write(&table, &config, path, "two\nlines"), 0, "%s", error_message());
    Example back = {0};
    cr_assert_eq(config_defaults(&table, &back), 0);
    cr_assert_eq(config_read(&table, &back, path), 0, "%s", error_message());
    for (size_t i = 0; i < table.count; i++) {
        char *a = config_get(&table, &config, example_keys[i].name);
        char *b = config_get(&table, &back, example_keys[i].name);
        cr_assert_str_eq(a, b);
        free(a);
        free(b);
    }
    cr_assert_eq(back.seed, 9007199254740993);
    config_free(&table, &back);
}

Test(config, the_written_file_has_each_section_once_and_every_help_line) {
    cr_assert_eq(config_write(&table, &config, path, NULL), 0);
    char *text = file_read(path, 1 << 20, NULL);
    const char *first = strstr(text, "train:\n");
    cr_assert_not_null(first);
    cr_assert_null(strstr(first + 1, "train:\n"));
    for (size_t i = 0; i < table.count; i++)
        cr_assert(strstr(text, example_keys[i].help), "%s", example_keys[i].name);
    free(text);
}

Test(config, help_names_every_key_with_default_and_range) {
    char *help = config_help(&table);
    cr_assert(strstr(help, "train.lr=6e-5  (0, 1]"));
    cr_assert(strstr(help, "train.schedule=cosine  cosine|exponential|constant"));
    for (size_t i = 0; i < table.count; i++) cr_assert(strstr(help, example_keys[i].help));
    free(help);
}

Test(config, a_default_out_of_its_range_is_refused) {
    const ConfigKey wrong[] = {{"a", CONFIG_INT, "5", "[0, 4]", "", 0}};
    const ConfigTable bad = {wrong, 1};
    int64_t place = 0;
    cr_assert_eq(config_defaults(&bad, &place), -1);
    cr_assert_str_eq(error_take(), "default of a: found 5, expected an integer in [0, 4]");
    const ConfigKey unclear[] = {{"a", CONFIG_INT, "5", "0..4", "", 0}};
    const ConfigTable worse = {unclear, 1};
    cr_assert_eq(config_defaults(&worse, &place), -1);
}
