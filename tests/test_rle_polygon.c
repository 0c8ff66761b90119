// SPDX-License-Identifier: MIT
// Run lengths and polygons: printed vectors, every annotated object of the COCO samples, bad input.
#include "data/polygon.h"
#include "data/rle.h"
#include "tests/sample_data.h"

#include <jansson.h>
#include <math.h>

// The runs of a mask must be these.
static void expect_counts(const uint8_t *mask, int width, int height, const uint32_t *counts,
                          size_t length) {
    Rle rle;
    cr_assert_eq(rle_from_mask(mask, width, height, &rle), 0, "%s", error_message());
    cr_assert_eq(rle.length, length, "%zu runs, expected %zu", rle.length, length);
    for (size_t i = 0; i < length; i++)
        cr_expect_eq(rle.counts[i], counts[i], "run %zu: %u, expected %u", i, rle.counts[i],
                     counts[i]);
    rle_free(&rle);
}

#define COUNTS(...) \
    (const uint32_t[]){__VA_ARGS__}, sizeof((const uint32_t[]){__VA_ARGS__}) / sizeof(uint32_t)

static void expect_string(const int64_t *counts, size_t length, int width, int height,
                          const char *expected) {
    Rle rle, back;
    cr_assert_eq(rle_from_counts(counts, length, width, height, &rle), 0, "%s", error_message());
    char *text = rle_to_string(&rle);
    cr_expect_str_eq(text, expected);
    cr_assert_eq(rle_from_string(expected, width, height, &back), 0, "%s", error_message());
    cr_assert_eq(back.length, length);
    cr_expect_arr_eq(back.counts, rle.counts, length * sizeof *rle.counts);
    free(text);
    rle_free(&rle);
    rle_free(&back);
}

Test(rle, strings_equal_the_vectors_both_ways) {
    expect_string((const int64_t[]){3, 2, 1, 1, 4, 1}, 6, 4, 3, "321O30");
    expect_string((const int64_t[]){6, 3, 3}, 3, 4, 3, "633");
    expect_string((const int64_t[]){0, 12}, 2, 4, 3, "0<");
    expect_string((const int64_t[]){0, 16}, 2, 4, 4, "0`0");
    expect_string((const int64_t[]){100, 5}, 2, 15, 7, "T35");
    expect_string((const int64_t[]){14, 2, 4, 2, 4, 2, 14}, 7, 7, 6, ">24000:");
    expect_string((const int64_t[]){0, 2, 2, 2, 2, 2, 6}, 7, 4, 4, "0220004");
}

Test(rle, the_largest_mask_round_trips) {
    expect_string((const int64_t[]){0, INT64_C(65535) * 65535}, 2, 65535, 65535, "0QPPloo3");
    Rle rle;
    cr_assert_eq(rle_from_counts((const int64_t[]){1, 4294836224, 0, 0}, 4, 65535, 65535, &rle), 0);
    char *text = rle_to_string(&rle);
    rle_free(&rle);
    cr_expect_eq(rle_from_string(text, 65535, 65535, &rle), 0, "%s: %s", text, error_message());
    cr_expect_eq(rle.counts[1], 4294836224u);
    free(text);
    rle_free(&rle);
}

Test(rle, pixels_run_down_the_columns) {
    const uint8_t rows[12] = {0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1};
    expect_counts(rows, 4, 3, COUNTS(3, 2, 1, 1, 4, 1));
    Rle rle;
    uint8_t mask[12] = {0};
    cr_assert_eq(rle_from_string("321O30", 4, 3, &rle), 0);
    rle_paint(&rle, mask);
    cr_expect_arr_eq(mask, rows, 12);
    rle_free(&rle);
}

Test(rle, malformed_strings_are_errors) {
    const struct {
        const char *text, *part;
    } cases[] = {
        {"3", "sum to 3"},
        {"633633", "behind the mask"},
        {"T", "inside a number"},
        {"63 ", "foreign"},
        {"63p", "foreign"},
        {"PPPPPPP0", "7 groups"},
        {"O", "negative length"},
        {"", "sum to 0"},
        {"321A30", "negative length"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        Rle rle;
        cr_expect_eq(rle_from_string(cases[i].text, 4, 3, &rle), -1, "%s", cases[i].text);
        cr_expect_null(rle.counts);
        expect_error(cases[i].part);
    }
    Rle rle;
    cr_expect_eq(rle_from_counts((const int64_t[]){13, -1}, 2, 4, 3, &rle), -1);
    expect_error("behind the mask");
    cr_expect_eq(rle_from_counts((const int64_t[]){INT64_MAX, INT64_MAX}, 2, 4, 3, &rle), -1);
    expect_error("behind the mask");
    cr_expect_eq(rle_from_counts((const int64_t[]){4, -1, 9}, 3, 4, 3, &rle), -1);
    expect_error("negative length -1");
    cr_expect_eq(rle_from_counts((const int64_t[]){4}, 1, 0, 3, &rle), -1);
    expect_error("0x3");
}

static uint8_t *painted(const double *xy, size_t points, int width, int height) {
    uint8_t *mask = calloc((size_t)width, (size_t)height);
    cr_assert_eq(polygon_paint(xy, points, width, height, mask), 0, "%s", error_message());
    return mask;
}

static void expect_polygon(const double *xy, size_t points, int width, int height,
                           const uint32_t *counts, size_t length) {
    uint8_t *mask = painted(xy, points, width, height);
    expect_counts(mask, width, height, counts, length);
    free(mask);
}

Test(polygon, masks_equal_the_vectors) {
    expect_polygon((const double[]){1, 1, 3, 1, 3, 3, 1, 3}, 4, 5, 5, COUNTS(6, 2, 3, 2, 12));
    expect_polygon((const double[]){0, 0, 4, 0, 4, 4, 0, 4}, 4, 4, 4, COUNTS(0, 16));
    expect_polygon((const double[]){0.5, 0.5, 3.5, 0.5, 2, 3.5}, 3, 5, 4, COUNTS(5, 1, 3, 2, 9));
    expect_polygon((const double[]){2, 2, 2, 2, 5, 2, 5, 4, 2, 4}, 5, 7, 6,
                   COUNTS(14, 2, 4, 2, 4, 2, 14));
    expect_polygon((const double[]){-1.3, -1, 2.6, -1, 2.6, 2.2, -1.3, 2.2}, 4, 4, 4,
                   COUNTS(0, 2, 2, 2, 2, 2, 6));
}

Test(polygon, a_polygon_outside_paints_nothing_and_one_around_paints_all) {
    expect_polygon((const double[]){-9, -9, -5, -9, -5, -5}, 3, 6, 4, COUNTS(24));
    expect_polygon((const double[]){9, 9, 15, 9, 15, 15}, 3, 6, 4, COUNTS(24));
    expect_polygon((const double[]){-9, -9, 29, -9, 29, 29, -9, 29}, 4, 6, 4, COUNTS(0, 24));
}

Test(polygon, what_was_painted_before_stays) {
    uint8_t mask[16] = {[15] = 1};
    cr_assert_eq(polygon_paint((const double[]){0, 0, 1, 0, 1, 1, 0, 1}, 4, 4, 4, mask), 0);
    cr_expect_eq(mask[0], 1);
    cr_expect_eq(mask[15], 1);
    cr_expect_eq(mask[5], 0);
}

Test(polygon, hostile_polygons_are_errors) {
    uint8_t mask[16] = {0};
    cr_expect_eq(polygon_paint((const double[]){0, 0, 4, 4}, 2, 4, 4, mask), -1);
    expect_error("2 points");
    const double bad[3] = {NAN, INFINITY, -1e300};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(polygon_paint((const double[]){0, 0, 4, bad[i], 4, 4}, 3, 4, 4, mask), -1);
        expect_error("coordinate");
    }
    double zigzag[200];
    for (int i = 0; i < 200; i++) zigzag[i] = i % 4 < 2 ? -1e6 : 1e6;
    cr_expect_eq(polygon_paint(zigzag, 100, 4, 4, mask), -1);
    expect_error("outline");
}

// One row of a .masks.tsv file.
typedef struct {
    long long id;
    int crowd, height, width, pixels, box[4];
    char text[20000];
} MaskRow;

static bool next_row(FILE *file, MaskRow *row) {
    static char line[24000];
    while (fgets(line, sizeof line, file))
        if (sscanf(line, "%lld %*d %*d %d %d %d %d %d %d %d %d %19999s", &row->id, &row->crowd,
                   &row->height, &row->width, &row->pixels, &row->box[0], &row->box[1],
                   &row->box[2], &row->box[3], row->text) == 10)
            return true;
    return false;
}

static json_t *find_annotation(json_t *file, long long id) {
    size_t i;
    json_t *annotation;
    json_array_foreach(json_object_get(file, "annotations"), i, annotation) {
        if (json_integer_value(json_object_get(annotation, "id")) == id) return annotation;
    }
    return NULL;
}

static void paint_polygons(json_t *parts, int width, int height, uint8_t *mask) {
    size_t i, k;
    json_t *part, *number;
    json_array_foreach(parts, i, part) {
        double *xy = calloc(json_array_size(part), sizeof *xy);
        json_array_foreach(part, k, number) xy[k] = json_number_value(number);
        cr_assert_eq(polygon_paint(xy, json_array_size(part) / 2, width, height, mask), 0);
        free(xy);
    }
}

static void paint_counts(json_t *list, int width, int height, uint8_t *mask) {
    int64_t *counts = calloc(json_array_size(list) + 1, sizeof *counts);
    size_t i;
    json_t *number;
    json_array_foreach(list, i, number) counts[i] = json_integer_value(number);
    Rle rle;
    cr_assert_eq(rle_from_counts(counts, json_array_size(list), width, height, &rle), 0);
    rle_paint(&rle, mask);
    rle_free(&rle);
    free(counts);
}

static void expect_pixels_and_box(const uint8_t *mask, const MaskRow *row) {
    int pixels = 0, left = row->width, top = row->height, right = 0, bottom = 0;
    for (int y = 0; y < row->height; y++)
        for (int x = 0; x < row->width; x++) {
            if (!mask[y * row->width + x]) continue;
            pixels++;
            if (x < left) left = x;
            if (y < top) top = y;
            if (x >= right) right = x + 1;
            if (y >= bottom) bottom = y + 1;
        }
    cr_expect_eq(pixels, row->pixels, "annotation %lld", row->id);
    cr_expect(left == row->box[0] && top == row->box[1] && right - left == row->box[2] &&
                  bottom - top == row->box[3],
              "annotation %lld", row->id);
}

static void expect_row(json_t *file, const MaskRow *row) {
    json_t *shape = json_object_get(find_annotation(file, row->id), "segmentation");
    cr_assert_not_null(shape);
    uint8_t *mask = calloc((size_t)row->width, (size_t)row->height), *back;
    if (json_is_array(shape))
        paint_polygons(shape, row->width, row->height, mask);
    else
        paint_counts(json_object_get(shape, "counts"), row->width, row->height, mask);
    expect_pixels_and_box(mask, row);
    Rle rle;
    cr_assert_eq(rle_from_mask(mask, row->width, row->height, &rle), 0);
    char *text = rle_to_string(&rle);
    cr_expect_str_eq(text, row->text, "annotation %lld", row->id);
    rle_free(&rle);
    cr_assert_eq(rle_from_string(row->text, row->width, row->height, &rle), 0);
    back = calloc((size_t)row->width, (size_t)row->height);
    rle_paint(&rle, back);
    cr_expect_arr_eq(back, mask, (size_t)row->width * (size_t)row->height);
    rle_free(&rle);
    free(text);
    free(mask);
    free(back);
}

static int expect_all_rows(const Path *root, const char *name) {
    char path[256];
    snprintf(path, sizeof path, "COCO/annotations/instances_%s.json", name);
    json_t *file = json_load_file(in_folder(root->text, path).text, 0, NULL);
    cr_assert_not_null(file);
    snprintf(path, sizeof path, "COCO/annotations/instances_%s.masks.tsv", name);
    FILE *rows = fopen(in_folder(root->text, path).text, "r");
    cr_assert_not_null(rows);
    static MaskRow row;
    int count = 0;
    for (; next_row(rows, &row); count++) expect_row(file, &row);
    fclose(rows);
    json_decref(file);
    return count;
}

Test(polygon, every_sample_annotation_has_the_reference_mask) {
    SAMPLE_ROOT(root);
    cr_expect_eq(expect_all_rows(&root, "val2017"), 243);
    cr_expect_eq(expect_all_rows(&root, "train2017"), 170);
}
