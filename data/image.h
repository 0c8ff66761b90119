// SPDX-License-Identifier: MIT
// Pixels in memory, and the containers they come in. All images are [H, W, C], row-major, 8 bit,
// channels in RGB order; label maps are [H, W] in i32.
#ifndef DATA_IMAGE_H
#define DATA_IMAGE_H

#include <stdint.h>

typedef struct {
    int width, height, channels; // channels: 1 grey, 3 RGB, 4 RGBA
    uint8_t *pixels;             // [H, W, C], owned
} Image;

typedef struct {
    int width, height;
    int32_t *ids; // [H, W], owned; what a value means is said by who made the map
} LabelMap;

// No image or map of more pixels is made or read: a file's header alone must not claim gigabytes.
#define IMAGE_MAX_PIXELS (INT64_C(1) << 28)

// A zeroed image or map; NULL pixels and an error when out of memory, when a side is not in
// 1..65535 or when there would be more than IMAGE_MAX_PIXELS. Free with image_free /
// label_map_free, which take zeroed structs too.
int image_new(Image *image, int width, int height, int channels);
int label_map_new(LabelMap *map, int width, int height);
void image_free(Image *image);
void label_map_free(LabelMap *map);

// Reads a JPEG or PNG file (by content, not by name) as 8-bit RGB: grey is replicated, alpha is
// dropped, palettes are expanded, 16 bit keeps the high byte. libjpeg-turbo's defaults (accurate
// integer IDCT, fancy upsampling); EXIF orientation is not applied. A truncated or damaged file is
// an error that names it; so is one beyond the sizes of image_new. CMYK JPEG is not supported.
int image_read(const char *path, Image *image);

// Reads a PNG as raw labels: palette indices without expansion, grey samples of 1, 2, 4, 8 or 16
// bit as they are, never scaled. RGB and RGBA are errors.
int label_png_read(const char *path, LabelMap *map);

// Writes 8-bit PNG (channels 1, 3 or 4); written aside and renamed, so never half a file.
int image_write_png(const char *path, const Image *image);

// Writes a label map as grey PNG, 8 bit when all ids are below 256, else 16 bit. Ids outside
// 0..65535 are an error.
int label_png_write(const char *path, const LabelMap *map);

#endif
