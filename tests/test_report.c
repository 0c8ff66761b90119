// SPDX-License-Identifier: MIT
// The report: scores, files and refusals.
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "eval/report.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char folder[64];

static void make_folder(void) {
    snprintf(folder, sizeof folder, "/tmp/p2s-report-XXXXXX");
    cr_assert(mkdtemp(folder));
}

static void remove_folder(void) {
    cr_expect_eq(folder_remove(folder), 0);
}

TestSuite(report, .init = make_folder, .fini = remove_folder);

static void add(Report *report, const char *set, const char *image, int id, double area,
                const char *system, double iou) {
    const PixelPoint prompts[2] = {{id, 7}, {8, id}};
    ReportRow row = {set, image, id, area, system, prompts, 1 + id % 2, iou};
    cr_assert_eq(report_add(report, &row), 0, "%s", error_message());
}

// Two sets; the second has one system only and no large or small instance.
static Report *sample(void) {
    Report *report = report_new(1);
    cr_assert(report);
    add(report, "val", "a.png", 1, 10000, "gen2seg", 0.5);
    add(report, "val", "a.png", 1, 10000, "oracle", 1);
    add(report, "val", "a.png", 2, 500, "gen2seg", 0.25);
    add(report, "val", "a.png", 2, 500, "oracle", 1);
    add(report, "val", "b.png", 1, 2000, "gen2seg", 0.75);
    add(report, "val", "b.png", 1, 2000, "oracle", 1);
    add(report, "val", "b.png", 3, 2000.5, "gen2seg", 0.25);
    add(report, "val", "b.png", 3, 2000.5, "oracle", 1);
    add(report, "art", "a.png", 9, 3000, "gen2seg", 0.125);
    return report;
}

static char *read_out(const char *name) {
    char *path = path_join(folder, name);
    char *text = file_read(path, 1 << 20, NULL);
    cr_assert(text, "%s", error_message());
    free(path);
    return text;
}

static double number_at(json_t *root, const char *a, const char *b, const char *c) {
    json_t *value = json_object_get(json_object_get(json_object_get(root, a), b), c);
    cr_assert(json_is_number(value), "%s.%s.%s", a, b, c);
    return json_number_value(value);
}

Test(report, results_hold_every_system_of_every_set) {
    Report *report = sample();
    cr_assert_eq(report_write(report, folder), 0, "%s", error_message());
    char *text = read_out("results.json");
    json_t *root = json_loads(text, 0, NULL);
    json_t *sets = json_object_get(root, "sets");
    cr_assert_eq(json_object_size(sets), 2);
    json_t *val = json_object_get(sets, "val"), *art = json_object_get(sets, "art");
    cr_expect_eq(json_integer_value(json_object_get(val, "instances")), 4);
    cr_expect_eq(json_integer_value(json_object_get(art, "instances")), 1);
    cr_expect_float_eq(number_at(val, "systems", "gen2seg", "miou"), 0.4375, 1e-7);
    cr_expect_float_eq(number_at(val, "systems", "gen2seg", "large"), 0.5, 1e-7);
    cr_expect_float_eq(number_at(val, "systems", "gen2seg", "medium"), 0.5, 1e-7);
    cr_expect_float_eq(number_at(val, "systems", "gen2seg", "small"), 0.25, 1e-7);
    cr_expect_float_eq(number_at(val, "systems", "oracle", "miou"), 1, 1e-7);
    json_t *systems = json_object_get(art, "systems");
    cr_expect_eq(json_object_size(systems), 1);
    json_t *only = json_object_get(systems, "gen2seg");
    cr_expect(json_is_null(json_object_get(only, "large")));
    cr_expect(json_is_null(json_object_get(only, "small")));
    cr_expect_float_eq(json_number_value(json_object_get(only, "medium")), 0.125, 1e-7);
    // Draws of two images with mean 0.375 and 0.5: the interval spans both.
    json_t *ci =
        json_object_get(json_object_get(json_object_get(val, "systems"), "gen2seg"), "ci95");
    cr_assert_eq(json_array_size(ci), 2);
    cr_expect_float_eq(json_number_value(json_array_get(ci, 0)), 0.375, 1e-7);
    cr_expect_float_eq(json_number_value(json_array_get(ci, 1)), 0.5, 1e-7);
    json_decref(root);
    free(text);
    report_free(report);
}

Test(report, instances_are_one_line_each_with_their_prompts) {
    Report *report = sample();
    cr_assert_eq(report_write(report, folder), 0);
    char *text = read_out("instances.jsonl");
    int lines = 0;
    for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"), lines++) {
        json_t *row = json_loads(line, 0, NULL);
        cr_assert(row, "line %d: %s", lines, line);
        cr_assert_eq(json_object_size(row), 7);
        json_decref(row);
        if (lines == 6)
            cr_expect_str_eq(line,
                             "{\"set\":\"val\",\"image\":\"b.png\",\"id\":3,\"area\":2000.5,"
                             "\"prompts\":[[3,7],[8,3]],\"system\":\"gen2seg\",\"iou\":0.25}");
    }
    cr_expect_eq(lines, 9);
    free(text);
    report_free(report);
}

Test(report, table_has_systems_as_rows_and_sets_as_columns) {
    Report *report = sample();
    cr_assert_eq(report_write(report, folder), 0);
    char *text = read_out("table.md");
    cr_expect(strstr(text, "| system | val (4) | art (1) |\n|---|---|---|\n"), "%s", text);
    cr_expect(strstr(text, "| gen2seg | 0.438 [0.375, 0.500] | 0.125 [0.125, 0.125] |\n"), "%s",
              text);
    cr_expect(strstr(text, "| oracle | 1.000 [1.000, 1.000] | - |\n"), "%s", text);
    cr_expect(strstr(text, "| gen2seg | 0.500 / 0.500 / 0.250 | - / 0.125 / - |\n"), "%s", text);
    free(text);
    report_free(report);
}

Test(report, difference_is_paired_by_instance) {
    Report *report = sample();
    double difference, interval[2];
    cr_assert_eq(report_difference(report, "val", "oracle", "gen2seg", &difference, interval), 0);
    cr_expect_float_eq(difference, 0.5625, 1e-12);
    cr_expect(interval[0] < difference && difference < interval[1]);
    cr_expect_eq(report_difference(report, "art", "oracle", "gen2seg", &difference, interval), -1);
    cr_expect(strstr(error_take(), "no rows of system oracle on set art"));
    add(report, "art", "a.png", 8, 3000, "oracle", 1);
    add(report, "art", "b.png", 9, 3000, "whole", 1);
    const char *others[] = {"oracle", "whole"};
    for (int i = 0; i < 2; i++) {
        cr_expect_eq(report_difference(report, "art", others[i], "gen2seg", &difference, interval),
                     -1);
        cr_expect(strstr(error_take(), "different instances of art"));
    }
    report_free(report);
}

Test(report, attached_values_and_remarks_are_written_beside_the_scores) {
    Report *report = sample();
    cr_assert_eq(report_attach(report, "fitted", "{\"on\": \"art\"}"), 0);
    cr_assert_eq(report_attach(report, "fitted", "{\"on\": \"val\"}"), 0);
    cr_assert_eq(report_remark(report, "\nfitted on val\n"), 0);
    cr_expect_eq(report_attach(report, "fitted", "{"), -1);
    cr_expect(strstr(error_take(), "not JSON"));
    cr_expect_eq(report_attach(report, "sets", "1"), -1);
    error_take();
    cr_assert_eq(report_write(report, folder), 0, "%s", error_message());
    char *text = read_out("results.json"), *table = read_out("table.md");
    json_t *root = json_loads(text, 0, NULL);
    cr_expect_str_eq(json_string_value(json_object_get(json_object_get(root, "fitted"), "on")),
                     "val");
    cr_expect_eq(json_object_size(json_object_get(root, "sets")), 2);
    cr_expect(text_ends_with(table, "\n\nfitted on val\n"));
    json_decref(root);
    free(text);
    free(table);
    report_free(report);
}

Test(report, systems_with_different_numbers_of_rows_are_refused) {
    Report *report = sample();
    add(report, "val", "c.png", 1, 2000, "oracle", 1);
    cr_expect_eq(report_write(report, folder), -1);
    const char *message = error_take();
    cr_expect(strstr(message, "gen2seg has 4") && strstr(message, "oracle has 5"), "%s", message);
    report_free(report);
}

Test(report, bad_rows_are_refused_and_leave_no_trace) {
    Report *report = report_new(1);
    ReportRow row = {"val", "a.png", 1, 100, "gen2seg", NULL, 0, NAN};
    cr_expect_eq(report_add(report, &row), -1);
    cr_expect(strstr(error_take(), "not in 0..1"));
    row.iou = 0.5;
    row.area = INFINITY;
    cr_expect_eq(report_add(report, &row), -1);
    cr_expect(strstr(error_take(), "area"));
    row.area = 100;
    row.image = "\xff\xfe";
    cr_expect_eq(report_add(report, &row), -1);
    cr_expect(strstr(error_take(), "not UTF-8"));
    cr_assert_eq(report_write(report, folder), 0);
    char *text = read_out("results.json");
    json_t *root = json_loads(text, 0, NULL);
    cr_expect_eq(json_object_size(json_object_get(root, "sets")), 0);
    json_decref(root);
    free(text);
    report_free(report);
}

Test(report, folder_is_made_and_unwritable_one_is_named) {
    Report *report = sample();
    char *deep = path_join(folder, "out/eval");
    cr_expect_eq(report_write(report, deep), 0);
    char *file = path_join(deep, "table.md");
    cr_expect(file_exists(file));
    cr_expect_eq(report_write(report, file), -1);
    cr_expect(strstr(error_take(), "table.md"));
    free(file);
    free(deep);
    report_free(report);
}

Test(report, running_out_of_memory_is_an_error_and_leaks_nothing) {
    for (int64_t n = 1; n < 40; n++) {
        Report *report = report_new(1);
        ReportRow row = {"val", "a.png", 1, 100, "gen2seg", &(PixelPoint){1, 2}, 1, 0.5};
        memory_fail_at(n);
        int added = report_add(report, &row);
        int written = added == 0 ? report_write(report, folder) : -1;
        memory_fail_at(0);
        cr_expect_eq(error_is_set(), written != 0, "allocation %d", (int)n);
        error_take();
        if (added) {
            ReportScore score;
            cr_expect_eq(report_score(report, "val", "gen2seg", &score), -1);
            error_take();
        }
        report_free(report);
        if (written == 0) return;
    }
    cr_assert_fail("never succeeded");
}
