// SPDX-License-Identifier: MIT
// p2s predict: image and points in, mask out.
#include "cli/arguments.h"
#include "cli/command.h"
#include "cli/device.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "eval/branch_readout.h"
#include "eval/figure.h"
#include "eval/mask_folder.h"
#include "eval/posthoc.h"
#include "eval/predictor.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char help[] =
    "usage: p2s predict --model DIR --image FILE --point x,y [--point x,y ...] --out mask.png\n"
    "                   [--overlay FILE] [--features FILE] [--prompting branch|posthoc]\n\n"
    "Segments what the points lie on, all of one object. The mask is an 8-bit PNG, 0 or 255, of "
    "the\n"
    "image's size.\n\n"
    "  --point x,y      column and row in pixels, from 0 at the upper left\n"
    "  --prompting P    branch: points are the network's input (the default of models that have\n"
    "                   controlnet/); posthoc: points choose from the finished feature image\n"
    "  --overlay FILE   the image with mask and points drawn on it\n"
    "  --features FILE  the feature image that the mask is read from\n"
    "  --resolution N   longer side that the network sees, 0 = the image's (default: the model's\n"
    "                   p2s.json, or 768)\n"
    "  --sigma S        deviation of the colour query over the image's sides (default 0.01)\n"
    "  --threshold T    posthoc: 0..255, above is inside (default 3)\n"
    "  --readout R      halfspace (the branch's default: closer to the query than to black) or "
    "map\n"
    "                   (posthoc's default: similarity, filter, threshold)\n"
    "  --similarity F   map: paper or code, the published form of the similarity (default paper)\n"
    "  --connected      only what is connected with a point\n"
    "  --device D       cpu or cuda (default cpu)\n"
    "  --threads T      threads of arithmetic (default: all processors)\n\n"
    "  p2s predict --model runs/prompt2seg/checkpoints/latest --image cat.jpg --point 412,207 \\\n"
    "      --out cat-mask.png --overlay cat-overlay.png\n";

typedef struct {
    const char *model, *image, *out, *overlay, *features, *prompting, *readout, *similarity;
    const char *device;
    int64_t threads, resolution, threshold;
    double sigma;
    bool connected;
    Words points;
} PredictArguments;

static bool read_arguments(int argc, char **argv, PredictArguments *a, int *code) {
    const Argument table[] = {
        ARG_TEXT("--model", a->model),
        ARG_TEXT("--image", a->image),
        ARG_WORDS("--point", a->points),
        ARG_TEXT("--out", a->out),
        ARG_TEXT("--overlay", a->overlay),
        ARG_TEXT("--features", a->features),
        ARG_CHOICE("--prompting", a->prompting, "branch|posthoc"),
        ARG_CHOICE("--readout", a->readout, "halfspace|map"),
        ARG_CHOICE("--similarity", a->similarity, "paper|code"),
        ARG_RANGE("--resolution", INTEGER, a->resolution, 0, 65528),
        ARG_RANGE("--threshold", INTEGER, a->threshold, 0, 255),
        ARG_RANGE("--sigma", NUMBER, a->sigma, 1e-6, 1),
        ARG_FLAG("--connected", a->connected),
        DEVICE_ARGUMENTS(a->device, a->threads),
    };
    const Arguments known = {
        .help = help, .options = table, .option_count = ARGUMENTS_COUNT(table)};
    return arguments_read(&known, argc, argv, code);
}

static int parse_points(const PredictArguments *arguments, PixelPoint *points) {
    for (int i = 0; i < arguments->points.count; i++) {
        const char *text = arguments->points.items[i], *comma = strchr(text, ',');
        char first[16];
        int64_t x, y;
        const size_t length = comma ? (size_t)(comma - text) : sizeof first;
        if (length >= sizeof first) return error_int("--point %s: expected x,y", text);
        memcpy(first, text, length);
        first[length] = '\0';
        // Whether it lies inside is for the image to say.
        if (text_to_int64(first, INT_MIN, INT_MAX, &x) != 0 ||
            text_to_int64(comma + 1, INT_MIN, INT_MAX, &y) != 0)
            return error_context("--point %s", text);
        points[i] = (PixelPoint){(int)x, (int)y};
    }
    return 0;
}

// Whether a file could be made at `path` without replacing the image, asked before the work is
// done.
static int check_writable(const char *path, const char *image) {
    struct stat here, there;
    if (!path) return 0;
    if (stat(path, &here) == 0 && stat(image, &there) == 0 && here.st_dev == there.st_dev &&
        here.st_ino == there.st_ino)
        return error_int("%s: is the image itself", path);
    if (folder_exists(path)) return error_int("%s: is a folder, expected a file", path);
    char *folder = path_folder(path);
    if (!folder) return -1;
    int result = 0;
    if (!folder_exists(folder))
        result = error_int("%s: the folder %s does not exist", path, folder);
    else if (access(folder, W_OK) != 0)
        result = error_int("%s: the folder %s cannot be written", path, folder);
    free(folder);
    return result;
}

// Whether writing to both leaves only one; a path that is not given is NULL.
static bool same_output(const char *one, const char *other) {
    struct stat here, there;
    if (!one || !other) return false;
    if (stat(one, &here) == 0 && stat(other, &there) == 0)
        return S_ISREG(here.st_mode) && here.st_dev == there.st_dev && here.st_ino == there.st_ino;
    if (strcmp(path_name(one), path_name(other)) != 0) return false;
    char *folders[] = {path_folder(one), path_folder(other)};
    bool same = folders[0] && folders[1] && stat(folders[0], &here) == 0 &&
                stat(folders[1], &there) == 0 && here.st_dev == there.st_dev &&
                here.st_ino == there.st_ino;
    free(folders[0]);
    free(folders[1]);
    return same;
}

static int check_outputs(const PredictArguments *arguments) {
    const char *const paths[] = {arguments->out, arguments->overlay, arguments->features};
    for (int i = 0; i < 3; i++) {
        if (check_writable(paths[i], arguments->image) != 0) return -1;
        for (int j = 0; j < i; j++)
            if (same_output(paths[i], paths[j]))
                return error_int(
                    "%s: two of --out, --overlay and --features would be written there", paths[i]);
    }
    return 0;
}

// ---- the mask -----------------------------------------------------------------------------------

static int read_out(const PredictArguments *arguments, bool branch, const Image *features,
                    const PixelPoint *points, uint8_t *mask) {
    const int count = arguments->points.count;
    const bool halfspace =
        arguments->readout ? strcmp(arguments->readout, "halfspace") == 0 : branch;
    PosthocOptions options = posthoc_options();
    options.sigma = arguments->sigma;
    options.threshold = (int)arguments->threshold;
    options.component = arguments->connected;
    if (strcmp(arguments->similarity, "code") == 0) options.form = SIMILARITY_CODE;
    if (!halfspace) return posthoc_mask(features, points, count, &options, mask);
    if (branch_readout(features, points, count, arguments->sigma, mask) != 0) return -1;
    options.threshold = 0;
    return posthoc_threshold(mask, features->width, features->height, points, count, &options);
}

// Draws on the image itself.
static int write_overlay(const char *path, Image *image, const uint8_t *mask,
                         const PixelPoint *points, int count) {
    const int longer = image->width > image->height ? image->width : image->height;
    figure_mask(image, mask, (Color){255, 64, 32}, 0.45);
    for (int i = 0; i < count; i++)
        figure_point(image, points[i], 1 + longer / 160, (Color){255, 255, 255});
    return image_write_png(path, image);
}

static int write_all(const PredictArguments *arguments, Image *image, const Image *features,
                     const PixelPoint *points, const uint8_t *mask) {
    if (arguments->features && image_write_png(arguments->features, features) != 0) return -1;
    if (arguments->overlay &&
        write_overlay(arguments->overlay, image, mask, points, arguments->points.count) != 0)
        return -1;
    return mask_write(arguments->out, features->width, features->height, mask);
}

// ---- the model ----------------------------------------------------------------------------------

static int make_features(const PredictArguments *arguments, bool *branch, const Image *image,
                         const PixelPoint *points, Image *features) {
    const bool posthoc = arguments->prompting && strcmp(arguments->prompting, "posthoc") == 0;
    const ModelOptions options = {.dtype = F32, .without_branch = posthoc};
    PredictSettings settings;
    Model *model = model_open(arguments->model, &options);
    Predictor *predictor = NULL;
    int result = -1;
    *branch = !posthoc && (arguments->prompting || (model && model->control));
    if (model && predict_settings_read(&settings, arguments->model) == 0) {
        if (arguments->resolution >= 0) settings.resolution = arguments->resolution;
        predictor = predictor_open(model, &settings);
    }
    if (predictor && *branch)
        result =
            predictor_branch_features(predictor, image, points, arguments->points.count, features);
    else if (predictor)
        result = predictor_features(predictor, image, features);
    predictor_close(predictor);
    model_free(model);
    return result;
}

static int predict(const PredictArguments *arguments, Image *image, Image *features) {
    PixelPoint points[ARGUMENTS_MAX];
    bool branch = false;
    if (parse_points(arguments, points) != 0 || check_outputs(arguments) != 0 ||
        image_read(arguments->image, image) != 0)
        return -1;
    if (points_check(points, arguments->points.count, image->width, image->height) != 0)
        return error_context("%s", arguments->image);
    if (device_option(arguments->device, arguments->threads) != 0 ||
        make_features(arguments, &branch, image, points, features) != 0)
        return -1;
    uint8_t *mask = array_new((size_t)image->width * (size_t)image->height, 1);
    int result = mask ? read_out(arguments, branch, features, points, mask) : -1;
    if (result == 0) result = write_all(arguments, image, features, points, mask);
    free(mask);
    return result;
}

int cmd_predict(int argc, char **argv) {
    PredictArguments arguments = {
        .similarity = "paper", .device = "cpu", .resolution = -1, .threshold = 3, .sigma = 0.01};
    Image image = {0}, features = {0};
    int code = EXIT_OK;
    if (!read_arguments(argc, argv, &arguments, &code)) return code;
    if (!arguments.model) return arguments_wrong("predict", "--model DIR is missing");
    if (!arguments.image) return arguments_wrong("predict", "--image FILE is missing");
    if (!arguments.out) return arguments_wrong("predict", "--out FILE is missing");
    if (arguments.points.count == 0) return arguments_wrong("predict", "--point x,y is missing");
    const int result = predict(&arguments, &image, &features);
    image_free(&image);
    image_free(&features);
    return result == 0 ? EXIT_OK : command_failed();
}
