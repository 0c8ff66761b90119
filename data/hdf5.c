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

// Reads as 64-bit integers or doubles; both elements have 8 bytes. Caller holds the lock.
static void *read_dataset(hid_t dataset, const char *path, const char *name, bool integers,
                          uint64_t shape[2]) {
    if (check_class(dataset, path, name, integers)) return NULL;
    if (check_shape(dataset, path, name, shape)) return NULL;
    void *values = array_new((size_t)(shape[0] * shape[1]), sizeof(double));
    if (!values) return NULL;
    const hid_t type = integers ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE;
    if (H5Dread(dataset, type, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0) return values;
    library_error(path, name, "read");
    free(values);
    return NULL;
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

static void *read_by_library(const char *path, const char *name, bool integers, uint64_t shape[2]) {
    void *values = NULL;
    pthread_mutex_lock(&library);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
    const hid_t file = open_file(path);
    const hid_t dataset = file >= 0 ? H5Dopen2(file, name, H5P_DEFAULT) : -1;
    if (dataset >= 0)
        values = read_dataset(dataset, path, name, integers, shape);
    else
        library_error(path, name, file >= 0 ? "open" : "open the file for");
    if (dataset >= 0) H5Dclose(dataset);
    if (file >= 0) H5Fclose(file);
    pthread_mutex_unlock(&library);
    return values;
}

static uint64_t bits_at(const Hdf5Array *array, size_t i) {
    const uint8_t *at = array->bytes + i * array->element;
    uint64_t bits = 0;
    for (size_t b = 0; b < array->element; b++) bits |= (uint64_t)at[b] << (8 * b);
    return bits;
}

static int64_t integer_at(const Hdf5Array *array, size_t i) {
    const uint64_t bits = bits_at(array, i);
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
    const uint64_t bits = bits_at(array, i);
    const uint32_t low = (uint32_t)bits;
    double real;
    float single;
    memcpy(&single, &low, sizeof single);
    memcpy(&real, &bits, sizeof real);
    return array->element == 2 ? half_to_double(bits) : array->element == 4 ? (double)single : real;
}

// The classic array as 64-bit integers or doubles.
static void *convert(const Hdf5Array *array, const char *path, const char *name, bool integers) {
    if (integers && array->is_float)
        return error_null("%s: dataset \"%s\" is not of integers", path, name);
    const size_t count = (size_t)array->width * (size_t)array->height;
    void *values = array_new(count, sizeof(double));
    if (!values) return NULL;
    for (size_t i = 0; i < count; i++) {
        if (integers)
            ((int64_t *)values)[i] = integer_at(array, i);
        else
            ((double *)values)[i] = real_at(array, i);
    }
    return values;
}

static void *read_file(const char *path, const char *name, bool integers, uint64_t shape[2]) {
    size_t size;
    uint8_t *bytes = (uint8_t *)file_read(path, MAX_FILE, &size);
    if (!bytes) return NULL;
    void *values = NULL;
    if (hdf5_is_classic(bytes, size)) {
        Hdf5Array array;
        if (hdf5_classic_read(path, bytes, size, name, &array) == 0)
            values = convert(&array, path, name, integers);
        shape[0] = (uint64_t)array.height;
        shape[1] = (uint64_t)array.width;
        free(array.bytes);
        free(bytes);
        return values;
    }
    free(bytes);
    return read_by_library(path, name, integers, shape);
}

int hdf5_read_i32(const char *path, const char *name, int *width, int *height, int32_t **values) {
    uint64_t shape[2];
    *values = NULL;
    int64_t *wide = read_file(path, name, true, shape);
    if (!wide) return -1;
    const size_t count = (size_t)(shape[0] * shape[1]);
    int32_t *narrow = array_new(count, sizeof *narrow);
    int status = narrow ? 0 : -1;
    for (size_t i = 0; status == 0 && i < count; i++) {
        if (wide[i] >= INT32_MIN && wide[i] <= INT32_MAX)
            narrow[i] = (int32_t)wide[i];
        else
            status = error_int("%s: dataset \"%s\" holds %lld at element %zu, beyond 32 bit", path,
                               name, (long long)wide[i], i);
    }
    free(wide);
    if (status) {
        free(narrow);
        return -1;
    }
    *height = (int)shape[0];
    *width = (int)shape[1];
    *values = narrow;
    return 0;
}

int hdf5_read_f64(const char *path, const char *name, int *width, int *height, double **values) {
    uint64_t shape[2];
    *values = read_file(path, name, false, shape);
    if (!*values) return -1;
    *height = (int)shape[0];
    *width = (int)shape[1];
    return 0;
}
