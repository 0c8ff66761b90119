// SPDX-License-Identifier: MIT
// HDF5: the original sample files value by value, and files that are cut, wrong or hostile.
#include "data/hdf5.h"
#include "tests/sample_data.h"

#include <hdf5.h>
#include <math.h>
#include <pthread.h>
#include <stdint.h>
#include <zlib.h>

static const char *const instances_file =
    "Hypersim/ai_001_001/images/scene_cam_00_geometry_hdf5/frame.0000.semantic_instance.hdf5";
static const char *const depth_file =
    "Hypersim/ai_037_002/images/scene_cam_00_geometry_hdf5/frame.0000.depth_meters.hdf5";

static unsigned crc_of(const int32_t *values, size_t count, size_t bytes) {
    uLong crc = crc32(0, NULL, 0);
    for (size_t i = 0; i < count; i++) {
        const int64_t wide = values[i];
        uint8_t little[8];
        for (size_t b = 0; b < bytes; b++) little[b] = (uint8_t)((uint64_t)wide >> (8 * b));
        crc = crc32(crc, little, (uInt)bytes);
    }
    return (unsigned)crc;
}

Test(hdf5, every_integer_sample_has_the_listed_values) {
    SAMPLE_ROOT(root);
    FILE *manifest = fopen(in_folder(root.text, "MANIFEST.tsv").text, "r");
    cr_assert_not_null(manifest);
    char line[1024], name[256], crc[32];
    int count = 0;
    while (fgets(line, sizeof line, manifest)) {
        int bits, rows, columns, width, height;
        if (sscanf(line,
                   "%255[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%*[^\t]\t%31[^\t]\t"
                   "hdf5 int%d %dx%d",
                   name, crc, &bits, &rows, &columns) != 5)
            continue;
        int32_t *values;
        cr_assert_eq(
            hdf5_read_i32(in_folder(root.text, name).text, "dataset", &width, &height, &values), 0,
            "%s", error_message());
        cr_expect_eq(width, columns);
        cr_expect_eq(height, rows);
        cr_expect_eq(crc_of(values, (size_t)rows * (size_t)columns, (size_t)bits / 8),
                     strtoul(crc, NULL, 16), "%s", name);
        free(values);
        count++;
    }
    fclose(manifest);
    cr_expect_eq(count, 34);
}

Test(hdf5, half_floats_of_the_original_depth_file_sum_as_published) {
    SAMPLE_ROOT(root);
    int width, height;
    double *values, sum = 0;
    cr_assert_eq(
        hdf5_read_f64(in_folder(root.text, depth_file).text, "dataset", &width, &height, &values),
        0, "%s", error_message());
    cr_assert_eq(width, 1024);
    cr_assert_eq(height, 768);
    for (int i = 0; i < width * height; i++) sum += values[i];
    cr_expect_eq(sum, 4685919.486328125, "%.9f", sum);
    cr_expect_eq(values[0], 6.29296875);
    cr_expect_eq(values[300 * 1024 + 500], 8.046875);
    free(values);
}

Test(hdf5, floats_three_dimensions_and_unknown_names_are_errors) {
    SAMPLE_ROOT(root);
    int width, height;
    int32_t *values;
    cr_expect_eq(
        hdf5_read_i32(in_folder(root.text, depth_file).text, "dataset", &width, &height, &values),
        -1);
    cr_expect_null(values);
    expect_error("not of integers");
    double *reals;
    const Path camera = in_folder(
        root.text, "Hypersim/ai_037_002/_detail/cam_00/camera_keyframe_orientations.hdf5");
    cr_expect_eq(hdf5_read_f64(camera.text, "dataset", &width, &height, &reals), -1);
    expect_error("3 dimensions");
    cr_expect_eq(hdf5_read_f64(camera.text, "depth", &width, &height, &reals), -1);
    expect_error("\"depth\"");
}

static void expect_unreadable(const char *path, const char *part) {
    int width, height;
    int32_t *values;
    cr_expect_eq(hdf5_read_i32(path, "dataset", &width, &height, &values), -1);
    cr_expect_null(values);
    expect_error(part);
}

Test(hdf5, a_cut_file_is_an_error_that_names_it) {
    SAMPLE_ROOT(root);
    const Path folder = scratch_make(), path = in_folder(folder.text, "cut.hdf5");
    size_t size;
    char *bytes = file_read(in_folder(root.text, instances_file).text, 1 << 20, &size);
    cr_assert_not_null(bytes);
    for (size_t length = 0; length < size; length += length < 3000 ? 61 : 997) {
        write_bytes(path.text, bytes, length);
        expect_unreadable(path.text, "cut.hdf5");
    }
    free(bytes);
    folder_remove(folder.text);
}

Test(hdf5, missing_and_foreign_files_are_errors_without_noise_on_stderr) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "text.hdf5");
    write_bytes(path.text, "hello", 5);
    const Path noise = in_folder(folder.text, "stderr");
    cr_assert_not_null(freopen(noise.text, "w", stderr));
    expect_unreadable(path.text, "text.hdf5");
    expect_unreadable(in_folder(folder.text, "none.hdf5").text, "none.hdf5");
    fflush(stderr);
    cr_expect_eq(file_size(noise.text), 0);
    folder_remove(folder.text);
}

// A file with one dataset of 64-bit integers.
static void make_file(const char *path, int rank, const hsize_t *shape, const int64_t *values) {
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(rank, shape, NULL);
    const hid_t set =
        H5Dcreate2(file, "dataset", H5T_STD_I64LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(set >= 0);
    if (values)
        cr_assert(H5Dwrite(set, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(file);
}

Test(hdf5, values_beyond_32_bit_are_errors_not_clamped) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "wide.hdf5");
    int64_t values[6] = {1, 2, INT32_MAX, INT32_MIN, 5, 6};
    make_file(path.text, 2, (const hsize_t[]){2, 3}, values);
    int width, height;
    int32_t *read;
    cr_assert_eq(hdf5_read_i32(path.text, "dataset", &width, &height, &read), 0, "%s",
                 error_message());
    cr_expect_eq(width, 3);
    cr_expect_eq(height, 2);
    for (int i = 0; i < 6; i++) cr_expect_eq(read[i], values[i]);
    free(read);
    values[4] = INT64_C(1) << 31;
    make_file(path.text, 2, (const hsize_t[]){2, 3}, values);
    expect_unreadable(path.text, "2147483648 at element 4");
    folder_remove(folder.text);
}

Test(hdf5, shapes_out_of_range_are_errors) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "shape.hdf5");
    make_file(path.text, 1, (const hsize_t[]){4}, NULL);
    expect_unreadable(path.text, "1 dimensions");
    make_file(path.text, 2, (const hsize_t[]){1, 65536}, NULL);
    expect_unreadable(path.text, "65536");
    make_file(path.text, 2, (const hsize_t[]){0, 4}, NULL);
    expect_unreadable(path.text, "is 0");
    make_file(path.text, 2, (const hsize_t[]){65535, 65535}, NULL);
    expect_unreadable(path.text, "more than");
    folder_remove(folder.text);
}

// How a file is to be written.
typedef struct {
    hid_t type;
    hsize_t chunk[2]; // 0: contiguous
    bool shuffle, deflate, newest;
} Form;

static void make_form(const char *path, const Form *form, const double *values) {
    const hid_t access = H5Pcreate(H5P_FILE_ACCESS), create = H5Pcreate(H5P_DATASET_CREATE);
    if (form->newest) H5Pset_libver_bounds(access, H5F_LIBVER_LATEST, H5F_LIBVER_LATEST);
    if (form->chunk[0]) H5Pset_chunk(create, 2, form->chunk);
    if (form->shuffle) H5Pset_shuffle(create);
    if (form->deflate) H5Pset_deflate(create, 6);
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    const hid_t space = H5Screate_simple(2, (const hsize_t[]){7, 10}, NULL);
    const hid_t set =
        H5Dcreate2(file, "dataset", form->type, space, H5P_DEFAULT, create, H5P_DEFAULT);
    cr_assert(H5Dwrite(set, H5T_NATIVE_DOUBLE, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(file);
    H5Pclose(access);
    H5Pclose(create);
}

Test(hdf5, every_form_of_storage_and_number_is_read) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "form.hdf5");
    const Form forms[] = {
        {.type = H5T_STD_I8LE},
        {.type = H5T_STD_U8LE, .chunk = {7, 10}},
        {.type = H5T_STD_I16LE, .chunk = {3, 4}, .deflate = true},
        {.type = H5T_STD_I32LE, .chunk = {1, 1}, .deflate = true},
        {.type = H5T_STD_I64LE, .chunk = {2, 9}, .shuffle = true, .deflate = true},
        {.type = H5T_STD_U64LE, .chunk = {5, 3}, .shuffle = true},
        {.type = H5T_IEEE_F32LE, .chunk = {4, 4}, .deflate = true},
        {.type = H5T_IEEE_F64LE},
        {.type = H5T_STD_I16LE, .chunk = {3, 4}, .deflate = true, .newest = true},
        {.type = H5T_IEEE_F64LE, .newest = true},
    };
    for (size_t k = 0; k < sizeof forms / sizeof *forms; k++) {
        const bool is_unsigned = k == 1 || k == 5, is_float = k == 6 || k == 7 || k == 9;
        double values[70], *read;
        for (int i = 0; i < 70; i++)
            values[i] = (i - (is_unsigned ? 0 : 35)) * (is_float ? 1.5 : 1);
        make_form(path.text, &forms[k], values);
        int width, height;
        cr_assert_eq(hdf5_read_f64(path.text, "dataset", &width, &height, &read), 0, "form %zu: %s",
                     k, error_message());
        cr_assert(width == 10 && height == 7);
        for (int i = 0; i < 70; i++)
            cr_expect_eq(read[i], values[i], "form %zu, element %d: %g", k, i, read[i]);
        free(read);
    }
    folder_remove(folder.text);
}

Test(hdf5, a_missing_chunk_and_an_unknown_filter_are_errors) {
    const Path folder = scratch_make(), path = in_folder(folder.text, "none.hdf5");
    make_file(path.text, 2, (const hsize_t[]){3, 4}, NULL);
    expect_unreadable(path.text, "none.hdf5");
    const hid_t create = H5Pcreate(H5P_DATASET_CREATE);
    H5Pset_chunk(create, 2, (const hsize_t[]){2, 2});
    H5Pset_fletcher32(create);
    const hid_t file = H5Fcreate(path.text, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, (const hsize_t[]){3, 4}, NULL);
    H5Dclose(H5Dcreate2(file, "dataset", H5T_STD_I16LE, space, H5P_DEFAULT, create, H5P_DEFAULT));
    H5Sclose(space);
    H5Fclose(file);
    H5Pclose(create);
    expect_unreadable(path.text, "filter 3");
    folder_remove(folder.text);
}

// The same pseudo-random damage in every run.
Test(hdf5, a_damaged_file_is_read_or_refused_by_name) {
    SAMPLE_ROOT(root);
    const Path folder = scratch_make(), path = in_folder(folder.text, "damaged.hdf5");
    size_t size;
    char *bytes = file_read(in_folder(root.text, instances_file).text, 1 << 20, &size);
    cr_assert_not_null(bytes);
    int refused = 0;
    for (size_t at = 0; at < size; at += at < 0xA80 ? 7u : 101u) {
        const char kept = bytes[at];
        bytes[at] = (char)((size_t)kept ^ (1 + at * 37 % 255));
        write_bytes(path.text, bytes, size);
        bytes[at] = kept;
        int width, height;
        int32_t *values;
        if (hdf5_read_i32(path.text, "dataset", &width, &height, &values) == 0) {
            cr_expect_eq((long long)width * height, 1024 * 768);
            free(values);
            continue;
        }
        refused++;
        expect_error("damaged.hdf5");
    }
    cr_expect_gt(refused, 150);
    free(bytes);
    folder_remove(folder.text);
}

static void put(uint8_t *at, uint64_t value, int bytes) {
    for (int i = 0; i < bytes; i++) at[i] = (uint8_t)(value >> (8 * i));
}

// A group whose tree leads 4096 times to one node of 4096 symbols, none of which is the name.
Test(hdf5, symbols_met_again_and_again_are_an_error) {
    enum { MANY = 4096, HEADER = 96, HEAP = 160, NAMES = 200, TREE = 256 };
    enum { SYMBOLS = TREE + 24 + 16 * MANY + 8, SIZE = SYMBOLS + 8 + 40 * MANY };
    const Path folder = scratch_make(), path = in_folder(folder.text, "again.hdf5");
    uint8_t *bytes = calloc(1, SIZE);
    cr_assert_not_null(bytes);
    memcpy(bytes, "\x89HDF\r\n\x1a\n", 8);
    bytes[13] = bytes[14] = 8;  // sizes of addresses and lengths
    put(bytes + 40, SIZE, 8);   // end of the file
    put(bytes + 64, HEADER, 8); // of the root
    bytes[HEADER] = 1;          // version; one message of 16 bytes: the group's tree and heap
    put(bytes + HEADER + 8, 24, 4);
    put(bytes + HEADER + 16, 17, 2);
    put(bytes + HEADER + 18, 16, 2);
    put(bytes + HEADER + 24, TREE, 8);
    put(bytes + HEADER + 32, HEAP, 8);
    memcpy(bytes + HEAP, "HEAP", 4);
    put(bytes + HEAP + 8, 8, 8);
    put(bytes + HEAP + 24, NAMES, 8);
    memcpy(bytes + TREE, "TREE", 4);
    put(bytes + TREE + 6, MANY, 2);
    for (int i = 0; i < MANY; i++) put(bytes + TREE + 24 + 16 * i + 8, SYMBOLS, 8);
    memcpy(bytes + SYMBOLS, "SNOD", 4);
    put(bytes + SYMBOLS + 6, MANY, 2);
    write_bytes(path.text, bytes, SIZE);
    expect_unreadable(path.text, "a tree without end");
    free(bytes);
    folder_remove(folder.text);
}

static void *read_many(void *path) {
    for (int i = 0; i < 10; i++) {
        int width, height;
        int32_t *values;
        if (hdf5_read_i32(path, "dataset", &width, &height, &values)) return path;
        const bool right = width == 1024 && height == 768 && values[0] == -1;
        free(values);
        if (!right) return path;
    }
    return NULL;
}

Test(hdf5, threads_may_read_at_the_same_time) {
    SAMPLE_ROOT(root);
    Path path = in_folder(root.text, instances_file);
    pthread_t threads[4];
    for (int i = 0; i < 4; i++)
        cr_assert_eq(pthread_create(&threads[i], NULL, read_many, path.text), 0);
    for (int i = 0; i < 4; i++) {
        void *failed;
        pthread_join(threads[i], &failed);
        cr_expect_null(failed);
    }
}
