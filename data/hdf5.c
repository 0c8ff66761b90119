// SPDX-License-Identifier: MIT
// Files of the oldest layout go to our own reader, all others, whose structures have checksums, to
// libhdf5 behind one lock: a build of it without thread safety must not meet two threads. Its error
// stack is silenced and only its innermost sentence goes into our message.
#include "data/hdf5.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "data/hdf5_classic.h"

#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_FILE ((size_t)1 << 30)

static pthread_mutex_t library = PTHREAD_MUTEX_INITIALIZER;

static herr_t copy_innermost(unsigned depth, const H5E_error2_t *error, void *text) {
    if (depth == 0 && error->desc) snprintf(text, 256, ": %s", error->desc);
    return 0;
}

static int library_error(const char *path, const char *name, const char *action) {
    char reason[256] = "";
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, copy_innermost, reason);
    return error_int("%s: cannot %s dataset \"%s\"%s", path, action, name, reason);
}

static int check_class(hid_t dataset, const char *path, const char *name, bool integers) {
    const hid_t type = H5Dget_type(dataset);
    const H5T_class_t found = type >= 0 ? H5Tget_class(type) : H5T_NO_CLASS;
    if (type >= 0) H5Tclose(type);
    if (found == H5T_INTEGER || (found == H5T_FLOAT && !integers)) return 0;
    return error_int("%s: dataset \"%s\" is not of %s", path, name,
                     integers ? "integers" : "numbers");
}

static int check_shape(hid_t dataset, const char *path, const char *name, uint64_t shape[2]) {
    const hid_t space = H5Dget_space(dataset);
    const int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    hsize_t sides[2] = {0};
    if (rank == 2) H5Sget_simple_extent_dims(space, sides, NULL);
    if (space >= 0) H5Sclose(space);
    shape[0] = sides[0];
    shape[1] = sides[1];
    return hdf5_check_shape(path, name, rank, shape);
}

// Reads as 64-bit integers or doubles. Caller holds the lock.
static int read_dataset(hid_t dataset, const char *path, const char *name, bool integers,
                        Hdf5Array *array) {
    uint64_t shape[2];
    if (check_class(dataset, path, name, integers)) return -1;
    if (check_shape(dataset, path, name, shape)) return -1;
    *array = (Hdf5Array){.width = (int)shape[1],
                         .height = (int)shape[0],
                         .element = 8,
                         .is_float = !integers,
                         .is_signed = true,
                         .bytes = array_new((size_t)(shape[0] * shape[1]), 8)};
    if (!array->bytes) return -1;
    const hid_t type = integers ? H5T_STD_I64LE : H5T_IEEE_F64LE;
    if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, array->bytes) >= 0) return 0;
    free(array->bytes);
    return library_error(path, name, "read");
}

// Without file locks, which some read-only and network file systems refuse.
static hid_t open_file(const char *path) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS);
    if (access < 0) return -1;
    H5Pset_file_locking(access, false, true);
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, access);
    H5Pclose(access);
    return file;
}

static int read_by_library(const char *path, const char *name, bool integers, Hdf5Array *array) {
    pthread_mutex_lock(&library);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    const hid_t file = open_file(path);
    const hid_t dataset = file >= 0 ? H5Dopen2(file, name, H5P_DEFAULT) : -1;
    const int status = dataset >= 0
                           ? read_dataset(dataset, path, name, integers, array)
                           : library_error(path, name, file >= 0 ? "open" : "open the file for");
    if (dataset >= 0) H5Dclose(dataset);
    if (file >= 0) H5Fclose(file);
    pthread_mutex_unlock(&library);
    return status;
}

// The caller frees array->bytes.
static int read_array(const char *path, const char *name, bool integers, Hdf5Array *array) {
    size_t size;
    uint8_t *bytes = (uint8_t *)file_read(path, MAX_FILE, &size);
    if (!bytes) return -1;
    const bool classic = hdf5_is_classic(bytes, size);
    int status = classic ? hdf5_classic_read(path, bytes, size, name, array) : 0;
    free(bytes);
    if (!classic) status = read_by_library(path, name, integers, array);
    if (status || !integers || !array->is_float) return status;
    free(array->bytes);
    return error_int("%s: dataset \"%s\" is not of integers", path, name);
}

// Element i of `size` bytes; with a constant size a single load.
static inline uint64_t bits_at(const uint8_t *bytes, size_t size, size_t i) {
    uint64_t bits = 0;
    for (size_t b = 0; b < size; b++) bits |= (uint64_t)bytes[i * size + b] << (8 * b);
    return bits;
}

static int64_t integer_at(const Hdf5Array *array, size_t i) {
    const uint64_t bits = bits_at(array->bytes, array->element, i);
    if (!array->is_signed) return bits > INT64_MAX ? INT64_MAX : (int64_t)bits;
    const uint64_t sign = UINT64_C(1) << (8 * array->element - 1);
    return (int64_t)((bits ^ sign) - sign);
}

static double half_to_double(uint64_t bits) {
    const int exponent = (int)(bits >> 10 & 31);
    const double mantissa = (double)(bits & 1023);
    double value;
    if (exponent == 31)
        value = mantissa > 0 ? (double)NAN : (double)INFINITY;
    else if (exponent == 0)
        value = ldexp(mantissa, -24);
    else
        value = ldexp(1024.0 + mantissa, exponent - 25);
    return bits >> 15 ? -value : value;
}

static double real_at(const Hdf5Array *array, size_t i) {
    if (!array->is_float) return (double)integer_at(array, i);
    const uint64_t bits = bits_at(array->bytes, array->element, i);
    const uint32_t low = (uint32_t)bits;
    double real;
    float single;
    memcpy(&single, &low, sizeof single);
    memcpy(&real, &bits, sizeof real);
    return array->element == 2 ? half_to_double(bits) : array->element == 4 ? (double)single : real;
}

static int narrow_any(const Hdf5Array *array, const char *path, const char *name, size_t count,
                      int32_t *narrow) {
    for (size_t i = 0; i < count; i++) {
        const int64_t value = integer_at(array, i);
        if (value < INT32_MIN || value > INT32_MAX)
            return error_int("%s: dataset \"%s\" holds %lld at element %zu, beyond 32 bit", path,
                             name, (long long)value, i);
        narrow[i] = (int32_t)value;
    }
    return 0;
}

// Every value as 32 bit; label maps have 16 or 32 of them.
static int narrow_values(const Hdf5Array *array, const char *path, const char *name, size_t count,
                         int32_t *narrow) {
    const uint8_t *bytes = array->bytes;
    if (array->element == 2 && array->is_signed)
        for (size_t i = 0; i < count; i++) narrow[i] = (int16_t)bits_at(bytes, 2, i);
    else if (array->element == 4 && array->is_signed)
        for (size_t i = 0; i < count; i++) narrow[i] = (int32_t)bits_at(bytes, 4, i);
    else
        return narrow_any(array, path, name, count, narrow);
    return 0;
}

int hdf5_read_i32(const char *path, const char *name, int *width, int *height, int32_t **values) {
    Hdf5Array array;
    *values = NULL;
    if (read_array(path, name, true, &array)) return -1;
    const size_t count = (size_t)array.width * (size_t)array.height;
    int32_t *narrow = array_new_unset(count, sizeof *narrow);
    const int status = narrow ? narrow_values(&array, path, name, count, narrow) : -1;
    free(array.bytes);
    if (status) {
        free(narrow);
        return -1;
    }
    *height = array.height;
    *width = array.width;
    *values = narrow;
    return 0;
}

int hdf5_read_f64(const char *path, const char *name, int *width, int *height, double **values) {
    Hdf5Array array;
    *values = NULL;
    if (read_array(path, name, false, &array)) return -1;
    const size_t count = (size_t)array.width * (size_t)array.height;
    double *reals = array_new_unset(count, sizeof *reals);
    for (size_t i = 0; reals && i < count; i++) reals[i] = real_at(&array, i);
    free(array.bytes);
    if (!reals) return -1;
    *height = array.height;
    *width = array.width;
    *values = reals;
    return 0;
}
