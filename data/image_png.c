// SPDX-License-Identifier: MIT
// PNG through libpng. The library leaves by longjmp, so everything that must survive a jump lives
// in one struct that outlives the call of setjmp, and no function that calls setjmp keeps changing
// locals. A wrong checksum in any chunk is an error; libpng's other warnings are not.
#include "data/image_codec.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"

#include <errno.h>
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    png_structp png;
    png_infop info;
    const uint8_t *bytes; // the file being read
    size_t size, offset;
    FILE *file; // the file being written
    uint8_t **rows;
    uint8_t *samples; // raw rows of a label file
    char message[160];
} Codec;

bool is_png(const uint8_t *bytes, size_t size) {
    return size >= 8 && png_sig_cmp(bytes, 0, 8) == 0;
}

static void on_error(png_structp png, png_const_charp text) {
    Codec *codec = png_get_error_ptr(png);
    snprintf(codec->message, sizeof codec->message, "%s", text);
    png_longjmp(png, 1);
}

static void on_warning(png_structp png, png_const_charp text) {
    (void)png;
    (void)text;
}

static void on_read(png_structp png, png_bytep to, size_t count) {
    Codec *codec = png_get_io_ptr(png);
    if (count > codec->size - codec->offset) png_error(png, "the file ends too early");
    memcpy(to, codec->bytes + codec->offset, count);
    codec->offset += count;
}

static void on_write(png_structp png, png_bytep from, size_t count) {
    Codec *codec = png_get_io_ptr(png);
    if (fwrite(from, 1, count, codec->file) != count) png_error(png, strerror(errno));
}

static void on_flush(png_structp png) {
    (void)png;
}

static int start_reading(Codec *codec, const char *path) {
    codec->png = png_create_read_struct(PNG_LIBPNG_VER_STRING, codec, on_error, on_warning);
    codec->info = codec->png ? png_create_info_struct(codec->png) : NULL;
    if (!codec->info) return error_int("%s: out of memory for the PNG decoder", path);
    png_set_read_fn(codec->png, codec, on_read);
    png_set_crc_action(codec->png, PNG_CRC_ERROR_QUIT, PNG_CRC_ERROR_QUIT);
    png_set_user_limits(codec->png, 65535, 65535);
    return 0;
}

static void codec_done(Codec *codec, bool reading) {
    if (reading)
        png_destroy_read_struct(&codec->png, &codec->info, NULL);
    else
        png_destroy_write_struct(&codec->png, &codec->info);
    free(codec->rows);
    free(codec->samples);
}

// Points rows[i] at row i of a buffer; leaves by png_error when out of memory.
static void set_rows(Codec *codec, uint8_t *buffer, int height, size_t stride) {
    codec->rows = array_new((size_t)height, sizeof *codec->rows);
    if (!codec->rows) png_error(codec->png, "out of memory");
    for (int y = 0; y < height; y++) codec->rows[y] = buffer + (size_t)y * stride;
}

static int read_rgb(Codec *codec, const char *path, Image *image) {
    if (setjmp(png_jmpbuf(codec->png)))
        return error_int("%s: truncated or damaged PNG: %s", path, codec->message);
    png_read_info(codec->png, codec->info);
    png_set_strip_16(codec->png);
    png_set_expand(codec->png);
    png_set_gray_to_rgb(codec->png);
    png_set_strip_alpha(codec->png);
    png_set_interlace_handling(codec->png);
    png_read_update_info(codec->png, codec->info);
    const int width = (int)png_get_image_width(codec->png, codec->info);
    const int height = (int)png_get_image_height(codec->png, codec->info);
    if (image_new(image, width, height, 3)) return error_context("%s", path);
    if (png_get_rowbytes(codec->png, codec->info) != (size_t)width * 3)
        png_error(codec->png, "rows are not 8-bit RGB after conversion");
    set_rows(codec, image->pixels, height, (size_t)width * 3);
    png_read_image(codec->png, codec->rows);
    png_read_end(codec->png, NULL);
    return 0;
}

int png_decode(const char *path, const uint8_t *bytes, size_t size, Image *image) {
    Codec codec = {.bytes = bytes, .size = size};
    int status = start_reading(&codec, path);
    if (status == 0) status = read_rgb(&codec, path, image);
    codec_done(&codec, true);
    return status;
}

static void labels_from_rows(const Codec *codec, LabelMap *map, bool wide) {
    for (int y = 0; y < map->height; y++) {
        int32_t *ids = map->ids + (size_t)y * (size_t)map->width;
        const uint8_t *row = codec->rows[y];
        for (int x = 0; x < map->width; x++)
            ids[x] = wide ? row[2 * x] << 8 | row[2 * x + 1] : row[x];
    }
}

static int read_labels(Codec *codec, const char *path, LabelMap *map) {
    if (setjmp(png_jmpbuf(codec->png)))
        return error_int("%s: truncated or damaged PNG: %s", path, codec->message);
    png_read_info(codec->png, codec->info);
    const int type = png_get_color_type(codec->png, codec->info);
    if (type != PNG_COLOR_TYPE_GRAY && type != PNG_COLOR_TYPE_PALETTE)
        return error_int("%s: label PNG of colour type %d, expected 0 (grey) or 3 (palette)", path,
                         type);
    const bool wide = png_get_bit_depth(codec->png, codec->info) == 16;
    png_set_packing(codec->png);
    png_set_interlace_handling(codec->png);
    png_read_update_info(codec->png, codec->info);
    const int width = (int)png_get_image_width(codec->png, codec->info);
    const int height = (int)png_get_image_height(codec->png, codec->info);
    if (label_map_new(map, width, height)) return error_context("%s", path);
    const size_t stride = (size_t)width * (wide ? 2 : 1);
    if (png_get_rowbytes(codec->png, codec->info) != stride)
        png_error(codec->png, "rows are not 8 or 16 bit after unpacking");
    codec->samples = array_new((size_t)height, stride);
    if (!codec->samples) png_error(codec->png, "out of memory");
    set_rows(codec, codec->samples, height, stride);
    png_read_image(codec->png, codec->rows);
    png_read_end(codec->png, NULL);
    labels_from_rows(codec, map, wide);
    return 0;
}

int label_png_read(const char *path, LabelMap *map) {
    *map = (LabelMap){0};
    size_t size;
    uint8_t *bytes = (uint8_t *)file_read(path, IMAGE_MAX_FILE, &size);
    if (!bytes) return -1;
    Codec codec = {.bytes = bytes, .size = size};
    int status = is_png(bytes, size) ? 0 : error_int("%s: not a PNG file", path);
    if (status == 0) status = start_reading(&codec, path);
    if (status == 0) status = read_labels(&codec, path, map);
    codec_done(&codec, true);
    free(bytes);
    if (status) label_map_free(map);
    return status;
}

typedef struct {
    int width, height, depth, type;
    uint8_t *pixels;
    size_t stride;
} PngRows;

static int write_rows(Codec *codec, const char *path, const PngRows *rows) {
    codec->png = png_create_write_struct(PNG_LIBPNG_VER_STRING, codec, on_error, on_warning);
    codec->info = codec->png ? png_create_info_struct(codec->png) : NULL;
    if (!codec->info) return error_int("%s: out of memory for the PNG encoder", path);
    if (setjmp(png_jmpbuf(codec->png)))
        return error_int("%s: cannot write PNG: %s", path, codec->message);
    png_set_write_fn(codec->png, codec, on_write, on_flush);
    png_set_IHDR(codec->png, codec->info, (png_uint_32)rows->width, (png_uint_32)rows->height,
                 rows->depth, rows->type, PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT,
                 PNG_FILTER_TYPE_DEFAULT);
    png_write_info(codec->png, codec->info);
    set_rows(codec, rows->pixels, rows->height, rows->stride);
    png_write_image(codec->png, codec->rows);
    png_write_end(codec->png, NULL);
    return 0;
}

static int write_file(const char *path, const PngRows *rows) {
    FileWrite *file = file_write_begin(path);
    if (!file) return -1;
    Codec codec = {.file = file->stream};
    int status = write_rows(&codec, path, rows);
    codec_done(&codec, false);
    if (status == 0) return file_write_commit(file);
    file_write_abandon(file);
    return -1;
}

int image_write_png(const char *path, const Image *image) {
    const int channels = image->channels;
    if (!image->pixels || (channels != 1 && channels != 3 && channels != 4))
        return error_int("%s: cannot write an image of %d channels, expected 1, 3 or 4", path,
                         channels);
    const int type = channels == 1   ? PNG_COLOR_TYPE_GRAY
                     : channels == 3 ? PNG_COLOR_TYPE_RGB
                                     : PNG_COLOR_TYPE_RGBA;
    return write_file(path, &(PngRows){image->width, image->height, 8, type, image->pixels,
                                       (size_t)image->width * (size_t)channels});
}

int label_png_write(const char *path, const LabelMap *map) {
    const size_t count = (size_t)map->width * (size_t)map->height;
    int32_t largest = 0;
    for (size_t i = 0; i < count; i++) {
        if (map->ids[i] < 0 || map->ids[i] > 65535)
            return error_int("%s: label id %d at pixel %zu is not in 0..65535", path,
                             (int)map->ids[i], i);
        if (map->ids[i] > largest) largest = map->ids[i];
    }
    const bool wide = largest > 255;
    const size_t bytes = wide ? 2 : 1;
    uint8_t *samples = array_new(count, bytes);
    if (!samples) return error_context("%s", path);
    for (size_t i = 0; i < count; i++) {
        if (wide) samples[2 * i] = (uint8_t)(map->ids[i] >> 8);
        samples[bytes * i + bytes - 1] = (uint8_t)(map->ids[i] & 255);
    }
    int status =
        write_file(path, &(PngRows){map->width, map->height, wide ? 16 : 8, PNG_COLOR_TYPE_GRAY,
                                    samples, (size_t)map->width * bytes});
    free(samples);
    return status;
}
