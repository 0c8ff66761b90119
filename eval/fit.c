// SPDX-License-Identifier: MIT
// Grid search over read-outs. See fit.h. Maps are made once for all systems on the same features,
// and one map serves all thresholds.
#include "eval/fit.h"

#include "base/error.h"
#include "base/memory.h"
#include "eval/components.h"

#include <math.h>
#include <stdlib.h>

// clang-format off
const int fit_thresholds[FIT_THRESHOLDS] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15,
    17, 20, 24, 28, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224};
// clang-format on
static const double sigmas[] = {0.01, 0.02, 0.04};
static const double floods[] = {0,  2,  4,  6,  8,  10, 12, 15,  18,  22,
                                26, 30, 36, 44, 52, 64, 80, 100, 130, 170};
enum {
    SIGMAS = sizeof sigmas / sizeof *sigmas,
    FORMS = 2,
    FLOODS = sizeof floods / sizeof *floods,
    DISCS = 64,    // radii k / 128 of sqrt(width * height)
    MAP_DISCS = 16 // k / 32
};

struct Fit {
    SystemList *systems;
    double **sums; // [systems][settings], NULL for systems that are not fitted
    int64_t targets;
};

static int settings_of(const System *system) {
    if (!system_can_be_fitted(system)) return 0;
    switch (system->rule) {
    case RULE_MAP:
        return FORMS * SIGMAS * FIT_THRESHOLDS;
    case RULE_MAP_DISC: // at one sigma, the middle one
        return FORMS * FIT_THRESHOLDS * MAP_DISCS;
    case RULE_HALF_SPACE:
        return SIGMAS;
    case RULE_DISC:
        return DISCS;
    case RULE_FLOOD:
        return FLOODS;
    default:
        return 0;
    }
}

static void set_readout(System *system, int setting) {
    Readout *readout = &system->readout;
    switch (system->rule) {
    case RULE_MAP:
        readout->threshold = fit_thresholds[setting % FIT_THRESHOLDS];
        setting /= FIT_THRESHOLDS;
        readout->sigma = sigmas[setting % SIGMAS];
        readout->form = (SimilarityForm)(setting / SIGMAS);
        break;
    case RULE_MAP_DISC:
        readout->disc = (setting % MAP_DISCS + 1) / 32.0;
        setting /= MAP_DISCS;
        readout->threshold = fit_thresholds[setting % FIT_THRESHOLDS];
        readout->form = (SimilarityForm)(setting / FIT_THRESHOLDS);
        readout->sigma = sigmas[SIGMAS / 2];
        break;
    case RULE_HALF_SPACE:
        readout->sigma = sigmas[setting];
        break;
    case RULE_DISC:
        readout->disc = (setting + 1) / 128.0;
        break;
    case RULE_FLOOD:
        readout->flood = floods[setting];
        break;
    default:
        break;
    }
}

static size_t pixels_of(const Target *target) {
    const Image *image = &target->sample->image;
    return (size_t)image->width * (size_t)image->height;
}

// Without the component rule, counts of map values inside and outside the truth tell everything.
static void histogram_curve(const Target *target, const uint8_t *map,
                            double curve[FIT_THRESHOLDS]) {
    int64_t inside[256] = {0}, outside[256] = {0}, truth = 0;
    const uint8_t *ignore = target->sample->ignore;
    for (size_t i = 0; i < pixels_of(target); i++) {
        if (ignore && ignore[i]) continue;
        if (target->truth[i])
            inside[map[i]]++, truth++;
        else
            outside[map[i]]++;
    }
    for (int t = 0; t < FIT_THRESHOLDS; t++) {
        int64_t both = 0, spill = 0;
        for (int value = fit_thresholds[t] + 1; value < 256; value++) {
            both += inside[value];
            spill += outside[value];
        }
        curve[t] = truth + spill ? (double)both / (double)(truth + spill) : 1;
    }
}

static int component_curve(const Target *target, const uint8_t *map, uint8_t *mask,
                           double curve[FIT_THRESHOLDS]) {
    const Image *image = &target->sample->image;
    for (int t = 0; t < FIT_THRESHOLDS; t++) {
        for (size_t i = 0; i < pixels_of(target); i++) mask[i] = map[i] > fit_thresholds[t];
        if (components_keep(mask, image->width, image->height, target->points, target->point_count))
            return -1;
        curve[t] = target_score(target, mask);
    }
    return 0;
}

int threshold_curve(const Target *target, const uint8_t *map, bool component,
                    double curve[FIT_THRESHOLDS]) {
    if (!component) {
        histogram_curve(target, map, curve);
        return 0;
    }
    uint8_t *mask = array_new(pixels_of(target), 1);
    int result = mask ? component_curve(target, map, mask, curve) : -1;
    free(mask);
    return result;
}

Fit *fit_new(SystemList *systems) {
    Fit *fit = array_new(1, sizeof *fit);
    if (!fit) return NULL;
    *fit = (Fit){.systems = systems, .sums = array_new(systems->count, sizeof *fit->sums)};
    bool complete = fit->sums;
    for (size_t i = 0; complete && i < systems->count; i++) {
        const int settings = settings_of(&systems->items[i]);
        if (settings == 0) continue;
        fit->sums[i] = array_new((size_t)settings, sizeof **fit->sums);
        complete = fit->sums[i];
    }
    if (complete) return fit;
    fit_free(fit);
    return NULL;
}

void fit_free(Fit *fit) {
    if (!fit) return;
    for (size_t i = 0; fit->sums && i < fit->systems->count; i++) free(fit->sums[i]);
    free(fit->sums);
    free(fit);
}

// Adds the curve of one map to all systems that read this kind of features by maps.
static int add_map(Fit *fit, Target *target, FeatureKind kind, int map_setting,
                   const uint8_t *map) {
    for (size_t i = 0; i < fit->systems->count; i++) {
        const System *system = &fit->systems->items[i];
        if (!fit->sums[i] || system->rule != RULE_MAP || system->features != kind) continue;
        double curve[FIT_THRESHOLDS];
        if (threshold_curve(target, map, system->component, curve)) return -1;
        double *sums = fit->sums[i] + map_setting * FIT_THRESHOLDS;
        for (int t = 0; t < FIT_THRESHOLDS; t++) sums[t] += curve[t];
    }
    return 0;
}

static bool has_maps(const Fit *fit, FeatureKind kind) {
    for (size_t i = 0; i < fit->systems->count; i++) {
        const System *system = &fit->systems->items[i];
        if (fit->sums[i] && system->rule == RULE_MAP && system->features == kind) return true;
    }
    return false;
}

static int add_maps(Fit *fit, Target *target, FeatureKind kind) {
    if (!has_maps(fit, kind)) return 0;
    for (int setting = 0; setting < FORMS * SIGMAS; setting++) {
        const PosthocOptions options = {.sigma = sigmas[setting % SIGMAS],
                                        .form = (SimilarityForm)(setting / SIGMAS)};
        const uint8_t *map =
            features_map(target->features, kind, target->points, target->point_count, &options);
        if (!map || add_map(fit, target, kind, setting, map)) return -1;
    }
    return 0;
}

static int add_others(Fit *fit, size_t index, Target *target, uint8_t *mask) {
    System trial = fit->systems->items[index];
    const int settings = settings_of(&trial);
    for (int setting = 0; setting < settings; setting++) {
        set_readout(&trial, setting);
        if (system_predict(&trial, target, mask)) return -1;
        fit->sums[index][setting] += target_score(target, mask);
    }
    return 0;
}

int fit_add(Fit *fit, Target *target) {
    uint8_t *mask = array_new(pixels_of(target), 1);
    int result = mask ? 0 : -1;
    for (int kind = 0; kind < FEATURES_KINDS && result == 0; kind++)
        result = add_maps(fit, target, (FeatureKind)kind);
    for (size_t i = 0; i < fit->systems->count && result == 0; i++)
        if (fit->sums[i] && fit->systems->items[i].rule != RULE_MAP)
            result = add_others(fit, i, target, mask);
    free(mask);
    fit->targets += result == 0;
    return result;
}

int fit_apply(const Fit *fit, double *miou) {
    if (fit->targets == 0) return error_int("fit: the set has no instance to be scored");
    for (size_t i = 0; i < fit->systems->count; i++) {
        if (miou) miou[i] = NAN;
        if (!fit->sums[i]) continue;
        System *system = &fit->systems->items[i];
        int best = 0;
        for (int setting = 1; setting < settings_of(system); setting++)
            if (fit->sums[i][setting] > fit->sums[i][best]) best = setting;
        set_readout(system, best);
        if (miou) miou[i] = fit->sums[i][best] / (double)fit->targets;
    }
    return 0;
}
