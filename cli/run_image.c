// SPDX-License-Identifier: MIT
// Components of image handling: resizing and the decoders. 8-bit pictures are [H,W,C] in files too.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "cli/run.h"
#include "cli/run_inputs.h"
#include "data/bsds500.h"
#include "data/hdf5.h"
#include "data/resample.h"

#include <stdlib.h>
#include <string.h>

#define SIZE_KEYS(KEY)                                                      \
    KEY(INT, width, "width", "1", "[1, 65535]", "of the result, in pixels") \
    KEY(INT, height, "height", "1", "[1, 65535]", "of the result, in pixels")

// ---- resize -------------------------------------------------------------------------------------

#define RESIZE_KEYS(KEY)                                                                   \
    KEY(CHOICE, filter, "filter", "bilinear", "nearest|bilinear|bicubic|lanczos", "which") \
    SIZE_KEYS(KEY)
typedef struct {
    RESIZE_KEYS(CONFIG_FIELD)
} ResizeKeys;
#define RESIZE_ROW(...) CONFIG_ROW(ResizeKeys, __VA_ARGS__)
static const ConfigKey resize_rows[] = {RESIZE_KEYS(RESIZE_ROW)};
static const ConfigTable resize_table = {resize_rows, sizeof resize_rows / sizeof *resize_rows};

static int resize(Run *run, const void *given) {
    const ResizeKeys *keys = given;
    Image image = {0}, resized = {0};
    int result = run_picture(run, "image", &image);
    if (result == 0)
        result = image_resize(&image, (int)keys->width, (int)keys->height, (Resample)keys->filter,
                              &resized);
    const int64_t shape[] = {resized.height, resized.width, resized.channels};
    if (result == 0) result = run_output_values(run, "resized", SAFE_U8, 3, shape, resized.pixels);
    image_free(&image);
    image_free(&resized);
    return result;
}

// ---- resize.float -------------------------------------------------------------------------------

typedef struct {
    SIZE_KEYS(CONFIG_FIELD)
} FloatKeys;
#define FLOAT_ROW(...) CONFIG_ROW(FloatKeys, __VA_ARGS__)
static const ConfigKey float_rows[] = {SIZE_KEYS(FLOAT_ROW)};
static const ConfigTable float_table = {float_rows, sizeof float_rows / sizeof *float_rows};

static int resize_all(const Tensor *in, Tensor *out) {
    const int64_t batch = in->shape[0], from = tensor_numel(in) / batch;
    const int64_t to = tensor_numel(out) / batch;
    float *values = array_new((size_t)(tensor_numel(in) + tensor_numel(out)), sizeof *values);
    if (!values) return -1;
    float *resized = values + tensor_numel(in);
    int result = tensor_read_float(in, values);
    for (int64_t n = 0; n < batch && result == 0; n++)
        result = resize_bilinear_float(values + n * from, (int)in->shape[2], (int)in->shape[1],
                                       (int)in->shape[3], (int)out->shape[2], (int)out->shape[1],
                                       resized + n * to);
    if (result == 0) result = tensor_write_float(out, resized);
    free(values);
    return result;
}

static int resize_float(Run *run, const void *given) {
    const FloatKeys *keys = given;
    const Tensor *in = run_tensor(run, "image");
    if (!in) return -1;
    if (in->shape[1] > 65535 || in->shape[2] > 65535 || in->shape[3] > 65535)
        return error_int("%s: sides up to 65535 are taken", tensor_text(in));
    Tensor *out = tensor_new(SHAPE(F32, in->shape[0], keys->height, keys->width, in->shape[3]));
    int result = out ? resize_all(in, out) : -1;
    if (result == 0) result = run_output(run, "resized", out);
    tensor_free(out);
    return result;
}

// ---- files: paths in, a tensor "NAME.0", "NAME.1", ... of each out
// --------------------------------

#define HDF5_KEYS(KEY) KEY(STRING, dataset, "dataset", "dataset", "", "its name in the files")
typedef struct {
    HDF5_KEYS(CONFIG_FIELD)
} Hdf5Keys;
#define HDF5_ROW(...) CONFIG_ROW(Hdf5Keys, __VA_ARGS__)
static const ConfigKey hdf5_rows[] = {HDF5_KEYS(HDF5_ROW)};
static const ConfigTable hdf5_table = {hdf5_rows, sizeof hdf5_rows / sizeof *hdf5_rows};

typedef struct {
    Run *run;
    int files; // read so far
    int (*read)(Run *run, const char *path, int file, const void *keys);
    const void *keys;
} Files;

static int next_file(void *context, const uint8_t *bytes, size_t size) {
    Files *files = context;
    if (size > INT16_MAX) return error_int("a path has %zu bytes", size);
    char *path = text_format("%.*s", (int)size, (const char *)bytes);
    int result = path ? files->read(files->run, path, files->files++, files->keys) : -1;
    free(path);
    return result;
}

// The tensor "name.file".
static int output_of_file(Run *run, const char *name, int file, SafeType type, int ndim,
                          const int64_t *shape, const void *values) {
    char *whole = text_format("%s.%d", name, file);
    int result = whole ? run_output_values(run, whole, type, ndim, shape, values) : -1;
    free(whole);
    return result;
}

static int one_image(Run *run, const char *path, int file, const void *keys) {
    (void)keys;
    Image image = {0};
    if (image_read(path, &image)) return -1;
    const int64_t shape[] = {image.height, image.width, image.channels};
    int result = output_of_file(run, "image", file, SAFE_U8, 3, shape, image.pixels);
    image_free(&image);
    return result;
}

static int one_label_map(Run *run, const char *path, int file, const void *keys) {
    (void)keys;
    LabelMap map = {0};
    if (label_png_read(path, &map)) return -1;
    const int64_t shape[] = {map.height, map.width};
    int result = output_of_file(run, "labels", file, SAFE_I32, 2, shape, map.ids);
    label_map_free(&map);
    return result;
}

static int one_hdf5(Run *run, const char *path, int file, const void *keys) {
    int width, height;
    double *values = NULL;
    if (hdf5_read_f64(path, ((const Hdf5Keys *)keys)->dataset, &width, &height, &values)) return -1;
    const int64_t shape[] = {height, width};
    int result = output_of_file(run, "values", file, SAFE_F64, 2, shape, values);
    free(values);
    return result;
}

static int one_bsds500(Run *run, const char *path, int file, const void *keys) {
    (void)keys;
    Bsds500Truth truth;
    if (bsds500_truth_read(path, &truth)) return -1;
    const int64_t shape[] = {truth.annotators, truth.height, truth.width};
    int result = output_of_file(run, "segments", file, SAFE_I32, 3, shape, truth.segments);
    if (result == 0) result = output_of_file(run, "edges", file, SAFE_U8, 3, shape, truth.edges);
    bsds500_truth_free(&truth);
    return result;
}

#define READS(name)                                      \
    static int read_##name(Run *run, const void *keys) { \
        Files files = {run, 0, one_##name, keys};        \
        return run_each_text(run, next_file, &files);    \
    }
READS(image)
READS(label_map)
READS(hdf5)
READS(bsds500)

// ---- the table ----------------------------------------------------------------------------------

#define PATHS                                                                   \
    {"text", RUN_BYTE, "...", false, "paths of files, one behind the other"}, { \
        "ends", RUN_INTEGER, "S", false, "where each path ends, in bytes"       \
    }

static const Component components[] = {
    {.name = "resize",
     .help = "8-bit resizing, the bits of Pillow",
     .inputs = {{"image", RUN_BYTE, "H,W,C", false, "1 or 3 channels; nearest: any up to 4"}},
     .outputs = {{"resized", RUN_BYTE, "h,w,C", false, NULL}},
     .keys = &resize_table,
     .keys_size = sizeof(ResizeKeys),
     .run = resize},
    {.name = "resize.float",
     .help = "antialiased bilinear resizing in float",
     .inputs = {{"image", RUN_IMAGE, "N,C,H,W", false, NULL}},
     .outputs = {{"resized", RUN_IMAGE, "N,C,h,w", false, NULL}},
     .keys = &float_table,
     .keys_size = sizeof(FloatKeys),
     .run = resize_float},
    {.name = "read.image",
     .help = "JPEG or PNG files as RGB",
     .inputs = {PATHS},
     .outputs = {{"image.*", RUN_BYTE, "H,W,3", false, "of file 0, 1, ..."}},
     .run = read_image},
    {.name = "read.labels",
     .help = "PNG files as labels: palette indices or grey samples as they are",
     .inputs = {PATHS},
     .outputs = {{"labels.*", RUN_INTEGER, "H,W", false, "of file 0, 1, ..."}},
     .run = read_label_map},
    {.name = "read.hdf5",
     .help = "a two-dimensional dataset of HDF5 files",
     .inputs = {PATHS},
     .outputs = {{"values.*", RUN_FLOAT, "H,W", false, "of file 0, 1, ..., as double"}},
     .keys = &hdf5_table,
     .keys_size = sizeof(Hdf5Keys),
     .run = read_hdf5},
    {.name = "read.bsds500",
     .help = "the ground truth of BSDS500, MATLAB 5 files",
     .inputs = {PATHS},
     .outputs = {{"segments.*", RUN_INTEGER, "N,H,W", false, "of each annotator of a file"},
                 {"edges.*", RUN_BYTE, "N,H,W", false, "of each annotator of a file"}},
     .run = read_bsds500},
};

const ComponentGroup components_image = {components, sizeof components / sizeof components[0]};
