// SPDX-License-Identifier: MIT
// The ways of convolution: what they can do, and which is taken. See conv_way.h.
#include "cpu/conv_way.h"

#include "cpu/conv_table.h"
#include "cpu/fast.h"

static ConvWay forced = WAY_COUNT;
static void (*watcher)(const ConvCase *key, void *context);
static void *watcher_context;

const char *conv_way_name(ConvWay way) {
    static const char *const names[WAY_COUNT] = {"reference", "product", "patches", "winograd",
                                                 "library"};
    return names[way];
}

void conv_way_watch(void (*see)(const ConvCase *key, void *context), void *context) {
    watcher = see;
    watcher_context = context;
}

void conv_way_force(ConvWay way) {
    forced = way;
}

// ---- what each can ------------------------------------------------------------------------------

static bool is_padded_by(const ConvShape *s, int64_t padding) {
    return s->top == padding && s->left == padding && s->bottom == padding && s->right == padding;
}

static bool product_can(const ConvShape *s, bool upsampled) {
    return s->kh == 1 && s->kw == 1 && s->stride == 1 && !upsampled && is_padded_by(s, 0) &&
           onednn_exists();
}

// Channels must fill registers of 16 floats, and its table of zeros be long enough.
static bool winograd_can(const ConvShape *s) {
    return s->kh == 3 && s->kw == 3 && s->stride == 1 && is_padded_by(s, 1) && s->Ci % 16 == 0 &&
           s->Co % 16 == 0 && s->Ci > 0 && s->Co > 0 && s->Ci <= 4096 && s->Co <= 4096;
}

bool conv_way_can(ConvWay way, ConvPass pass, const ConvShape *s, bool upsampled) {
    switch (way) {
    case WAY_REFERENCE:
        return true;
    case WAY_PRODUCT:
        return product_can(s, upsampled);
    case WAY_PATCHES:
        return onednn_exists();
    case WAY_WINOGRAD:
        return winograd_can(s);
    case WAY_LIBRARY:
        return onednn_has_conv(pass, s);
    default:
        return false;
    }
}

// ---- the rule -----------------------------------------------------------------------------------

// Measured on an AVX-512 processor, one thread, GFLOP/s of the plain algorithm, forward / input
// gradient / weight gradient (docs/speed.md has the table):
//
//                        patches        winograd       library
//     1280 @ 15x20       191 184 215    151 160 318    177 142 141
//      640 @  8x12       167 217 214     80  76 125    113 115 122
//      512 @ 16x24       191 203 220    216 273 318    198 167 186
//      320 @ 60x80                      611 612 576    233 155 125
//       16 @ 64x64 x8     66  19  74    325 327 294    192 155 227
enum { PATCHES_MOST_ROWS = 320, WEIGHTS_PER_ROW = 4096 };

// Large weights on few pixels: the other ways read and write more weights than they save work.
static bool prefers_patches(const ConvShape *s) {
    int64_t rows = s->N * s->Ho * s->Wo;
    return rows <= PATCHES_MOST_ROWS &&
           s->kh * s->kw * s->Ci * s->Co >= (int64_t)WEIGHTS_PER_ROW * rows;
}

// The library has the widest registers of the processor even where our kernels must not.
static bool prefers_winograd(const ConvShape *s) {
    return winograd_can(s) && (fast_kernels()->lanes > 4 || !onednn_exists());
}

ConvWay conv_way(ConvPass pass, const ConvShape *s, bool upsampled) {
    const ConvCase key = {.pass = pass, .shape = *s, .upsampled = upsampled};
    if (watcher) watcher(&key, watcher_context);
    if (forced != WAY_COUNT && conv_way_can(forced, pass, s, upsampled)) return forced;
    ConvWay chosen = conv_table_find(&key);
    if (chosen != WAY_COUNT) return chosen;
    if (product_can(s, upsampled)) return WAY_PRODUCT;
    if (prefers_patches(s) && onednn_exists()) return WAY_PATCHES;
    if (prefers_winograd(s)) return WAY_WINOGRAD;
    return onednn_has_conv(pass, s) ? WAY_LIBRARY : WAY_REFERENCE;
}
