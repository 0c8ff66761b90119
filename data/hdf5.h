// SPDX-License-Identifier: MIT
// Reading one two-dimensional dataset of an HDF5 file. Several threads may read: files of the
// oldest layout, as all of Hypersim, at the same time, others in turns.
#ifndef DATA_HDF5_H
#define DATA_HDF5_H

#include <stdint.h>

// Reads the two-dimensional integer dataset `name` of any width. values [height, width], owned by
// the caller. Fails, naming the file, when the file or dataset is missing, truncated or damaged,
// not of integers, not two-dimensional, has a side outside 1..65535 or more than 2^28 elements, or
// holds a value outside i32.
int hdf5_read_i32(const char *path, const char *name, int *width, int *height, int32_t **values);

// The same for floating point and integer datasets, as double.
int hdf5_read_f64(const char *path, const char *name, int *width, int *height, double **values);

#endif
