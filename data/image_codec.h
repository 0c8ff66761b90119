// SPDX-License-Identifier: MIT
// What image.c asks of the two decoders. Each takes a whole file in memory and the path only for
// messages; image or map is zeroed by the caller and on failure freed by the caller.
#ifndef DATA_IMAGE_CODEC_H
#define DATA_IMAGE_CODEC_H

#include "data/image.h"

#include <stdbool.h>
#include <stddef.h>

// Larger files are refused before they are read.
#define IMAGE_MAX_FILE ((size_t)1 << 30)

bool is_jpeg(const uint8_t *bytes, size_t size);
bool is_png(const uint8_t *bytes, size_t size);

int jpeg_decode(const char *path, const uint8_t *bytes, size_t size, Image *image);
int png_decode(const char *path, const uint8_t *bytes, size_t size, Image *image);

#endif
