// SPDX-License-Identifier: MIT
// Decoders: the real sample files pixel by pixel, and damage of every kind.
#include "data/image.h"
#include "tests/sample_data.h"

#include <sys/stat.h>
#include <turbojpeg.h>
#include <unistd.h>
#include <zlib.h>

typedef struct {
    char path[256], mode[16], kind[64];
    unsigned crc;
} Row;

// Rows of the manifest whose kind starts with `kind`.
static bool next_row(FILE *manifest, const char *kind, Row *row) {
    char line[1024], crc[32];
    while (fgets(line, sizeof line, manifest)) {
        const int fields = sscanf(line,
                                  "%255[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%15[^\t]\t"
                                  "%31[^\t]\t%63[^\n]",
                                  row->path, row->mode, crc, row->kind);
        if (fields != 4 || strncmp(row->kind, kind, strlen(kind)) != 0) continue;
        row->crc = (unsigned)strtoul(crc, NULL, 16);
        return true;
    }
    return false;
}

static FILE *open_manifest(const Path *root) {
    FILE *manifest = fopen(in_folder(root->text, "MANIFEST.tsv").text, "r");
    cr_assert_not_null(manifest);
    return manifest;
}

// CRC-32 of every `step`-th byte from the first on, or of RGB with an opaque alpha put in.
static unsigned crc_of(const Image *image, const char *mode) {
    const size_t count = (size_t)image->width * (size_t)image->height;
    const int channels = strcmp(mode, "L") == 0 ? 1 : strcmp(mode, "RGBA") == 0 ? 4 : 3;
    uint8_t *bytes = malloc(count * (size_t)channels);
    for (size_t i = 0; i < count; i++)
        for (int c = 0; c < channels; c++)
            bytes[i * (size_t)channels + (size_t)c] =
                c == 3 ? 255 : image->pixels[3 * i + (size_t)c];
    const unsigned crc = (unsigned)crc32(0, bytes, (uInt)(count * (size_t)channels));
    free(bytes);
    return crc;
}

Test(image, every_sample_jpeg_has_the_listed_pixels) {
    SAMPLE_ROOT(root);
    FILE *manifest = open_manifest(&root);
    int count = 0;
    for (Row row; next_row(manifest, "jpeg", &row); count++) {
        Image image;
        cr_assert_eq(image_read(in_folder(root.text, row.path).text, &image), 0, "%s",
                     error_message());
        cr_expect_eq(crc_of(&image, row.mode), row.crc, "%s", row.path);
        image_free(&image);
    }
    fclose(manifest);
    cr_expect_eq(count, 144);
}

Test(image, every_sample_png_has_the_listed_values) {
    SAMPLE_ROOT(root);
    FILE *manifest = open_manifest(&root);
    int labels = 0, colour = 0;
    for (Row row; next_row(manifest, "png", &row);) {
        const Path path = in_folder(root.text, row.path);
        if (strcmp(row.mode, "RGBA") == 0) {
            Image image;
            cr_assert_eq(image_read(path.text, &image), 0, "%s", error_message());
            cr_expect_eq(crc_of(&image, row.mode), row.crc, "%s", row.path);
            image_free(&image);
            colour++;
            continue;
        }
        LabelMap map;
        cr_assert_eq(label_png_read(path.text, &map), 0, "%s", error_message());
        uLong crc = crc32(0, NULL, 0);
        for (int i = 0; i < map.width * map.height; i++) {
            const uint8_t byte = (uint8_t)map.ids[i];
            crc = crc32(crc, &byte, 1);
        }
        cr_expect_eq((unsigned)crc, row.crc, "%s", row.path);
        label_map_free(&map);
        labels++;
    }
    fclose(manifest);
    cr_expect_eq(labels, 68);
    cr_expect_eq(colour, 2);
}

Test(image, a_palette_png_read_as_image_has_the_palette_colours) {
    SAMPLE_ROOT(root);
    const Path path = in_folder(root.text, "VOC2012/SegmentationObject/2007_000063.png");
    Image image;
    LabelMap map;
    cr_assert_eq(image_read(path.text, &image), 0, "%s", error_message());
    cr_assert_eq(label_png_read(path.text, &map), 0, "%s", error_message());
    const uint8_t colours[4][3] = {{0, 0, 0}, {128, 0, 0}, {0, 128, 0}, {224, 224, 192}};
    for (int i = 0; i < map.width * map.height; i++) {
        const int id = map.ids[i];
        cr_assert(id <= 2 || id == 255);
        cr_assert_arr_eq(image.pixels + 3 * i, colours[id == 255 ? 3 : id], 3);
    }
    image_free(&image);
    label_map_free(&map);
}

static Image pattern(int width, int height, int channels) {
    Image image;
    cr_assert_eq(image_new(&image, width, height, channels), 0);
    for (int i = 0; i < width * height * channels; i++)
        image.pixels[i] = (uint8_t)(i * 53 + i / 7 * 31);
    return image;
}

static uint8_t *make_jpeg(int channels, unsigned long *size) {
    Image image = pattern(40, 24, channels);
    tjhandle encoder = tjInitCompress();
    uint8_t *bytes = NULL;
    cr_assert_eq(tjCompress2(encoder, image.pixels, 40, 0, 24, channels == 1 ? TJPF_GRAY : TJPF_RGB,
                             &bytes, size, channels == 1 ? TJSAMP_GRAY : TJSAMP_420, 90, 0),
                 0);
    tjDestroy(encoder);
    image_free(&image);
    return bytes;
}

Test(image, a_grey_jpeg_is_replicated_to_three_channels) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "grey.jpg");
    unsigned long size = 0;
    uint8_t *bytes = make_jpeg(1, &size);
    write_bytes(path.text, bytes, size);
    Image image;
    cr_assert_eq(image_read(path.text, &image), 0, "%s", error_message());
    cr_assert_eq(image.channels, 3);
    for (int i = 0; i < 40 * 24; i++) {
        cr_assert_eq(image.pixels[3 * i], image.pixels[3 * i + 1]);
        cr_assert_eq(image.pixels[3 * i], image.pixels[3 * i + 2]);
    }
    image_free(&image);
    tjFree(bytes);
    folder_remove(folder.text);
}

Test(image, a_jpeg_cut_anywhere_is_an_error_that_names_it) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "cut.jpg");
    unsigned long size = 0;
    uint8_t *bytes = make_jpeg(3, &size);
    for (size_t length = 1; length < size; length++) {
        write_bytes(path.text, bytes, length);
        Image image;
        cr_expect_eq(image_read(path.text, &image), -1, "%zu of %lu bytes", length, size);
        cr_expect_null(image.pixels);
        expect_error("cut.jpg");
    }
    tjFree(bytes);
    folder_remove(folder.text);
}

Test(image, a_jpeg_that_claims_to_be_huge_is_refused_before_allocation) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "huge.jpg");
    unsigned long size = 0;
    uint8_t *bytes = make_jpeg(3, &size);
    size_t at = 2;
    while (bytes[at + 1] != 0xC0) at += 2 + (size_t)(bytes[at + 2] << 8 | bytes[at + 3]);
    memset(bytes + at + 5, 0xEA, 4);
    write_bytes(path.text, bytes, size);
    Image image;
    cr_expect_eq(image_read(path.text, &image), -1);
    expect_error("60138x60138");
    tjFree(bytes);
    folder_remove(folder.text);
}

Test(image, png_round_trips_in_every_channel_count) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "a.png");
    for (int channels = 1; channels <= 4; channels++) {
        if (channels == 2) continue;
        Image image = pattern(13, 9, channels), back;
        cr_assert_eq(image_write_png(path.text, &image), 0, "%s", error_message());
        cr_assert_eq(image_read(path.text, &back), 0, "%s", error_message());
        cr_assert_eq(back.channels, 3);
        for (int i = 0; i < 13 * 9; i++)
            for (int c = 0; c < 3; c++)
                cr_assert_eq(back.pixels[3 * i + c],
                             image.pixels[channels * i + (channels == 1 ? 0 : c)]);
        image_free(&image);
        image_free(&back);
    }
    size_t count = 0;
    char **names = folder_list(folder.text, &count);
    cr_expect_eq(count, 1, "a temporary file was left behind");
    folder_list_free(names, count);
    folder_remove(folder.text);
}

Test(image, labels_round_trip_in_8_and_16_bit) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "a.png");
    for (int largest = 255; largest <= 65535; largest += 65280) {
        LabelMap map, back;
        cr_assert_eq(label_map_new(&map, 11, 5), 0);
        for (int i = 0; i < 55; i++) map.ids[i] = i * largest / 54;
        cr_assert_eq(label_png_write(path.text, &map), 0, "%s", error_message());
        cr_assert_eq(label_png_read(path.text, &back), 0, "%s", error_message());
        cr_expect_arr_eq(back.ids, map.ids, 55 * sizeof *map.ids);
        Image image; // the high byte is kept
        cr_assert_eq(image_read(path.text, &image), 0);
        cr_expect_eq(image.pixels[3 * 27], largest > 255 ? map.ids[27] >> 8 : map.ids[27]);
        image_free(&image);
        label_map_free(&map);
        label_map_free(&back);
    }
    folder_remove(folder.text);
}

Test(image, labels_outside_16_bit_are_not_written) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "a.png");
    LabelMap map;
    cr_assert_eq(label_map_new(&map, 2, 1), 0);
    const int32_t bad[2] = {-1, 65536};
    for (int i = 0; i < 2; i++) {
        map.ids[1] = bad[i];
        cr_expect_eq(label_png_write(path.text, &map), -1);
        expect_error(i ? "65536" : "-1");
        cr_expect_not(file_exists(path.text));
    }
    label_map_free(&map);
    folder_remove(folder.text);
}

static char *make_png(const char *path, size_t *size) {
    Image image = pattern(17, 11, 3);
    cr_assert_eq(image_write_png(path, &image), 0);
    image_free(&image);
    char *bytes = file_read(path, 1 << 20, size);
    cr_assert_not_null(bytes);
    return bytes;
}

Test(image, a_png_cut_anywhere_is_an_error_that_names_it) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "cut.png");
    size_t size;
    char *bytes = make_png(path.text, &size);
    for (size_t length = 1; length < size; length++) {
        write_bytes(path.text, bytes, length);
        Image image;
        cr_expect_eq(image_read(path.text, &image), -1, "%zu of %zu bytes", length, size);
        expect_error("cut.png");
    }
    free(bytes);
    folder_remove(folder.text);
}

Test(image, one_wrong_bit_anywhere_in_a_png_is_an_error) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "bit.png");
    size_t size;
    char *bytes = make_png(path.text, &size);
    for (size_t bit = 0; bit < 8 * size; bit += 3) {
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
        write_bytes(path.text, bytes, size);
        Image image;
        cr_expect_eq(image_read(path.text, &image), -1, "bit %zu", bit);
        image_free(&image);
        expect_error("bit.png");
        bytes[bit / 8] = (char)(bytes[bit / 8] ^ 1 << bit % 8);
    }
    free(bytes);
    folder_remove(folder.text);
}

// Puts a chunk into a PNG under construction.
static size_t put_chunk(uint8_t *to, const char *type, const uint8_t *body, size_t length) {
    const uint8_t head[4] = {0, 0, (uint8_t)(length >> 8), (uint8_t)length};
    memcpy(to, head, 4);
    memcpy(to + 4, type, 4);
    if (length) memcpy(to + 8, body, length);
    const uLong crc = crc32(0, to + 4, (uInt)(4 + length));
    for (int i = 0; i < 4; i++) to[8 + length + (size_t)i] = (uint8_t)(crc >> (24 - 8 * i));
    return 12 + length;
}

// A grey or palette PNG of one row: the body is the filter byte and the packed samples.
static void make_row_png(const char *path, int width, int depth, int type, const uint8_t *row,
                         size_t length) {
    uint8_t file[512], packed[64];
    const uint8_t header[13] = {0, 0, 0, (uint8_t)width, 0, 0, 0, 1, (uint8_t)depth, (uint8_t)type};
    const uint8_t palette[12] = {10, 20, 30, 40, 50, 60, 70, 80, 90, 99, 98, 97};
    uLongf size = sizeof packed;
    cr_assert_eq(compress(packed, &size, row, (uLong)length), Z_OK);
    memcpy(file, "\x89PNG\r\n\x1a\n", 8);
    size_t at = 8;
    at += put_chunk(file + at, "IHDR", header, 13);
    if (type == 3) at += put_chunk(file + at, "PLTE", palette, 12);
    at += put_chunk(file + at, "IDAT", packed, size);
    at += put_chunk(file + at, "IEND", NULL, 0);
    write_bytes(path, file, at);
}

Test(image, label_samples_of_1_2_and_4_bit_are_read_unscaled) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "bits.png");
    const uint8_t row[2] = {0, 0x1B}; // 00011011: 1 bit 0 0 0 1 1 0 1 1, 2 bit 0 1 2 3, 4 bit 1 11
    const int32_t expected[3][8] = {{0, 0, 0, 1, 1, 0, 1, 1}, {0, 1, 2, 3}, {1, 11}};
    for (int i = 0; i < 3; i++) {
        for (int type = 0; type <= 3; type += 3) {
            make_row_png(path.text, 8 >> i, 1 << i, type, row, sizeof row);
            LabelMap map;
            cr_assert_eq(label_png_read(path.text, &map), 0, "%s", error_message());
            cr_assert_eq(map.width, 8 >> i);
            cr_expect_arr_eq(map.ids, expected[i], (size_t)map.width * sizeof *map.ids);
            label_map_free(&map);
        }
    }
    make_row_png(path.text, 4, 2, 0, row, sizeof row);
    Image image; // as an image they are scaled to 0..255
    cr_assert_eq(image_read(path.text, &image), 0);
    const uint8_t grey[4] = {0, 85, 170, 255};
    for (int i = 0; i < 12; i++) cr_expect_eq(image.pixels[i], grey[i / 3]);
    image_free(&image);
    folder_remove(folder.text);
}

Test(image, a_label_in_colour_is_an_error) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "colour.png");
    size_t size;
    free(make_png(path.text, &size));
    LabelMap map;
    cr_expect_eq(label_png_read(path.text, &map), -1);
    cr_expect_null(map.ids);
    expect_error("colour type 2");
    folder_remove(folder.text);
}

Test(image, other_files_are_refused_by_name) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "text.png");
    write_bytes(path.text, "hello", 5);
    Image image;
    LabelMap map;
    cr_expect_eq(image_read(path.text, &image), -1);
    expect_error("text.png");
    cr_expect_eq(label_png_read(path.text, &map), -1);
    expect_error("not a PNG");
    write_bytes(path.text, "", 0);
    cr_expect_eq(image_read(path.text, &image), -1);
    expect_error("text.png");
    cr_expect_eq(image_read(in_folder(folder.text, "none.jpg").text, &image), -1);
    expect_error("none.jpg");
    cr_expect_eq(image_read(folder.text, &image), -1);
    cr_expect_neq(strlen(error_take()), 0);
    folder_remove(folder.text);
}

Test(image, an_image_is_not_written_into_a_missing_folder) {
    const Path folder = scratch_make();
    Image image = pattern(3, 3, 3);
    cr_expect_eq(image_write_png(in_folder(folder.text, "none/a.png").text, &image), -1);
    expect_error("none/a.png");
    image_free(&image);
    folder_remove(folder.text);
}

Test(image, sizes_out_of_range_are_errors) {
    Image image;
    LabelMap map;
    cr_expect_eq(image_new(&image, 0, 5, 3), -1);
    expect_error("0x5");
    cr_expect_eq(image_new(&image, 65536, 5, 3), -1);
    expect_error("65536x5");
    cr_expect_eq(image_new(&image, 5, 5, 2), -1);
    expect_error("2 channels");
    cr_expect_eq(label_map_new(&map, 65535, 65535), -1);
    expect_error("pixels");
    image_free(&image);
    label_map_free(&map);
}
