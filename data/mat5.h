// SPDX-License-Identifier: MIT
// Reading MATLAB 5 files, as far as cells of structs of integer matrices need. A small reader of
// our own: one changed byte in a file crashes libmatio 1.5. Source: datasets.md 2.4.
#ifndef DATA_MAT5_H
#define DATA_MAT5_H

#include <stddef.h>
#include <stdint.h>

typedef struct {
    const uint8_t *at;
    size_t size;
} Mat5Bytes;

enum { MAT5_CELL = 1, MAT5_STRUCT = 2 };

// A matrix of two dimensions; `content` is what stands behind its name.
typedef struct {
    int kind; // its class: MAT5_CELL, MAT5_STRUCT, or numbers
    int64_t rows, columns;
    Mat5Bytes name, content;
} Mat5Matrix;

// Reads the file and finds the variable `name` in it. Its bytes, and all that is read from it, live
// in *memory, freed with free(). -1 and an error without the path when the file is no little-endian
// MATLAB 5 file, damaged, or has no such variable.
int mat5_open(const char *path, const char *name, Mat5Matrix *found, char **memory);

// Takes the next cell off the content of a cell matrix.
int mat5_next(Mat5Bytes *content, Mat5Matrix *matrix);

// The field of a 1 x 1 struct.
int mat5_field(const Mat5Matrix *matrix, const char *name, Mat5Matrix *field);

// The numbers of a matrix stored as uint8, uint16 or double, column by column: checks that all are
// there and integers in 0..65535, and writes them to values [rows * columns].
int mat5_integers(const Mat5Matrix *matrix, int32_t *values);

#endif
