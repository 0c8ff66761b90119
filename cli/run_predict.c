// SPDX-License-Identifier: MIT
// Component: the feature image of a model folder, as `p2s predict` makes it.
#include "cli/run.h"
#include "cli/run_inputs.h"
#include "eval/predictor.h"

#include <stdlib.h>

#define PREDICT_RUN_KEYS(KEY)                                 \
    KEY(INT, resolution, "resolution", "-1", "[-1, 65528]",   \
        "longer side that the network sees, 0: the image's, " \
        "-1: the model's p2s.json, or 768")
typedef struct {
    PREDICT_RUN_KEYS(CONFIG_FIELD)
} PredictKeys;
#define PREDICT_ROW(...) CONFIG_ROW(PredictKeys, __VA_ARGS__)
static const ConfigKey predict_rows[] = {PREDICT_RUN_KEYS(PREDICT_ROW)};
static const ConfigTable predict_table = {predict_rows, sizeof predict_rows / sizeof *predict_rows};

static int output_image(Run *run, Predictor *predictor, const Image *image) {
    Image features = {0};
    int64_t shape[] = {image->height, image->width, 3};
    int width = 0, height = 0;
    int result = predictor_features(predictor, image, &features);
    if (result == 0)
        result = run_output_values(run, "features", SAFE_U8, 3, shape, features.pixels);
    float *decoded = result == 0 ? predictor_decoded(predictor, image, &width, &height) : NULL;
    shape[0] = height;
    shape[1] = width;
    if (result == 0)
        result = decoded ? run_output_values(run, "decoded", SAFE_F32, 3, shape, decoded) : -1;
    free(decoded);
    image_free(&features);
    return result;
}

static int predict(Run *run, const void *given) {
    const PredictKeys *keys = given;
    const ModelOptions options = {.dtype = F32, .without_branch = true};
    PredictSettings settings;
    Predictor *predictor = NULL;
    Image image = {0};
    int result = run_picture(run, "image", &image);
    Model *model = result == 0 ? model_open(run_model(run), &options) : NULL;
    if (model && predict_settings_read(&settings, run_model(run)) == 0) {
        if (keys->resolution >= 0) settings.resolution = keys->resolution;
        predictor = predictor_open(model, &settings);
    }
    result = predictor ? output_image(run, predictor, &image) : -1;
    predictor_close(predictor);
    model_free(model);
    image_free(&image);
    return result;
}

static const Component components[] = {
    {.name = "predict",
     .help = "the feature image of the model of DIR, without its branch",
     .needs_model = true,
     .inputs = {{"image", RUN_BYTE, "H,W,3", false, NULL}},
     .outputs = {{"decoded", RUN_FLOAT, "h,w,3", false,
                  "0..255 at the processing resolution, fractions not dropped"},
                 {"features", RUN_BYTE, "H,W,3", false, "the 8-bit image made of it"}},
     .keys = &predict_table,
     .keys_size = sizeof(PredictKeys),
     .run = predict},
};

const ComponentGroup components_predict = {components, sizeof components / sizeof components[0]};
