// SPDX-License-Identifier: MIT
// Resampling. The 8-bit filters give the pixels of Pillow's Image.resize, bit for bit; the float
// one those of a tensor library's antialiased bilinear interpolation (align_corners false).
#ifndef DATA_RESAMPLE_H
#define DATA_RESAMPLE_H

#include "data/image.h"

typedef enum { RESAMPLE_NEAREST, RESAMPLE_BILINEAR, RESAMPLE_BICUBIC, RESAMPLE_LANCZOS } Resample;

// Makes *out, the caller frees it. Horizontal pass first, 8-bit intermediate, antialiased when
// shrinking. NEAREST takes any channels, the others 1 or 3 (Pillow treats alpha differently).
// Source: method.md 2.10. Equal to Pillow 10.2; newer ones do tall images vertically first.
int image_resize(const Image *in, int width, int height, Resample filter, Image *out);

// NEAREST. Makes *out, the caller frees it.
int label_map_resize(const LabelMap *in, int width, int height, LabelMap *out);

// NEAREST on bytes, in [in_height, in_width]. Returns [height, width], owned by the caller.
uint8_t *mask_resize(const uint8_t *in, int in_width, int in_height, int width, int height);

// Source index of every output index under NEAREST; indices [out]. Pillow steps by a running sum
// in double, which differs from floor((i + 0.5) * in / out) at some sizes (768 -> 480 at 28).
void resample_nearest_indices(int in, int out, int *indices);

// Antialiased bilinear in float: in [in_height, in_width, channels], out [height, width, channels],
// both the caller's. Windows and weights are computed in float32. Source: method.md 3.1 step 2.
int resize_bilinear_float(const float *in, int in_width, int in_height, int channels, int width,
                          int height, float *out);

#endif
