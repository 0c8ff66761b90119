// SPDX-License-Identifier: MIT
// The HDF5 files of the oldest layout (superblock version 0), which libraries write by default and
// all of Hypersim has, read without a library.
#ifndef DATA_HDF5_CLASSIC_H
#define DATA_HDF5_CLASSIC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Numbers as they lie in the file, little-endian.
typedef struct {
    int width, height;
    size_t element; // bytes: 1, 2, 4 or 8
    bool is_float, is_signed;
    uint8_t *bytes; // [height, width, element], owned by the caller
} Hdf5Array;

// Whether these first bytes are of such a file.
bool hdf5_is_classic(const uint8_t *bytes, size_t size);

// Fails unless a shape has 2 sides of 1 to 65535 and at most IMAGE_MAX_PIXELS elements.
int hdf5_check_shape(const char *path, const char *name, int rank, const uint64_t *shape);

// Reads the two-dimensional dataset `name` of the root group from a whole file in memory: integers
// and IEEE floats, contiguous, compact or chunked, with deflate and shuffle. Every address, count
// and size is checked. Fails on anything else, naming the file, and when a chunk is missing.
int hdf5_classic_read(const char *path, const uint8_t *bytes, size_t size, const char *name,
                      Hdf5Array *array);

#endif
