// SPDX-License-Identifier: MIT
// See predict_settings.h.
#include "eval/predict_settings.h"

#include "base/error.h"
#include "base/file.h"
#include "nn/netconfig.h"

#include <stdlib.h>
#include <string.h>

static const char *const normalise_names[] = {"minmax", "affine"};
static const char *const x0_names[] = {"image", "zero"};
static const int64_t most = 65528; // the largest side of an image that is a multiple of 8

PredictSettings predict_settings_default(void) {
    return (PredictSettings){.normalise = PREDICT_MINMAX,
                             .x0 = PREDICT_X0_IMAGE,
                             .resolution = 768,
                             .prompt_sigma = 0.01};
}

// Index of the word that stands under the key; `value` stays when there is none.
static int choose(const json_t *root, const char *key, const char *const *names, int count,
                  int *value) {
    const json_t *found = json_object_get(root, key);
    if (!found) return 0;
    for (int i = 0; i < count && json_is_string(found); i++)
        if (strcmp(json_string_value(found), names[i]) == 0) {
            *value = i;
            return 0;
        }
    return error_int("%s must be \"%s\"%s%s%s or \"%s\"", key, names[0], count > 2 ? ", \"" : "",
                     count > 2 ? names[1] : "", count > 2 ? "\"" : "", names[count - 1]);
}

static int take(PredictSettings *settings, const json_t *root) {
    static const NetconfigRule rules[] = {{"normalise", NULL},       {"x0", NULL},
                                          {"resolution", NULL},      {"prompt_sigma", NULL},
                                          {"prompt_encoding", NULL}, {NULL, NULL}};
    int normalise = (int)settings->normalise, x0 = (int)settings->x0,
        encoding = (int)settings->encoding;
    if (netconfig_check(root, rules) != 0 ||
        choose(root, "normalise", normalise_names, 2, &normalise) != 0 ||
        choose(root, "x0", x0_names, 2, &x0) != 0 ||
        choose(root, "prompt_encoding", condition_names, 3, &encoding) != 0 ||
        netconfig_integer(root, "resolution", 0, most, &settings->resolution) != 0 ||
        netconfig_number(root, "prompt_sigma", 1e-6, 1, &settings->prompt_sigma) != 0)
        return -1;
    settings->normalise = (PredictNormalise)normalise;
    settings->x0 = (PredictX0)x0;
    settings->encoding = (ConditionEncoding)encoding;
    return 0;
}

void predict_settings_override(PredictSettings *settings, const EvalConfig *config) {
    if (config->resolution >= 0) settings->resolution = config->resolution;
    if (config->prompt_sigma > 0) settings->prompt_sigma = config->prompt_sigma;
}

int predict_settings_read(PredictSettings *settings, const char *folder) {
    *settings = predict_settings_default();
    char *path = path_join(folder, "p2s.json");
    if (!path) return -1;
    int result = 0;
    if (file_exists(path)) {
        json_t *root = netconfig_read(path);
        result = root ? take(settings, root) : -1;
        if (root && result != 0) error_context("%s", path);
        json_decref(root);
    }
    free(path);
    return result;
}

int predict_settings_write(const PredictSettings *settings, const char *folder) {
    json_t *root = json_pack(
        "{s:s,s:s,s:I,s:f,s:s}", "normalise", normalise_names[settings->normalise], "x0",
        x0_names[settings->x0], "resolution", (json_int_t)settings->resolution, "prompt_sigma",
        settings->prompt_sigma, "prompt_encoding", condition_names[settings->encoding]);
    if (!root) return error_int("%s: out of memory", folder);
    char *path = path_join(folder, "p2s.json");
    const int result = path ? netconfig_write(path, root) : -1;
    free(path);
    json_decref(root);
    return result;
}
