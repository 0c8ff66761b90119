// SPDX-License-Identifier: MIT
// Command lines: what is taken and what is refused, with which exit code.
#include "base/error.h"
#include "cli/arguments.h"
#include "cli/command.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>

typedef struct {
    bool flag;
    const char *text, *choice;
    int64_t integer;
    double number;
    Integers list;
    Words many, words, overrides;
    int code;
    bool runs;
} Taken;

static Taken take(int argc, const char *const *argv) {
    Taken taken = {.choice = "a", .integer = 7, .code = -1};
    const Argument table[] = {ARG_FLAG("--flag", taken.flag),
                              ARG_TEXT("--text", taken.text),
                              ARG_CHOICE("--choice", taken.choice, "a|bc"),
                              ARG_RANGE("--integer", INTEGER, taken.integer, 0, 10),
                              ARG_RANGE("--number", NUMBER, taken.number, 0, 1),
                              ARG_RANGE("--list", LIST, taken.list, 1, 5000),
                              ARG_WORDS("--many", taken.many)};
    const Arguments known = {.help = "usage: test\n",
                             .options = table,
                             .option_count = ARGUMENTS_COUNT(table),
                             .words = &taken.words,
                             .max_words = 2,
                             .overrides = &taken.overrides};
    taken.runs = arguments_read(&known, argc, (char **)argv, &taken.code);
    return taken;
}

#define TAKE(...)                                                                     \
    take((int)(sizeof((const char *[]){"test", __VA_ARGS__}) / sizeof(const char *)), \
         (const char *[]){"test", __VA_ARGS__})

TestSuite(arguments, .init = cr_redirect_stderr);

Test(arguments, every_kind_is_taken) {
    Taken t = TAKE("one", "--flag", "--text", "x", "--choice=bc", "--integer", "3", "--number=0.5",
                   "a.b=c", "--many", "1,2", "--many", "3,4", "two");
    cr_assert(t.runs);
    cr_assert(t.flag);
    cr_assert_str_eq(t.text, "x");
    cr_assert_str_eq(t.choice, "bc");
    cr_assert_eq(t.integer, 3);
    cr_assert_eq(t.number, 0.5);
    cr_assert_eq(t.many.count, 2);
    cr_assert_str_eq(t.many.items[1], "3,4");
    cr_assert_eq(t.words.count, 2);
    cr_assert_str_eq(t.words.items[1], "two");
    cr_assert_eq(t.overrides.count, 1);
    cr_assert_str_eq(t.overrides.items[0], "a.b=c");
}

Test(arguments, what_is_not_given_keeps_its_default) {
    Taken t = TAKE("one");
    cr_assert(t.runs);
    cr_assert_eq(t.integer, 7);
    cr_assert_str_eq(t.choice, "a");
    cr_assert_not(t.flag);
    cr_assert_null(t.text);
}

static void expect_list(const Integers *list) {
    cr_assert_eq(list->count, 3);
    cr_assert_eq(list->items[0], 50);
    cr_assert_eq(list->items[1], 1000);
    cr_assert_eq(list->items[2], 2500);
}

Test(arguments, lists_take_commas_and_spaces) {
    Taken commas = TAKE("--list", "50,1000,2500"), spaces = TAKE("--list", "50 1000 2500");
    Taken words = TAKE("--list", "50", "1000", "2500", "--flag");
    expect_list(&commas.list);
    expect_list(&spaces.list);
    expect_list(&words.list);
    cr_assert(words.flag);
}

Test(arguments, two_dashes_end_the_options) {
    Taken t = TAKE("--", "--flag");
    cr_assert(t.runs);
    cr_assert_not(t.flag);
    cr_assert_str_eq(t.words.items[0], "--flag");
}

static void expect_refusal(Taken taken) {
    cr_assert_not(taken.runs);
    cr_assert_eq(taken.code, EXIT_USAGE);
    cr_assert_eq(*error_message(), '\0');
}

Test(arguments, mistakes_are_wrong_usage) {
    expect_refusal(TAKE("--flg"));
    expect_refusal(TAKE("--flag=1"));
    expect_refusal(TAKE("--text"));
    expect_refusal(TAKE("--integer", "11"));
    expect_refusal(TAKE("--integer", "3x"));
    expect_refusal(TAKE("--number", "nan"));
    expect_refusal(TAKE("--choice", "b"));
    expect_refusal(TAKE("--choice", "a|bc"));
    expect_refusal(TAKE("--list", "0"));
    expect_refusal(TAKE("--list", "5,x"));
    expect_refusal(TAKE("one", "two", "three"));
}

Test(arguments, an_unknown_option_comes_with_the_nearest_known_one) {
    TAKE("--intger", "3");
    fflush(stderr);
    cr_assert_stderr_eq_str("p2s test: unknown option --intger; is --integer meant?\n"
                            "(p2s test --help tells more)\n");
}

Test(arguments, help_is_no_mistake, .init = cr_redirect_stdout) {
    Taken t = TAKE("--help", "--nonsense");
    cr_assert_not(t.runs);
    cr_assert_eq(t.code, EXIT_OK);
    fflush(stdout);
    cr_assert_stdout_eq_str("usage: test\n");
}

Test(arguments, sizes_are_height_times_width) {
    int64_t height, width;
    cr_assert_eq(size_from_text("480x640", &height, &width), 0);
    cr_assert_eq(height, 480);
    cr_assert_eq(width, 640);
    static const char *const wrong[] = {"480", "x640", "480x", "0x5", "5x-1", "480x640x3", "axb"};
    for (size_t i = 0; i < ARGUMENTS_COUNT(wrong); i++) {
        cr_assert_eq(size_from_text(wrong[i], &height, &width), -1, "accepted %s", wrong[i]);
        cr_assert_neq(*error_take(), '\0');
    }
}

Test(arguments, a_type_that_only_gpus_have_is_refused_on_the_cpu) {
    cr_expect_eq(cmd_bench(4, (char *[]){"bench", "step", "--type", "bf16"}), EXIT_USAGE);
}
