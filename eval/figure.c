// SPDX-License-Identifier: MIT
// Drawing and tiling. See figure.h.
#include "eval/figure.h"

#include "base/error.h"
#include "data/resample.h"
#include "eval/font.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

enum { MARGIN = 4 };

static const Color white = {255, 255, 255}, black = {0, 0, 0};

static uint8_t *pixel_at(const Image *image, int x, int y) {
    return image->pixels + 3 * ((size_t)y * (size_t)image->width + (size_t)x);
}

static void set_pixel(Image *image, int x, int y, Color color) {
    if (x < 0 || y < 0 || x >= image->width || y >= image->height) return;
    uint8_t *pixel = pixel_at(image, x, y);
    pixel[0] = color.r;
    pixel[1] = color.g;
    pixel[2] = color.b;
}

void figure_fill(Image *image, int x, int y, int width, int height, Color color) {
    for (int v = y; v < y + height; v++)
        for (int u = x; u < x + width; u++) set_pixel(image, u, v, color);
}

void figure_text(Image *image, int x, int y, int scale, Color color, const char *text) {
    for (; *text; text++, x += FONT_ADVANCE * scale) {
        const uint8_t *rows = font_glyph(*text);
        for (int v = 0; v < FONT_HEIGHT; v++)
            for (int u = 0; u < FONT_WIDTH; u++)
                if (rows[v] >> (FONT_WIDTH - 1 - u) & 1)
                    figure_fill(image, x + u * scale, y + v * scale, scale, scale, color);
    }
}

static bool on_outline(const uint8_t *mask, int width, int height, int x, int y) {
    const uint8_t *at = mask + (size_t)y * (size_t)width + (size_t)x;
    return (x > 0 && !at[-1]) || (x + 1 < width && !at[1]) || (y > 0 && !at[-(ptrdiff_t)width]) ||
           (y + 1 < height && !at[width]);
}

static uint8_t mix(uint8_t below, uint8_t above, double opacity) {
    return (uint8_t)(below + opacity * (above - below) + 0.5);
}

void figure_mask(Image *image, const uint8_t *mask, Color color, double opacity) {
    for (int y = 0; y < image->height; y++)
        for (int x = 0; x < image->width; x++) {
            if (!mask[(size_t)y * (size_t)image->width + (size_t)x]) continue;
            bool outline = on_outline(mask, image->width, image->height, x, y);
            uint8_t *pixel = pixel_at(image, x, y);
            pixel[0] = mix(pixel[0], color.r, outline ? 1 : opacity);
            pixel[1] = mix(pixel[1], color.g, outline ? 1 : opacity);
            pixel[2] = mix(pixel[2], color.b, outline ? 1 : opacity);
        }
}

void figure_point(Image *image, PixelPoint point, int radius, Color color) {
    const int rim = radius + 1;
    for (int dy = -rim; dy <= rim; dy++)
        for (int dx = -rim; dx <= rim; dx++) {
            int squared = dx * dx + dy * dy;
            if (squared > rim * rim) continue;
            set_pixel(image, point.x + dx, point.y + dy,
                      squared <= radius * radius ? color : black);
        }
}

// The size of an image scaled into a square.
static void fitted(const Image *image, int side, int *width, int *height) {
    const int longer = image->width > image->height ? image->width : image->height;
    *width = (int)((int64_t)image->width * side / longer);
    *height = (int)((int64_t)image->height * side / longer);
    if (*width < 1) *width = 1;
    if (*height < 1) *height = 1;
}

static int caption_height(const char *caption) {
    int lines = caption ? 1 : 0;
    for (; caption && *caption; caption++) lines += *caption == '\n';
    return lines * FONT_LINE;
}

static void draw_caption(Image *out, int x, int y, int side, const char *caption) {
    char line[256];
    size_t room = (size_t)(side / FONT_ADVANCE);
    if (room >= sizeof line) room = sizeof line - 1;
    while (caption && *caption) {
        size_t length = strcspn(caption, "\n"), kept = length < room ? length : room;
        memcpy(line, caption, kept);
        if (kept < length && kept >= 2) memcpy(line + kept - 2, "..", 2);
        line[kept] = '\0';
        figure_text(out, x, y, 1, black, line);
        caption += length + (caption[length] == '\n');
        y += FONT_LINE;
    }
}

static int draw_scaled(Image *out, int x, int y, int side, const Image *image) {
    int width, height;
    fitted(image, side, &width, &height);
    Image scaled;
    Resample filter = width > image->width ? RESAMPLE_NEAREST : RESAMPLE_BILINEAR;
    if (image_resize(image, width, height, filter, &scaled)) return -1;
    for (int v = 0; v < height; v++)
        memcpy(pixel_at(out, x, y + v), pixel_at(&scaled, 0, v), (size_t)width * 3);
    image_free(&scaled);
    return 0;
}

typedef struct {
    int caption, picture; // heights in pixels
} RowSize;

static RowSize row_size(const FigureTile *tiles, int count, int side) {
    RowSize size = {0, 0};
    for (int i = 0; i < count; i++) {
        int width, height = 0, caption = caption_height(tiles[i].caption);
        if (tiles[i].image) fitted(tiles[i].image, side, &width, &height);
        if (height > size.picture) size.picture = height;
        if (caption > size.caption) size.caption = caption;
    }
    return size;
}

static int check_tiles(const FigureTile *tiles, int count, int columns, int side) {
    if (count < 1 || columns < 1 || side < 1 || columns > 65535 || side > 65535)
        return error_int("figure: %d tiles in %d columns of %d pixels", count, columns, side);
    for (int i = 0; i < count; i++)
        if (tiles[i].image && tiles[i].image->channels != 3)
            return error_int("figure: tile %d has %d channels, expected 3", i + 1,
                             tiles[i].image->channels);
    return 0;
}

static int in_row(int count, int columns, int first) {
    return count - first < columns ? count - first : columns;
}

static int draw_row(Image *out, int y, const FigureTile *tiles, int count, int side, RowSize size) {
    for (int i = 0; i < count; i++) {
        int x = MARGIN + i * (side + MARGIN);
        draw_caption(out, x, y, side, tiles[i].caption);
        if (tiles[i].image && draw_scaled(out, x, y + size.caption, side, tiles[i].image))
            return -1;
    }
    return 0;
}

int figure_grid(const FigureTile *tiles, int count, int columns, int side, Image *out) {
    *out = (Image){0};
    if (check_tiles(tiles, count, columns, side)) return -1;
    int64_t width = MARGIN + (int64_t)in_row(count, columns, 0) * (side + MARGIN), height = MARGIN;
    for (int i = 0; i < count; i += columns) {
        RowSize size = row_size(tiles + i, in_row(count, columns, i), side);
        height += size.caption + size.picture + MARGIN;
    }
    if (width > 65535 || height > 65535)
        return error_int("figure: %lld x %lld pixels, at most 65535 a side", (long long)width,
                         (long long)height);
    if (image_new(out, (int)width, (int)height, 3)) return -1;
    figure_fill(out, 0, 0, out->width, out->height, white);
    int y = MARGIN, result = 0;
    for (int i = 0; i < count && result == 0; i += columns) {
        RowSize size = row_size(tiles + i, in_row(count, columns, i), side);
        result = draw_row(out, y, tiles + i, in_row(count, columns, i), side, size);
        y += size.caption + size.picture + MARGIN;
    }
    if (result) {
        image_free(out);
        *out = (Image){0};
    }
    return result;
}
