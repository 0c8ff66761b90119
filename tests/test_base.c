// SPDX-License-Identifier: MIT
// Errors, memory, text, files, folders, interrupts, the progress line.
#include "base/crc32c.h"
#include "base/error.h"
#include "base/file.h"
#include "base/interrupt.h"
#include "base/memory.h"
#include "base/progress.h"
#include "base/text.h"

#include <criterion/criterion.h>
#include <criterion/redirect.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/p2s-base-%ld", (long)getpid());
    cr_assert_eq(folder_remove(folder), 0, "%s", error_message());
    cr_assert_eq(folder_make(folder), 0, "%s", error_message());
}

static void remove_folder(void) {
    cr_assert_eq(folder_remove(folder), 0, "%s", error_message());
}

TestSuite(file, .init = make_folder, .fini = remove_folder);

// A path in the test's folder, valid until the fourth next call.
static const char *in_folder(const char *name) {
    static char paths[4][256];
    static int turn;
    turn = (turn + 1) % 4;
    snprintf(paths[turn], sizeof paths[turn], "%s/%s", folder, name);
    return paths[turn];
}

static void check_content(const char *path, const char *expected) {
    size_t size;
    char *bytes = file_read(path, 1000, &size);
    cr_assert_not_null(bytes, "%s", error_message());
    cr_assert_str_eq(bytes, expected);
    cr_assert_eq(size, strlen(expected));
    free(bytes);
}

static void check_message(const char *part) {
    const char *message = error_take();
    cr_assert(strstr(message, part), "\"%s\" is not in \"%s\"", part, message);
}

Test(error, the_first_message_wins_until_it_is_taken) {
    cr_assert_eq(error_int("first %d", 1), -1);
    cr_assert_null(error_null("second"));
    cr_assert_str_eq(error_message(), "first 1");
    error_context("file %s", "x");
    cr_assert_str_eq(error_take(), "file x: first 1");
    cr_assert(!error_is_set());
    cr_assert_str_eq(error_take(), "");
    error_int("third");
    cr_assert_str_eq(error_message(), "third");
}

Test(memory, an_overflowing_size_is_an_error) {
    cr_assert_null(array_new(SIZE_MAX / 2, 3));
    check_message("size overflow");
    size_t product = 7;
    cr_assert_eq(size_multiply(SIZE_MAX, 2, &product), -1);
    cr_assert_eq(product, 7);
    error_take();
    cr_assert_eq(size_multiply(SIZE_MAX, 1, &product), 0);
    cr_assert_eq(product, SIZE_MAX);
    cr_assert_eq(size_multiply(0, SIZE_MAX, &product), 0);
}

Test(memory, arrays_are_zeroed_and_grow_keeping_their_content) {
    int *array = array_new(3, sizeof *array);
    cr_assert(array[0] == 0 && array[1] == 0 && array[2] == 0);
    size_t capacity = 3;
    for (int i = 0; i < 1000; i++) {
        cr_assert_eq(array_grow(&array, &capacity, (size_t)i, sizeof *array), 0);
        array[i] = i;
    }
    for (int i = 0; i < 1000; i++) cr_assert_eq(array[i], i);
    free(array);
    void *empty = array_new(0, 8);
    cr_assert_not_null(empty);
    free(empty);
}

Test(memory, the_nth_allocation_fails_once_and_is_reported) {
    memory_fail_at(2);
    char *first = string_copy("a");
    cr_assert_not_null(first);
    cr_assert_null(string_copy("b"));
    check_message("out of memory");
    char *third = string_copy("c");
    cr_assert_not_null(third);
    free(first);
    free(third);
}

Test(text, additions_gather_and_a_failed_one_sticks) {
    Text text = {0};
    cr_assert_str_eq(text_string(&text), "");
    for (int i = 0; i < 1000; i++) cr_assert_eq(text_add(&text, "%d,", i % 10), 0);
    cr_assert_eq(text.length, 2000);
    char *taken = text_take(&text);
    cr_assert_eq(strlen(taken), 2000);
    free(taken);
    memory_fail_at(1);
    cr_assert_eq(text_add(&text, "x"), -1);
    cr_assert_eq(text_add(&text, "y"), -1);
    cr_assert_null(text_take(&text));
    check_message("out of memory");
}

Test(text, trimming_removes_both_ends_only) {
    char text[] = " \t a b\n ";
    cr_assert_str_eq(text_trim(text), "a b");
    char blank[] = "  ";
    cr_assert_str_eq(text_trim(blank), "");
}

Test(text, distance_counts_edits_and_swaps) {
    cr_assert_eq(text_distance("", ""), 0);
    cr_assert_eq(text_distance("abc", ""), 3);
    cr_assert_eq(text_distance("kitten", "sitting"), 3);
    cr_assert_eq(text_distance("trian", "train"), 1);
    cr_assert_eq(text_distance("LR", "lr"), 0);
    char word[300];
    memset(word, 'a', sizeof word);
    word[299] = '\0';
    cr_assert_eq(text_distance(word, "a"), SIZE_MAX);
}

Test(text, the_nearest_word_is_found_and_a_far_one_is_not) {
    const char *words[] = {"train.lr", "train.steps", "data.hypersim", "seed"};
    cr_assert_str_eq(text_nearest("train.step", words, 4, sizeof *words), "train.steps");
    cr_assert_str_eq(text_nearest("sede", words, 4, sizeof *words), "seed");
    cr_assert_str_eq(text_nearest("hypersin", words, 4, sizeof *words), "data.hypersim");
    cr_assert_null(text_nearest("banana", words, 4, sizeof *words));
    cr_assert_null(text_nearest("x", words, 0, sizeof *words));
}

Test(text, numbers_are_parsed_whole_and_in_range_or_not_at_all) {
    int64_t integer = 5;
    cr_assert_eq(text_to_int64("-12", -12, 0, &integer), 0);
    cr_assert_eq(integer, -12);
    const char *no_integers[] = {"",    " 1",  "1 ",  "1.0",
                                 "0x1", "one", "1e3", "99999999999999999999"};
    for (int i = 0; i < 8; i++)
        cr_assert_eq(text_to_int64(no_integers[i], INT64_MIN, INT64_MAX, &integer), -1);
    cr_assert_eq(text_to_int64("-13", -12, 0, &integer), -1);
    cr_assert_eq(integer, -12);
    double real = 0;
    cr_assert_eq(text_to_double("6e-5", 0, 1, &real), 0);
    cr_assert_eq(real, 6e-5);
    const char *no_numbers[] = {"", " 1", "1 ", "0x1p3", "nan", "inf", "1e999", "1,5", "1f"};
    for (int i = 0; i < 9; i++)
        cr_assert_eq(text_to_double(no_numbers[i], -1e308, 1e308, &real), -1, "%s", no_numbers[i]);
    error_take();
    cr_assert_eq(text_to_double("inf", -HUGE_VAL, HUGE_VAL, &real), -1);
    check_message("found inf, expected a number that is finite");
    bool flag = false;
    cr_assert_eq(text_to_bool("true", &flag), 0);
    cr_assert(flag);
    cr_assert_eq(text_to_bool("True", &flag), -1);
    cr_assert(flag);
}

Test(text, utf8_is_told_from_other_bytes) {
    const char *yes[] = {"", "abc", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80"};
    const char *no[] = {"\xff", "\xc3", "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80", "\xf4\x90\x80\x80"};
    for (int i = 0; i < 5; i++) cr_assert(text_is_utf8(yes[i]), "%d", i);
    for (int i = 0; i < 6; i++) cr_assert(!text_is_utf8(no[i]), "%d", i);
}

Test(file, paths_are_joined_and_taken_apart) {
    const char *cases[][3] = {
        {"a", "b", "a/b"}, {"a/", "b", "a/b"}, {"a", "/b", "/b"}, {"", "b", "b"}, {"/", "b", "/b"}};
    for (int i = 0; i < 5; i++) {
        char *path = path_join(cases[i][0], cases[i][1]);
        cr_assert_str_eq(path, cases[i][2]);
        free(path);
    }
    const char *folders[][2] = {{"a/b", "a"}, {"b", "."}, {"/b", "/"}, {"/a/b", "/a"}};
    for (int i = 0; i < 4; i++) {
        char *path = path_folder(folders[i][0]);
        cr_assert_str_eq(path, folders[i][1]);
        free(path);
    }
    cr_assert_str_eq(path_name("a/b.c"), "b.c");
}

Test(file, a_written_file_reads_back_and_leaves_nothing_aside) {
    const char *path = in_folder("file");
    cr_assert_eq(file_write(path, "one", 3), 0, "%s", error_message());
    cr_assert_eq(file_write(path, "four", 4), 0, "%s", error_message());
    check_content(path, "four");
    cr_assert_eq(file_size(path), 4);
    size_t count;
    char **names = folder_list(folder, &count);
    cr_assert_eq(count, 1);
    folder_list_free(names, count);
}

Test(file, an_abandoned_write_leaves_the_old_file) {
    const char *path = in_folder("file");
    cr_assert_eq(file_write(path, "old", 3), 0);
    FileWrite *write = file_write_begin(path);
    fputs("half", write->stream);
    file_write_abandon(write);
    check_content(path, "old");
}

Test(file, a_full_disk_is_an_error_that_names_the_file) {
    if (!file_exists("/dev/full")) cr_skip_test("SKIP no /dev/full here");
    cr_assert_eq(file_write("/dev/full", "x", 1), -1);
    check_message("/dev/full: cannot write: No space left on device");
}

Test(file, a_pipe_that_is_named_by_its_descriptor_is_written_to) {
    int ends[2];
    char path[64], found[8] = "";
    cr_assert_eq(pipe(ends), 0);
    snprintf(path, sizeof path, "/dev/fd/%d", ends[1]);
    if (access(path, W_OK)) cr_skip_test("SKIP no /dev/fd here");
    cr_assert_eq(file_write(path, "text", 4), 0, "%s", error_message());
    cr_assert_eq(read(ends[0], found, sizeof found), 4);
    cr_assert_str_eq(found, "text");
    close(ends[0]), close(ends[1]);
}

Test(file, writing_through_a_link_replaces_its_target) {
    cr_assert_eq(file_write(in_folder("target"), "old", 3), 0);
    cr_assert_eq(link_replace("target", in_folder("link")), 0, "%s", error_message());
    cr_assert_eq(file_write(in_folder("link"), "new", 3), 0, "%s", error_message());
    check_content(in_folder("target"), "new");
    struct stat info;
    cr_assert_eq(lstat(in_folder("link"), &info), 0);
    cr_assert(S_ISLNK(info.st_mode));
}

Test(file, a_link_is_pointed_elsewhere_in_one_step) {
    cr_assert_eq(file_write(in_folder("a"), "a", 1), 0);
    cr_assert_eq(file_write(in_folder("b"), "b", 1), 0);
    cr_assert_eq(link_replace("a", in_folder("latest")), 0);
    cr_assert_eq(link_replace("b", in_folder("latest")), 0);
    check_content(in_folder("latest"), "b");
}

Test(file, unreadable_and_oversized_files_are_errors_with_the_path) {
    cr_assert_null(file_read(in_folder("none"), 10, NULL));
    check_message("/none: cannot open: No such file or directory");
    cr_assert_null(file_read(folder, 10, NULL));
    check_message(folder);
    cr_assert_eq(file_write(in_folder("ten"), "0123456789", 10), 0);
    cr_assert_null(file_read(in_folder("ten"), 9, NULL));
    check_message("larger than the limit of 9 bytes");
    cr_assert_eq(file_write(in_folder("no/where"), "x", 1), -1);
    check_message("/no/where: cannot write");
    cr_assert_eq(file_size(folder), -1);
}

Test(file, a_hard_link_shares_the_file_and_never_replaces_one) {
    cr_assert_eq(file_write(in_folder("a"), "content", 7), 0);
    cr_assert_eq(file_link_or_copy(in_folder("a"), in_folder("b")), 0, "%s", error_message());
    check_content(in_folder("b"), "content");
    cr_assert_eq(file_link_or_copy(in_folder("a"), in_folder("b")), -1);
    check_message("/b: exists already");
    cr_assert_eq(file_link_or_copy(in_folder("none"), in_folder("c")), -1);
    check_message("/none");
}

Test(file, folders_are_made_listed_in_byte_order_and_removed) {
    cr_assert_eq(folder_make(in_folder("x/y/z/")), 0, "%s", error_message());
    cr_assert_eq(folder_make(in_folder("x/y/z")), 0, "%s", error_message());
    const char *files[] = {"x/b", "x/B", "x/a10", "x/a9", "x/\xc3\xa4"};
    for (int i = 0; i < 5; i++) cr_assert_eq(file_write(in_folder(files[i]), "", 0), 0);
    const char *sorted[] = {"B", "a10", "a9", "b", "y", "\xc3\xa4"};
    size_t count;
    char **names = folder_list(in_folder("x"), &count);
    cr_assert_eq(count, 6);
    for (size_t i = 0; i < count; i++) cr_assert_str_eq(names[i], sorted[i]);
    folder_list_free(names, count);
    cr_assert_eq(folder_remove(in_folder("x")), 0, "%s", error_message());
    cr_assert(!folder_exists(in_folder("x")));
    cr_assert_eq(folder_remove(in_folder("x")), 0);
    cr_assert_null(folder_list(in_folder("x"), &count));
    check_message("cannot list");
}

Test(file, a_file_in_the_way_of_a_folder_is_an_error) {
    cr_assert_eq(file_write(in_folder("f"), "", 0), 0);
    cr_assert_eq(folder_make(in_folder("f")), -1);
    check_message("/f: cannot make this folder");
    cr_assert_eq(folder_make(in_folder("f/g")), -1);
    check_message("/f: cannot make this folder");
}

Test(file, removing_a_folder_does_not_follow_links) {
    cr_assert_eq(folder_make(in_folder("keep")), 0);
    cr_assert_eq(file_write(in_folder("keep/me"), "x", 1), 0);
    cr_assert_eq(folder_make(in_folder("gone")), 0);
    cr_assert_eq(link_replace("../keep", in_folder("gone/link")), 0);
    cr_assert_eq(folder_remove(in_folder("gone")), 0, "%s", error_message());
    check_content(in_folder("keep/me"), "x");
}

Test(crc32c, the_published_values_are_met) {
    unsigned char bytes[32] = {0};
    cr_assert_eq(crc32c(0, "123456789", 9), 0xE3069283);
    cr_assert_eq(crc32c(crc32c(0, "1234", 4), "56789", 5), 0xE3069283);
    cr_assert_eq(crc32c(0, bytes, sizeof bytes), 0x8A9136AA); // RFC 3720, B.4
    for (int i = 0; i < 32; i++) bytes[i] = (unsigned char)i;
    cr_assert_eq(crc32c(0, bytes, sizeof bytes), 0x46DD794E);
}

Test(file, a_folder_is_replaced_whole) {
    for (int round = 0; round < 2; round++) {
        char *aside = folder_replace_begin(in_folder("step"));
        cr_assert_not_null(aside, "%s", error_message());
        cr_assert_str_eq(aside, in_folder("step.p2s-tmp"));
        char *inside = path_join(aside, round ? "two" : "one");
        cr_assert_eq(file_write(inside, "x", 1), 0);
        cr_assert_eq(folder_replace_commit(aside, in_folder("step")), 0, "%s", error_message());
        free(inside);
        free(aside);
    }
    cr_assert(file_exists(in_folder("step/two")));
    cr_assert(!file_exists(in_folder("step/one")));
    cr_assert(!folder_exists(in_folder("step.p2s-tmp")));
    cr_assert(!folder_exists(in_folder("step.p2s-old")));
}

Test(file, a_left_over_aside_folder_is_emptied) {
    cr_assert_eq(folder_make(in_folder("step.p2s-tmp/junk")), 0);
    cr_assert_eq(folder_make(in_folder("step.tmp/of-somebody-else")), 0);
    char *aside = folder_replace_begin(in_folder("step"));
    cr_assert(!folder_exists(in_folder("step.p2s-tmp/junk")));
    cr_assert(folder_exists(in_folder("step.tmp/of-somebody-else")));
    free(aside);
}

Test(file, a_locked_folder_is_refused_to_others_until_the_lock_ends) {
    int lock = folder_lock(folder);
    cr_assert_geq(lock, 0, "%s", error_message());
    cr_assert_eq(folder_lock(folder), -1);
    char expected[64];
    snprintf(expected, sizeof expected, "in use by process %ld", (long)getpid());
    check_message(expected);
    folder_unlock(lock);
    lock = folder_lock(folder);
    cr_assert_geq(lock, 0, "%s", error_message());
    folder_unlock(lock);
    cr_assert_eq(folder_lock(in_folder("none")), -1);
    check_message("/none/.lock: cannot open");
}

Test(interrupt, the_first_signal_sets_the_flag_and_the_second_ends_the_process) {
    cr_assert_eq(interrupt_watch(), 0);
    cr_assert(!interrupt_requested());
    raise(SIGTERM);
    cr_assert(interrupt_requested());
    cr_assert_eq(interrupt_signal(), SIGTERM);
    pid_t child = fork();
    if (child == 0) {
        raise(SIGINT); // the flag is inherited, so this is the second
        _exit(0);
    }
    int status;
    cr_assert_eq(waitpid(child, &status, 0), child);
    cr_assert(WIFSIGNALED(status) && WTERMSIG(status) == SIGINT);
    interrupt_unwatch();
    cr_assert(!interrupt_requested());
}

Test(progress, durations_read_as_people_say_them) {
    char text[32];
    duration_text(44.6, text);
    cr_assert_str_eq(text, "45 s");
    duration_text(725, text);
    cr_assert_str_eq(text, "12:05 min");
    duration_text(3600 * 3 + 429, text);
    cr_assert_str_eq(text, "3:07:09 h");
    duration_text(-1, text);
    cr_assert_str_eq(text, "?");
}

Test(progress, lines_off_a_terminal_come_at_the_interval_and_at_the_end,
     .init = cr_redirect_stderr) {
    Progress progress;
    progress_begin(&progress, "train", "step", 10, 20, 1000, false);
    for (int64_t i = 10; i < 20; i++) progress_update(&progress, i, "loss 0.5");
    progress.start -= 10; // as if it had taken ten seconds and a bit
    progress_end(&progress, 20, "done");
    fflush(stderr);
    FILE *text = cr_get_redirected_stderr();
    char line[200];
    cr_assert_not_null(fgets(line, sizeof line, text));
    cr_assert_str_eq(line, "train: step 10/20, loss 0.5\n");
    cr_assert_not_null(fgets(line, sizeof line, text));
    cr_assert(strstr(line, "train: step 20/20, 1.0") == line && strstr(line, ", done\n"), "%s",
              line);
    cr_assert_null(fgets(line, sizeof line, text));
}

Test(progress, an_error_begins_on_a_line_of_its_own_on_a_terminal, .init = cr_redirect_stderr) {
    Progress progress;
    progress_begin(&progress, "train", "step", 10, 20, 1000, false);
    progress_abandon(&progress); // no line stands yet
    progress.terminal = true;
    progress_update(&progress, 10, NULL);
    progress_abandon(&progress);
    fflush(stderr);
    cr_assert_stderr_eq_str("\r\033[Ktrain: step 10/20\n");
}
