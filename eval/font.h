// SPDX-License-Identifier: MIT
// A small bitmap font for captions.
#ifndef EVAL_FONT_H
#define EVAL_FONT_H

#include <stdint.h>

enum { FONT_WIDTH = 5, FONT_HEIGHT = 7, FONT_ADVANCE = 6, FONT_LINE = 10 };

// FONT_HEIGHT rows from the top, bit FONT_WIDTH - 1 the leftmost pixel. Characters that are not
// printable ASCII look like '?'.
const uint8_t *font_glyph(char character);

#endif
