// SPDX-License-Identifier: MIT
// Masks as files, so that any other system can be scored: FOLDER/IMAGE/ID.png, or, when FOLDER/SET
// exists, FOLDER/SET/IMAGE/ID.png. 8-bit, non-zero = inside; ID is the data set's own id.
#ifndef EVAL_MASK_FOLDER_H
#define EVAL_MASK_FOLDER_H

#include <stdint.h>

// Reads a mask [H,W], 0/1. Returns 1; 0 and an empty mask when there is no such file; -1 and an
// error when it is damaged or of another size.
int mask_folder_read(const char *folder, const char *set, const char *image, int64_t id, int width,
                     int height, uint8_t *mask);

// Writes a mask [H,W] (non-zero = inside) as an 8-bit PNG of 0 and 255.
int mask_write(const char *path, int width, int height, const uint8_t *mask);

// The same to FOLDER/SET/IMAGE/ID.png, making folders.
int mask_folder_write(const char *folder, const char *set, const char *image, int64_t id, int width,
                      int height, const uint8_t *mask);

#endif
