// SPDX-License-Identifier: MIT
// Memory of images and label maps, and the choice of the decoder by a file's first bytes.
#include "data/image.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/image_codec.h"

#include <stdlib.h>

enum { MAX_SIDE = 65535 };

static int check_size(int width, int height) {
    if (width < 1 || width > MAX_SIDE || height < 1 || height > MAX_SIDE)
        return error_int("image of %dx%d (width x height): sides must be 1 to %d", width, height,
                         MAX_SIDE);
    if ((int64_t)width * height > IMAGE_MAX_PIXELS)
        return error_int("image of %dx%d has more than %lld pixels", width, height,
                         (long long)IMAGE_MAX_PIXELS);
    return 0;
}

int image_new(Image *image, int width, int height, int channels) {
    *image = (Image){0};
    if (channels != 1 && channels != 3 && channels != 4)
        return error_int("image of %d channels: expected 1, 3 or 4", channels);
    if (check_size(width, height)) return -1;
    image->pixels = array_new((size_t)width * (size_t)height, (size_t)channels);
    if (!image->pixels) return -1;
    image->width = width;
    image->height = height;
    image->channels = channels;
    return 0;
}

int label_map_new(LabelMap *map, int width, int height) {
    *map = (LabelMap){0};
    if (check_size(width, height)) return -1;
    map->ids = array_new((size_t)width * (size_t)height, sizeof *map->ids);
    if (!map->ids) return -1;
    map->width = width;
    map->height = height;
    return 0;
}

void image_free(Image *image) {
    if (!image) return;
    free(image->pixels);
    *image = (Image){0};
}

void label_map_free(LabelMap *map) {
    if (!map) return;
    free(map->ids);
    *map = (LabelMap){0};
}

int image_read(const char *path, Image *image) {
    *image = (Image){0};
    size_t size;
    uint8_t *bytes = (uint8_t *)file_read(path, IMAGE_MAX_FILE, &size);
    if (!bytes) return -1;
    int status;
    if (is_jpeg(bytes, size))
        status = jpeg_decode(path, bytes, size, image);
    else if (is_png(bytes, size))
        status = png_decode(path, bytes, size, image);
    else
        status = error_int("%s: neither a JPEG nor a PNG file by its first bytes", path);
    free(bytes);
    if (status) image_free(image);
    return status;
}
