// SPDX-License-Identifier: MIT
// MATLAB 5 files: a header of 128 bytes, then elements, each a type, a length and its bytes. See
// mat5.h.
#include "data/mat5.h"

#include "base/error.h"
#include "base/file.h"
#include "base/text.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// Types of elements.
enum {
    INT8 = 1,
    UINT8 = 2,
    UINT16 = 4,
    INT32 = 5,
    UINT32 = 6,
    DOUBLE = 9,
    MATRIX = 14,
    PACKED = 15
};

enum { HEADER = 128, TAG = 8, MAX_FILE = 1 << 28, MAX_UNPACKED = 1 << 28, PIECE = 1 << 16 };

static uint32_t word(const uint8_t *at) {
    return (uint32_t)at[0] | (uint32_t)at[1] << 8 | (uint32_t)at[2] << 16 | (uint32_t)at[3] << 24;
}

// ---- elements -----------------------------------------------------------------------------------

static int damaged(const char *what) {
    return error_int("damaged: %s", what);
}

// Takes the next element off `rest`. Up to four bytes may stand in the tag itself, the length in
// the upper half of its first word; others are padded to 8 bytes, but for packed ones.
static int take_element(Mat5Bytes *rest, uint32_t *type, Mat5Bytes *data) {
    if (rest->size < TAG) return damaged("an element is missing");
    const uint32_t first = word(rest->at);
    const uint32_t length = first >> 16 ? first >> 16 : word(rest->at + 4);
    const size_t start = first >> 16 ? 4 : TAG;
    *type = first & (first >> 16 ? 0xffffu : 0xffffffffu);
    if ((start == 4 && length > 4) || length > rest->size - start)
        return damaged("an element is longer than the file");
    *data = (Mat5Bytes){rest->at + start, length};
    size_t used = start + length;
    if (*type != PACKED) used = (used + 7) / 8 * 8;
    if (used > rest->size) used = rest->size;
    *rest = (Mat5Bytes){rest->at + used, rest->size - used};
    return 0;
}

static int take_typed(Mat5Bytes *rest, uint32_t wanted, const char *what, Mat5Bytes *data) {
    uint32_t type = 0;
    if (take_element(rest, &type, data)) return -1;
    return type == wanted ? 0 : damaged(what);
}

static int read_matrix(Mat5Bytes data, Mat5Matrix *matrix) {
    Mat5Bytes flags, dims;
    if (take_typed(&data, UINT32, "a matrix has no flags", &flags) ||
        take_typed(&data, INT32, "a matrix has no dimensions", &dims) ||
        take_typed(&data, INT8, "a matrix has no name", &matrix->name))
        return -1;
    if (flags.size != 8 || dims.size != 8) return error_int("a matrix has not two dimensions");
    matrix->kind = flags.at[0];
    matrix->rows = (int32_t)word(dims.at);
    matrix->columns = (int32_t)word(dims.at + 4);
    matrix->content = data;
    return matrix->rows < 0 || matrix->columns < 0 ? damaged("a dimension is negative") : 0;
}

int mat5_next(Mat5Bytes *content, Mat5Matrix *matrix) {
    Mat5Bytes data;
    if (take_typed(content, MATRIX, "a matrix is missing", &data)) return -1;
    return read_matrix(data, matrix);
}

// Names stand in slots of equal length, each ended by a zero if it is shorter.
static bool slot_is(Mat5Bytes names, size_t slot, size_t length, const char *name) {
    const size_t size = strlen(name);
    return size < length && memcmp(names.at + slot * length, name, size + 1) == 0;
}

int mat5_field(const Mat5Matrix *matrix, const char *name, Mat5Matrix *field) {
    Mat5Bytes rest = matrix->content, length, names;
    if (matrix->kind != MAT5_STRUCT || matrix->rows != 1 || matrix->columns != 1)
        return error_int("not a struct of 1 x 1");
    if (take_typed(&rest, INT32, "a struct has no name length", &length) ||
        take_typed(&rest, INT8, "a struct has no names", &names))
        return -1;
    const size_t slot = length.size == 4 ? word(length.at) : 0;
    if (slot == 0 || names.size % slot != 0) return damaged("names of a struct");
    for (size_t i = 0; i < names.size / slot; i++) {
        if (mat5_next(&rest, field)) return -1;
        if (slot_is(names, i, slot, name)) return 0;
    }
    return error_int("no field %s", name);
}

// ---- numbers ------------------------------------------------------------------------------------

static double number(const uint8_t *at, uint32_t type) {
    double value;
    if (type == UINT8) return at[0];
    if (type == UINT16) return at[0] | at[1] << 8;
    memcpy(&value, at, sizeof value); // the byte order is that of all our machines
    return value;
}

int mat5_integers(const Mat5Matrix *matrix, int32_t *values) {
    Mat5Bytes rest = matrix->content, data;
    uint32_t type = 0;
    if (take_element(&rest, &type, &data)) return -1;
    const size_t size = type == UINT8 ? 1 : type == UINT16 ? 2 : type == DOUBLE ? 8 : 0;
    const size_t count = (size_t)matrix->rows * (size_t)matrix->columns;
    if (size == 0) return error_int("numbers of type %u; expected uint8, uint16 or double", type);
    if (data.size / size < count) return damaged("a matrix is shorter than its dimensions");
    for (size_t i = 0; i < count; i++) {
        const double value = number(data.at + i * size, type);
        if (!(value >= 0 && value <= 65535) || value != floor(value))
            return error_int("%g is no integer from 0 to 65535", value);
        values[i] = (int32_t)value;
    }
    return 0;
}

// ---- files --------------------------------------------------------------------------------------

static int inflate_all(z_stream *stream, Text *out) {
    static _Thread_local uint8_t piece[PIECE];
    int state = Z_OK;
    while (state == Z_OK) {
        stream->next_out = piece;
        stream->avail_out = PIECE;
        state = inflate(stream, Z_NO_FLUSH);
        if (state != Z_OK && state != Z_STREAM_END) return damaged("a compressed part");
        if (text_add_bytes(out, piece, PIECE - stream->avail_out)) return -1;
        if (out->length > MAX_UNPACKED) return error_int("more than %d bytes", MAX_UNPACKED);
    }
    return 0;
}

// The bytes of a compressed element, owned by the caller.
static char *unpack(Mat5Bytes packed, size_t *size) {
    z_stream stream = {.next_in = (Bytef *)packed.at, .avail_in = (uInt)packed.size};
    Text out = {0};
    if (inflateInit(&stream) != Z_OK) return error_null("out of memory");
    int result = inflate_all(&stream, &out);
    inflateEnd(&stream);
    *size = out.length;
    if (result == 0 && out.length > 0) return text_take(&out);
    text_free(&out);
    return error_null("damaged: an empty compressed part");
}

static bool is_named(const Mat5Matrix *matrix, const char *name) {
    return matrix->name.size == strlen(name) &&
           memcmp(matrix->name.at, name, matrix->name.size) == 0;
}

// One variable: 1 when it is the one, then *memory holds its bytes if they were packed.
static int look_at(uint32_t type, Mat5Bytes data, const char *name, Mat5Matrix *found,
                   char **memory) {
    if (type == PACKED) {
        size_t size = 0;
        *memory = unpack(data, &size);
        if (!*memory) return -1;
        Mat5Bytes unpacked = {(const uint8_t *)*memory, size};
        if (take_element(&unpacked, &type, &data)) return -1;
    }
    if (type != MATRIX) return 0;
    if (read_matrix(data, found)) return -1;
    return is_named(found, name);
}

static int find(Mat5Bytes rest, const char *name, Mat5Matrix *found, char **memory) {
    while (rest.size > 0) {
        uint32_t type = 0;
        Mat5Bytes data;
        if (take_element(&rest, &type, &data)) return -1;
        const int result = look_at(type, data, name, found, memory);
        if (result) return result;
        free(*memory);
        *memory = NULL;
    }
    return error_int("%s is missing", name);
}

int mat5_open(const char *path, const char *name, Mat5Matrix *found, char **memory) {
    size_t size = 0;
    char *unpacked = NULL;
    *memory = file_read(path, MAX_FILE, &size);
    if (!*memory) return -1;
    const uint8_t *bytes = (const uint8_t *)*memory;
    int result;
    if (size < HEADER || memcmp(bytes + HEADER - 4, "\0\1IM", 4) != 0)
        result = error_int("not a MATLAB 5 file of little-endian numbers");
    else
        result = find((Mat5Bytes){bytes + HEADER, size - HEADER}, name, found, &unpacked);
    if (result > 0 && !unpacked) return 0;
    free(*memory);
    *memory = result > 0 ? unpacked : NULL;
    if (result <= 0) free(unpacked);
    return result > 0 ? 0 : -1;
}
