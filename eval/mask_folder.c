// SPDX-License-Identifier: MIT
// Reading and writing masks of other systems and for them. See mask_folder.h.
#include "eval/mask_folder.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "data/image.h"

#include <stdlib.h>
#include <string.h>

// The mask's file where it is looked for. Owned by the caller.
static char *path_of(const char *folder, const char *set, const char *image, int64_t id) {
    char *of_set = path_join(folder, set);
    if (!of_set) return NULL;
    char *path = text_format("%s/%s/%lld.png", folder_exists(of_set) ? of_set : folder, image,
                             (long long)id);
    free(of_set);
    return path;
}

static int copy_mask(const char *path, const Image *file, int width, int height, uint8_t *mask) {
    if (file->width != width || file->height != height)
        return error_int("%s is %dx%d (width x height), expected %dx%d", path, file->width,
                         file->height, width, height);
    for (size_t i = 0; i < (size_t)width * (size_t)height; i++) {
        const uint8_t *pixel = file->pixels + 3 * i;
        mask[i] = pixel[0] || pixel[1] || pixel[2];
    }
    return 1;
}

int mask_folder_read(const char *folder, const char *set, const char *image, int64_t id, int width,
                     int height, uint8_t *mask) {
    char *path = path_of(folder, set, image, id);
    if (!path) return -1;
    int result = 0;
    if (file_exists(path)) {
        Image file = {0};
        result = image_read(path, &file);
        if (result == 0) result = copy_mask(path, &file, width, height, mask);
        image_free(&file);
    } else {
        memset(mask, 0, (size_t)width * (size_t)height);
    }
    free(path);
    return result;
}

int mask_write(const char *path, int width, int height, const uint8_t *mask) {
    Image file = {0};
    if (image_new(&file, width, height, 1) != 0) return -1;
    for (size_t i = 0; i < (size_t)width * (size_t)height; i++) file.pixels[i] = mask[i] ? 255 : 0;
    const int result = image_write_png(path, &file);
    image_free(&file);
    return result;
}

int mask_folder_write(const char *folder, const char *set, const char *image, int64_t id, int width,
                      int height, const uint8_t *mask) {
    char *path = text_format("%s/%s/%s/%lld.png", folder, set, image, (long long)id);
    char *parent = path ? path_folder(path) : NULL;
    int result = parent && folder_make(parent) == 0 ? mask_write(path, width, height, mask) : -1;
    free(parent);
    free(path);
    return result;
}
