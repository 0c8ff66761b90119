// SPDX-License-Identifier: MIT
// Figures: text, overlays, markers, grids.
#include "base/error.h"
#include "base/file.h"
#include "eval/figure.h"
#include "eval/font.h"

#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const Color red = {255, 0, 0}, white = {255, 255, 255};

static Image canvas(int width, int height) {
    Image image;
    cr_assert_eq(image_new(&image, width, height, 3), 0);
    return image;
}

static const uint8_t *at(const Image *image, int x, int y) {
    return image->pixels + 3 * (y * image->width + x);
}

static bool is(const Image *image, int x, int y, Color color) {
    const uint8_t *p = at(image, x, y);
    return p[0] == color.r && p[1] == color.g && p[2] == color.b;
}

static int count_of(const Image *image, Color color) {
    int count = 0;
    for (int i = 0; i < image->width * image->height; i++)
        count += is(image, i % image->width, i / image->width, color);
    return count;
}

Test(figure, text_draws_the_pixels_of_its_glyphs) {
    static const char *expected = "#...#" // an H
                                  "#...#"
                                  "#...#"
                                  "#####"
                                  "#...#"
                                  "#...#"
                                  "#...#";
    Image image = canvas(20, 20);
    figure_text(&image, 8, 2, 2, red, "H");
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 20; x++) {
            int u = x - 8, v = y - 2;
            bool inside = u >= 0 && v >= 0 && u / 2 < 5 && v / 2 < 7;
            bool ink = inside && expected[v / 2 * 5 + u / 2] == '#';
            cr_expect_eq(is(&image, x, y, red), ink, "%d,%d", x, y);
        }
    image_free(&image);
}

Test(figure, glyphs_differ_and_unknown_characters_are_question_marks) {
    for (int a = ' '; a < 127; a++)
        for (int b = a + 1; b < 127; b++)
            cr_expect(memcmp(font_glyph((char)a), font_glyph((char)b), FONT_HEIGHT) != 0,
                      "%c and %c", a, b);
    cr_expect_eq(font_glyph('\xe9'), font_glyph('?'));
    cr_expect_eq(font_glyph('\x7f'), font_glyph('?'));
    cr_expect_eq(font_glyph('\t'), font_glyph('?'));
}

Test(figure, drawing_is_clipped_at_every_border) {
    Image image = canvas(9, 7);
    figure_text(&image, -3, -3, 3, red, "WWW");
    figure_text(&image, 5, 5, 3, red, "WWW");
    figure_point(&image, (PixelPoint){0, 6}, 5, red);
    figure_fill(&image, 7, 5, 100, 100, white);
    cr_expect(is(&image, 8, 6, white) && is(&image, 7, 5, white));
    cr_expect(is(&image, 0, 6, red));
    image_free(&image);
}

Test(figure, mask_is_tinted_inside_and_solid_on_its_outline) {
    Image image = canvas(10, 10);
    uint8_t mask[100] = {0};
    for (int y = 2; y < 10; y++) memset(mask + 10 * y + 3, 1, 5); // columns 3..7, rows 2..9
    figure_mask(&image, mask, (Color){200, 100, 50}, 0.5);
    for (int y = 0; y < 10; y++)
        for (int x = 0; x < 10; x++) {
            bool inside = x >= 3 && x <= 7 && y >= 2;
            bool outline = x == 3 || x == 7 || y == 2; // the border of the image is no outline
            Color expected = {0, 0, 0};
            if (inside) expected = outline ? (Color){200, 100, 50} : (Color){100, 50, 25};
            cr_expect(is(&image, x, y, expected), "%d,%d", x, y);
        }
    image_free(&image);
}

Test(figure, mask_that_fills_the_image_has_no_outline) {
    // Zeros before and after the mask: a look over the border would find an edge.
    uint8_t around[3 * 36] = {0};
    memset(around + 36, 1, 36);
    Image image = canvas(6, 6);
    figure_mask(&image, around + 36, (Color){200, 100, 50}, 0.5);
    cr_expect_eq(count_of(&image, (Color){100, 50, 25}), 36);
    image_free(&image);
}

Test(figure, point_is_a_disc_with_a_rim) {
    Image image = canvas(11, 11);
    figure_fill(&image, 0, 0, 11, 11, white);
    figure_point(&image, (PixelPoint){5, 5}, 2, red);
    cr_expect(is(&image, 5, 5, red) && is(&image, 7, 5, red) && is(&image, 5, 3, red));
    cr_expect(is(&image, 8, 5, (Color){0, 0, 0}) && is(&image, 9, 5, white));
    cr_expect_eq(count_of(&image, red), 13);
    image_free(&image);
}

Test(figure, grid_places_scaled_images_below_their_captions) {
    Image small = canvas(10, 5), large = canvas(80, 80);
    figure_fill(&small, 0, 0, 10, 5, red);
    figure_fill(&large, 0, 0, 80, 80, (Color){0, 0, 255});
    const FigureTile tiles[3] = {{&small, "one\ntwo"}, {&large, NULL}, {NULL, "empty"}};
    Image out;
    cr_assert_eq(figure_grid(tiles, 3, 2, 40, &out), 0, "%s", error_message());
    // Two columns of 40 with margins of 4; rows of 20 + 40 and 10 + 0.
    cr_expect_eq(out.width, 4 + 44 + 44);
    cr_expect_eq(out.height, 4 + 64 + 14);
    cr_expect_eq(count_of(&out, red), 40 * 20);
    cr_expect_eq(count_of(&out, (Color){0, 0, 255}), 40 * 40);
    cr_expect(is(&out, 4, 24, red) && is(&out, 43, 43, red));
    cr_expect(is(&out, 48, 24, (Color){0, 0, 255}) && is(&out, 87, 63, (Color){0, 0, 255}));
    Image caption = canvas(40, 20);
    figure_text(&caption, 0, 0, 1, red, "one");
    figure_text(&caption, 0, FONT_LINE, 1, red, "two");
    for (int y = 0; y < 20; y++)
        for (int x = 0; x < 40; x++)
            cr_expect_eq(is(&out, 4 + x, 4 + y, (Color){0, 0, 0}), is(&caption, x, y, red));
    image_free(&caption);
    image_free(&small);
    image_free(&large);
    image_free(&out);
}

Test(figure, long_captions_end_in_two_dots) {
    const FigureTile tiles[2] = {{NULL, "abcdefghij"}, {NULL, "abcd.."}};
    Image out;
    cr_assert_eq(figure_grid(tiles, 2, 2, 36, &out), 0); // six characters wide
    for (int y = 0; y < out.height; y++)
        for (int x = 0; x < 36; x++)
            cr_expect_eq(memcmp(at(&out, 4 + x, y), at(&out, 44 + x, y), 3), 0);
    image_free(&out);
}

Test(figure, bad_grids_are_refused) {
    Image grey, out;
    cr_assert_eq(image_new(&grey, 4, 4, 1), 0);
    FigureTile tile = {&grey, NULL};
    cr_expect_eq(figure_grid(&tile, 1, 1, 8, &out), -1);
    cr_expect(strstr(error_take(), "1 channels"));
    cr_expect_null(out.pixels);
    tile.image = NULL;
    cr_expect_eq(figure_grid(&tile, 1, 0, 8, &out), -1);
    cr_expect(strstr(error_take(), "0 columns"));
    FigureTile many[70] = {{0}};
    cr_expect_eq(figure_grid(many, 70, 70, 1000, &out), -1);
    cr_expect(strstr(error_take(), "70284 x"));
    image_free(&grey);
}

Test(figure, a_grid_survives_being_written_as_png) {
    char folder[] = "/tmp/p2s-figure-XXXXXX";
    cr_assert(mkdtemp(folder));
    char *path = path_join(folder, "page.png");
    Image picture = canvas(13, 9), out, back;
    for (int i = 0; i < 13 * 9 * 3; i++) picture.pixels[i] = (uint8_t)(i * 7);
    FigureTile tile = {&picture, "IoU 0.5"};
    cr_assert_eq(figure_grid(&tile, 1, 1, 26, &out), 0);
    cr_assert_eq(image_write_png(path, &out), 0, "%s", error_message());
    cr_assert_eq(image_read(path, &back), 0, "%s", error_message());
    cr_assert(back.width == out.width && back.height == out.height);
    cr_expect_eq(memcmp(back.pixels, out.pixels, (size_t)(out.width * out.height * 3)), 0);
    image_free(&picture);
    image_free(&out);
    image_free(&back);
    free(path);
    cr_expect_eq(folder_remove(folder), 0);
}
