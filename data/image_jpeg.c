// SPDX-License-Identifier: MIT
// JPEG through libjpeg-turbo with its defaults, which give the same pixels as Pillow. Every warning
// of the library is an error here: it decodes a truncated file to the end in grey and only warns.
#include "data/image_codec.h"

#include "base/error.h"

#include <turbojpeg.h>

bool is_jpeg(const uint8_t *bytes, size_t size) {
    return size >= 3 && bytes[0] == 0xFF && bytes[1] == 0xD8 && bytes[2] == 0xFF;
}

static int decode(tjhandle decoder, const char *path, const uint8_t *bytes, size_t size,
                  Image *image) {
    int width = 0, height = 0, subsampling, colourspace = -1;
    if (tjDecompressHeader3(decoder, bytes, size, &width, &height, &subsampling, &colourspace))
        return error_int("%s: damaged JPEG header: %s", path, tjGetErrorStr2(decoder));
    if (colourspace == TJCS_CMYK || colourspace == TJCS_YCCK)
        return error_int("%s: CMYK JPEG, expected grey or colour", path);
    if (image_new(image, width, height, 3)) return error_context("%s", path);
    const int flags = TJFLAG_STOPONWARNING | TJFLAG_LIMITSCANS;
    if (tjDecompress2(decoder, bytes, size, image->pixels, width, 3 * width, height, TJPF_RGB,
                      flags))
        return error_int("%s: truncated or damaged JPEG: %s", path, tjGetErrorStr2(decoder));
    return 0;
}

int jpeg_decode(const char *path, const uint8_t *bytes, size_t size, Image *image) {
    tjhandle decoder = tjInitDecompress();
    if (!decoder) return error_int("%s: cannot start the JPEG decoder", path);
    int status = decode(decoder, path, bytes, size, image);
    tjDestroy(decoder);
    return status;
}
