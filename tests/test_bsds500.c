// SPDX-License-Identifier: MIT
// BSDS500 ground truth: real files against their recorded sums, a made one to the last value, and
// damaged ones.
#include "data/bsds500.h"
#include "tests/sample_data.h"

#include <stdint.h>

#define FIXTURE P2S_FIXTURES "/bsds500.mat"

typedef struct {
    long label_min, label_max, labels, label_sum, boundary;
} Facts;

static Facts facts_of(const Bsds500Truth *truth, int annotator) {
    const size_t pixels = (size_t)truth->width * (size_t)truth->height;
    const int32_t *segments = truth->segments + (size_t)annotator * pixels;
    static bool seen[65536];
    memset(seen, 0, sizeof seen);
    Facts facts = {65536, -1, 0, 0, 0};
    for (size_t i = 0; i < pixels; i++) {
        const int32_t label = segments[i];
        if (label < facts.label_min) facts.label_min = label;
        if (label > facts.label_max) facts.label_max = label;
        facts.labels += !seen[label];
        seen[label] = true;
        facts.label_sum += label;
        facts.boundary += truth->edges[(size_t)annotator * pixels + i];
    }
    return facts;
}

Test(bsds500, real_files_have_the_recorded_sums) {
    SAMPLE_ROOT(root);
    const Path table = in_folder(root.text, "BSDS500/groundTruth.tsv");
    char *text = file_read(table.text, 1 << 20, NULL), *rest = NULL;
    cr_assert_not_null(text, "%s", error_message());
    int rows = 0;
    strtok_r(text, "\n", &rest); // the heading
    for (char *line; (line = strtok_r(NULL, "\n", &rest)); rows++) {
        char id[64], name[128];
        int annotator, height, width;
        Facts want;
        cr_assert_eq(sscanf(line, "%63s %d %d %d %ld %ld %ld %ld %ld", id, &annotator, &height,
                            &width, &want.label_min, &want.label_max, &want.labels, &want.label_sum,
                            &want.boundary),
                     9);
        snprintf(name, sizeof name, "BSDS500/data/groundTruth/test/%s.mat", id);
        Bsds500Truth truth;
        cr_assert_eq(bsds500_truth_read(in_folder(root.text, name).text, &truth), 0, "%s",
                     error_message());
        cr_assert(annotator < truth.annotators && truth.height == height && truth.width == width);
        const Facts got = facts_of(&truth, annotator);
        cr_assert(memcmp(&got, &want, sizeof got) == 0, "%s, annotator %d", id, annotator);
        bsds500_truth_free(&truth);
    }
    cr_assert_eq(rows, 160);
    free(text);
}

// scripts/make_fixtures.py: annotator a, row y, column x has label 1 + (7a + 3y + 5x) % 300, and a
// boundary where (a + y + 2x) % 3 is 0.
Test(bsds500, columns_of_the_file_become_rows_of_the_map) {
    Bsds500Truth truth;
    cr_assert_eq(bsds500_truth_read(FIXTURE, &truth), 0, "%s", error_message());
    cr_assert(truth.annotators == 2 && truth.height == 6 && truth.width == 9);
    for (int i = 0; i < 2 * 6 * 9; i++) {
        const int a = i / 54, y = i / 9 % 6, x = i % 9;
        cr_assert_eq(truth.segments[i], 1 + (7 * a + 3 * y + 5 * x) % 300);
        cr_assert_eq(truth.edges[i], (a + y + 2 * x) % 3 == 0);
    }
    bsds500_truth_free(&truth);
}

static void is_refused(const char *path, const char *part) {
    Bsds500Truth truth;
    cr_assert_neq(bsds500_truth_read(path, &truth), 0);
    const char *message = error_take();
    cr_assert(strstr(message, part), "%s", message);
    cr_assert_null(truth.segments);
}

Test(bsds500, other_files_are_refused_by_name) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "a.mat");
    is_refused("/nowhere/a.mat", "/nowhere/a.mat");
    write_bytes(path.text, "MATLAB?", 7);
    is_refused(path.text, "not a MATLAB 5 file");
    is_refused(P2S_FIXTURES "/other.mat", "groundTruth is missing");
    cr_assert_eq(folder_remove(folder.text), 0);
}

Test(bsds500, a_file_cut_short_anywhere_is_refused) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "cut.mat");
    size_t size = 0;
    char *bytes = file_read(FIXTURE, 1 << 20, &size);
    cr_assert_not_null(bytes);
    for (size_t cut = 0; cut < size; cut++) {
        Bsds500Truth truth;
        write_bytes(path.text, bytes, cut);
        const int result = bsds500_truth_read(path.text, &truth);
        cr_assert(result != 0 || cut + 8 > size, "read %zu of %zu bytes", cut, size);
        if (result) error_take();
        bsds500_truth_free(&truth);
    }
    free(bytes);
    cr_assert_eq(folder_remove(folder.text), 0);
}

// Not compressed, so that no checksum stands before the structure.
Test(bsds500, a_file_with_a_byte_changed_is_read_or_refused) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "changed.mat");
    size_t size = 0;
    char *bytes = file_read(P2S_FIXTURES "/bsds500_plain.mat", 1 << 20, &size);
    cr_assert_not_null(bytes);
    for (size_t i = 0; i < size; i++) {
        Bsds500Truth truth;
        bytes[i] ^= (char)0x81;
        write_bytes(path.text, bytes, size);
        bytes[i] ^= (char)0x81;
        if (bsds500_truth_read(path.text, &truth)) error_take();
        bsds500_truth_free(&truth);
    }
    free(bytes);
    cr_assert_eq(folder_remove(folder.text), 0);
}
