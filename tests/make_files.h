// SPDX-License-Identifier: MIT
// Files in the containers of the original data sets, for tests that make small trees of them.
#ifndef TESTS_MAKE_FILES_H
#define TESTS_MAKE_FILES_H

#include "data/image.h"
#include "tests/sample_data.h"

#include <png.h>
#include <turbojpeg.h>

// The folders above a file of the tree, then its path.
static inline Path make_place(const char *root, const char *name) {
    const Path path = in_folder(root, name);
    char *folder = path_folder(path.text);
    cr_assert_eq(folder_make(folder), 0, "%s", error_message());
    free(folder);
    return path;
}

// A JPEG of one grey value.
static inline void make_jpeg(const char *path, int width, int height, int value) {
    const size_t count = 3 * (size_t)width * (size_t)height;
    uint8_t *pixels = malloc(count), *bytes = NULL;
    cr_assert_not_null(pixels);
    memset(pixels, value, count);
    unsigned long size = 0;
    tjhandle encoder = tjInitCompress();
    cr_assert_eq(
        tjCompress2(encoder, pixels, width, 0, height, TJPF_RGB, &bytes, &size, TJSAMP_444, 90, 0),
        0);
    tjDestroy(encoder);
    write_bytes(path, bytes, size);
    tjFree(bytes);
    free(pixels);
}

// A label PNG in grey, 8 or 16 bit as the values need.
static inline void make_labels(const char *path, int width, int height, const int32_t *values) {
    LabelMap map;
    cr_assert_eq(label_map_new(&map, width, height), 0);
    memcpy(map.ids, values, (size_t)width * (size_t)height * sizeof *values);
    cr_assert_eq(label_png_write(path, &map), 0, "%s", error_message());
    label_map_free(&map);
}

// An 8-bit palette PNG of these indices, whose colours say nothing about them.
static inline void make_palette_png(const char *path, int width, int height,
                                    const int32_t *indices) {
    png_color palette[256];
    for (int i = 0; i < 256; i++)
        palette[i] = (png_color){(png_byte)(i * 7), (png_byte)(i * 31), (png_byte)(i * 101)};
    FILE *file = fopen(path, "wb");
    cr_assert_not_null(file);
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    png_init_io(png, file);
    png_set_IHDR(png, info, (png_uint_32)width, (png_uint_32)height, 8, PNG_COLOR_TYPE_PALETTE,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_set_PLTE(png, info, palette, 256);
    png_write_info(png, info);
    png_byte *row = malloc((size_t)width);
    cr_assert_not_null(row);
    for (int y = 0; y < height; y++) {
        for (int x = 0; x < width; x++) row[x] = (png_byte)indices[y * width + x];
        png_write_row(png, row);
    }
    free(row);
    png_write_end(png, NULL);
    png_destroy_write_struct(&png, &info);
    fclose(file);
}

#endif
