// SPDX-License-Identifier: MIT
// Which of several algorithms runs a pass of a convolution. The choice decides the last bits of a
// result, so it is never made by timing during a run: it follows from the shape by a rule that was
// measured once, or stands in a table that `p2s bench tune` has written (P2S_CHOICES=FILE).
#ifndef CPU_CONV_WAY_H
#define CPU_CONV_WAY_H

#include "cpu/onednn.h"

// A pass of a convolution; `upsampled`: x is stored at half the sides of the shape.
typedef struct {
    ConvPass pass;
    ConvShape shape;
    bool upsampled;
} ConvCase;

// clang-format off
typedef enum {
    WAY_REFERENCE, // the definition (conv2d.c)
    WAY_PRODUCT,   // 1 x 1: one product over pixels
    WAY_PATCHES,   // one product with patches of x (fast_patches.h)
    WAY_WINOGRAD,  // fast_winograd.h
    WAY_LIBRARY,   // oneDNN's direct convolution
    WAY_COUNT
} ConvWay;
// clang-format on

const char *conv_way_name(ConvWay way);

// Whether a way can run a pass; `upsampled`: x is stored at half the sides of the shape, which
// patches and the library see as a copy of its full size.
bool conv_way_can(ConvWay way, ConvPass pass, const ConvShape *shape, bool upsampled);

// The way that is taken, which can run.
ConvWay conv_way(ConvPass pass, const ConvShape *shape, bool upsampled);

// For measurements and tests, not while kernels run. watch: `see` is told of every pass
// from now on (NULL: nobody). force: every pass that can takes this way (WAY_COUNT: its own).
void conv_way_watch(void (*see)(const ConvCase *key, void *context), void *context);
void conv_way_force(ConvWay way);

#endif
