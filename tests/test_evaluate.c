// SPDX-License-Identifier: MIT
// The evaluation, with models that are pure functions of the picture and sets of a few flat shapes,
// so that every score is known exactly.
#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/image.h"
#include "eval/evaluate.h"
#include "eval/fit.h"
#include "eval/image_dependence.h"
#include "tests/sample_data.h"

#include <criterion/criterion.h>
#include <jansson.h>
#include <math.h>

static Path scratch;

static void make_scratch(void) {
    scratch = scratch_make();
}

static void remove_scratch(void) {
    cr_expect_eq(folder_remove(scratch.text), 0);
}

TestSuite(evaluate, .init = make_scratch, .fini = remove_scratch);

// One picture with its labels, black and 0 until something is drawn.
typedef struct {
    Image image;
    LabelMap labels;
} Canvas;

static Canvas canvas(int width, int height) {
    Canvas made;
    cr_assert_eq(image_new(&made.image, width, height, 3), 0);
    cr_assert_eq(label_map_new(&made.labels, width, height), 0);
    return made;
}

static void rectangle(Canvas *canvas, int x, int y, int width, int height, int color, int id) {
    for (int v = y; v < y + height; v++)
        for (int u = x; u < x + width; u++) {
            const int at = v * canvas->image.width + u;
            canvas->labels.ids[at] = id;
            for (int c = 0; c < 3; c++)
                canvas->image.pixels[3 * at + c] = (uint8_t)(color >> (16 - 8 * c));
        }
}

// The five pixels of a disc of radius 1.
static void plus(Canvas *canvas, int x, int y, int color, int id) {
    rectangle(canvas, x - 1, y, 3, 1, color, id);
    rectangle(canvas, x, y - 1, 1, 3, color, id);
}

static void save(Canvas *canvas, const char *set, const char *name) {
    Path root = in_folder(scratch.text, set);
    Path images = in_folder(root.text, "images"), labels = in_folder(root.text, "labels");
    cr_assert_eq(folder_make(images.text), 0);
    cr_assert_eq(folder_make(labels.text), 0);
    cr_assert_eq(image_write_png(in_folder(images.text, name).text, &canvas->image), 0);
    cr_assert_eq(label_png_write(in_folder(labels.text, name).text, &canvas->labels), 0);
    image_free(&canvas->image);
    label_map_free(&canvas->labels);
}

enum { RED = 0xff0000, GREEN = 0x00ff00, BLUE = 0x0000ff, WHITE = 0xffffff, NEARLY = 0xfafaf5 };

// a: two red objects of 16 and 8 pixels; b: a green one of 36, beside it 12 green pixels of 255.
static void make_pair(void) {
    Canvas a = canvas(16, 12), b = canvas(16, 12);
    rectangle(&a, 1, 1, 4, 4, RED, 5);
    rectangle(&a, 8, 1, 4, 2, RED, 9);
    save(&a, "pair", "a.png");
    rectangle(&b, 2, 3, 6, 6, GREEN, 3);
    rectangle(&b, 8, 3, 2, 6, GREEN, 255);
    save(&b, "pair", "b.png");
}

// An object and, unlabelled, one of nearly its colour.
static void make_near(const char *set, int x) {
    Canvas one = canvas(32, 32);
    plus(&one, x, 8, WHITE, 1);
    plus(&one, x, 24, NEARLY, 0);
    save(&one, set, "one.png");
}

static int same_image(void *context, const Image *image, Image *features) {
    (void)context;
    if (image_new(features, image->width, image->height, 3)) return -1;
    memcpy(features->pixels, image->pixels, 3 * (size_t)image->width * (size_t)image->height);
    return 0;
}

// White wherever the colour is that of a point, else black. Counts its calls in the context.
static int same_color(void *context, const Image *image, const Image *drawn_on,
                      const PixelPoint *points, int count, Image *features) {
    (void)drawn_on;
    if (context) ++*(int *)context;
    if (image_new(features, image->width, image->height, 3)) return -1;
    for (int i = 0; i < image->width * image->height; i++)
        for (int p = 0; p < count; p++) {
            const int at = points[p].y * image->width + points[p].x;
            if (memcmp(image->pixels + 3 * i, image->pixels + 3 * at, 3) == 0)
                memset(features->pixels + 3 * i, 255, 3);
        }
    return 0;
}

// The same picture whatever the image.
static int blind(void *context, const Image *image, const Image *drawn_on, const PixelPoint *points,
                 int count, Image *features) {
    (void)context;
    (void)drawn_on;
    (void)count;
    if (image_new(features, image->width, image->height, 3)) return -1;
    memset(features->pixels + 3 * (points[0].y * image->width + points[0].x), 200, 3);
    return 0;
}

// Sees nothing but what its prompt was drawn on, and paints that.
static int copies_prompt(void *context, const Image *image, const Image *drawn_on,
                         const PixelPoint *points, int count, Image *features) {
    (void)image;
    (void)points;
    (void)count;
    return same_image(context, drawn_on, features);
}

static int paints_image(void *context, const Image *image, const Image *drawn_on,
                        const PixelPoint *points, int count, Image *features) {
    (void)drawn_on;
    (void)points;
    (void)count;
    return same_image(context, image, features);
}

static const EvalModel fake = {NULL, same_image, same_color}, no_model = {NULL, NULL, NULL};

// A configuration from the defaults and "key=value" texts, where @ is the scratch folder.
static EvalConfig configure(const char *const *settings) {
    EvalConfig config = {0};
    cr_assert_eq(config_defaults(&eval_table, &config), 0, "%s", error_message());
    cr_assert_eq(
        config_set(&eval_table, &config, "out", in_folder(scratch.text, "out").text, "test"), 0);
    for (; *settings; settings++) {
        Text text = {0};
        for (const char *c = *settings; *c; c++)
            if (*c == '@')
                text_add(&text, "%s", scratch.text);
            else
                text_add_bytes(&text, c, 1);
        cr_assert_eq(config_override(&eval_table, &config, text_string(&text), "test"), 0, "%s",
                     error_message());
        text_free(&text);
    }
    return config;
}

#define SETTINGS(...) ((const char *const[]){__VA_ARGS__, NULL})

// Runs and writes everything; returns results.json.
static json_t *evaluate(const char *const *settings, const EvalModel *model) {
    EvalConfig config = configure(settings);
    Evaluation *evaluation = evaluation_new(&config, model);
    cr_assert(evaluation, "%s", error_message());
    cr_assert_eq(evaluation_run(evaluation, true), 0, "%s", error_message());
    cr_assert_eq(evaluation_write(evaluation), 0, "%s", error_message());
    Path path = in_folder(config.out, "results.json");
    json_t *root = json_load_file(path.text, 0, NULL);
    cr_assert(root);
    evaluation_free(evaluation);
    config_free(&eval_table, &config);
    return root;
}

static void expect_refused(const char *const *settings, const EvalModel *model, const char *part) {
    EvalConfig config = configure(settings);
    cr_expect_null(evaluation_new(&config, model));
    expect_error(part);
    config_free(&eval_table, &config);
}

static json_t *at(json_t *root, const char *a, const char *b, const char *c) {
    json_t *value = json_object_get(json_object_get(json_object_get(root, a), b), c);
    cr_assert(value, "%s.%s.%s is missing", a, b, c);
    return value;
}

static double miou(json_t *root, const char *set, const char *system) {
    json_t *value =
        json_object_get(json_object_get(at(root, "sets", set, "systems"), system), "miou");
    cr_assert(value, "%s is missing on %s", system, set);
    return json_number_value(value);
}

static void expect_near(double found, double expected) {
    cr_expect_float_eq(found, expected, 1e-7, "%.9f, expected %.9f", found, expected);
}

Test(evaluate, a_disc_cuts_what_the_map_finds) {
    make_pair();
    const char *set = "sets=folder:path=@/pair:subset=ignore255:name=cut";
    json_t *all = evaluate(SETTINGS(set, "readout.disc=2"), &fake);
    expect_near(miou(all, "cut", "gen2seg+disc"), 1);
    expect_near(miou(all, "cut", "color+disc"), 1);
    json_decref(all);
    json_t *point = evaluate(SETTINGS(set, "readout.disc=0.01"), &fake);
    expect_near(miou(point, "cut", "gen2seg+disc"), (1 / 16.0 + 1 / 8.0 + 1 / 36.0) / 3);
    json_decref(point);
}

Test(evaluate, every_system_gets_its_exact_score) {
    make_pair();
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/pair:subset=ignore255:name=cut"), &fake);
    cr_expect_eq(json_integer_value(at(root, "sets", "cut", "instances")), 3);
    const double two_of_three = (16 / 24.0 + 8 / 24.0 + 1) / 3;
    expect_near(miou(root, "cut", "gen2seg"), two_of_three);
    expect_near(miou(root, "cut", "gen2seg+cc"), 1);
    expect_near(miou(root, "cut", "prompt2seg"), two_of_three);
    expect_near(miou(root, "cut", "prompt2seg+map"), two_of_three);
    expect_near(miou(root, "cut", "prompt2seg+map+cc"), 1);
    expect_near(miou(root, "cut", "color"), two_of_three);
    expect_near(miou(root, "cut", "color+cc"), 1);
    expect_near(miou(root, "cut", "flood"), 1);
    expect_near(miou(root, "cut", "whole"), (16 / 192.0 + 8 / 192.0 + 36 / 180.0) / 3);
    expect_near(miou(root, "cut", "oracle"), 1);
    json_decref(root);
}

Test(evaluate, unignored_pixels_and_small_instances_count_as_configured) {
    make_pair();
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/pair:name=all", "systems=gen2seg"), &fake);
    cr_expect_eq(json_integer_value(at(root, "sets", "all", "instances")), 4);
    expect_near(miou(root, "all", "gen2seg"), (16 / 24.0 + 8 / 24.0 + 36 / 48.0 + 12 / 48.0) / 4);
    json_decref(root);
    root = evaluate(
        SETTINGS("sets=folder:path=@/pair:name=all", "systems=gen2seg", "limit.min_area=12.5"),
        &fake);
    expect_near(miou(root, "all", "gen2seg"), (16 / 24.0 + 36 / 48.0) / 2);
    cr_expect_eq(json_integer_value(at(root, "skipped", "all", "small")), 2);
    cr_expect_eq(json_integer_value(at(root, "skipped", "all", "crowd")), 0);
    json_decref(root);
    root = evaluate(SETTINGS("sets=folder:path=@/pair:name=all", "systems=gen2seg",
                             "limit.images=1", "limit.instances=1"),
                    &fake);
    expect_near(miou(root, "all", "gen2seg"), 16 / 24.0);
    json_decref(root);
}

Test(evaluate, without_a_model_the_trivial_rows_remain) {
    make_pair();
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/pair:name=all"), &no_model);
    cr_expect_eq(json_object_size(at(root, "sets", "all", "systems")), 7);
    cr_expect_null(json_object_get(root, "image_dependence"));
    cr_expect_null(json_object_get(root, "fitted"));
    json_decref(root);
}

Test(evaluate, further_points_go_to_what_is_missed) {
    Canvas parts = canvas(16, 12);
    rectangle(&parts, 1, 1, 4, 4, RED, 7);
    rectangle(&parts, 8, 1, 3, 3, BLUE, 7);
    save(&parts, "parts", "c.png");
    int calls = 0;
    const EvalModel counted = {&calls, same_image, same_color};
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/parts:name=parts",
                                     "systems=prompt2seg,prompt2seg+map,whole", "prompt.points=3",
                                     "image_dependence=0", "page.pictures=0"),
                            &counted);
    expect_near(miou(root, "parts", "prompt2seg"), 16 / 25.0);
    expect_near(miou(root, "parts", "prompt2seg@2"), 1);
    expect_near(miou(root, "parts", "prompt2seg@3"), 1);
    expect_near(miou(root, "parts", "prompt2seg+map@2"), 1);
    expect_near(miou(root, "parts", "whole@3"), 25 / 192.0);
    cr_expect_eq(calls, 2, "both systems share the features of 1 and of 2 points, not %d", calls);
    json_t *goals = json_object_get(json_object_get(root, "points_to_80"), "parts");
    json_t *goal = json_object_get(goals, "prompt2seg"), *never = json_object_get(goals, "whole");
    expect_near(json_number_value(json_object_get(goal, "mean")), 2);
    expect_near(json_number_value(json_object_get(goal, "reached")), 1);
    expect_near(json_number_value(json_object_get(never, "mean")), 3);
    expect_near(json_number_value(json_object_get(never, "reached")), 0);
    const json_t *curve = json_object_get(goal, "miou");
    cr_assert_eq(json_array_size(curve), 3);
    expect_near(json_number_value(json_array_get(curve, 0)), 16 / 25.0);
    expect_near(json_number_value(json_array_get(curve, 1)), 1);
    json_decref(root);
    Path table = in_folder(scratch.text, "out/table.md");
    char *said = file_read(table.text, 1 << 20, NULL);
    cr_expect(strstr(said, "| prompt2seg | 2.00 | 100 % | 0.640 | 1.000 | 1.000 |"), "%s", said);
    free(said);
    Path lines = in_folder(scratch.text, "out/instances.jsonl");
    char *text = file_read(lines.text, 1 << 20, NULL);
    cr_expect(strstr(text, "\"prompts\":[[2,2],[9,2]],\"system\":\"prompt2seg@3\""), "%s", text);
    free(text);
}

Test(evaluate, a_random_first_point_can_stand_beside_the_central_one) {
    Canvas parts = canvas(16, 12);
    rectangle(&parts, 1, 1, 9, 9, RED, 7);
    save(&parts, "one", "c.png");
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/one:name=one", "systems=gen2seg,disc",
                                     "prompt.kind=both", "prompt.points=2", "page.pictures=0",
                                     "readout.disc=0.5"),
                            &fake);
    json_t *random = evaluate(SETTINGS("sets=folder:path=@/one:name=one", "systems=gen2seg,disc",
                                       "prompt.kind=random", "page.pictures=0", "readout.disc=0.5"),
                              &fake);
    expect_near(miou(root, "one", "disc@random"), miou(random, "one", "disc"));
    cr_expect_gt(fabs(miou(root, "one", "disc@random") - miou(root, "one", "disc")), 1e-3);
    cr_expect_null(json_object_get(json_object_get(root, "points_to_80"), "disc@random"));
    json_decref(root);
    json_decref(random);
}

Test(evaluate, readouts_are_fitted_on_the_validation_set_and_used_on_others) {
    make_near("val", 8);
    make_near("test", 20);
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/val:name=val,folder:path=@/test:name=test",
                                     "fit=val", "systems=gen2seg,disc,flood,oracle"),
                            &fake);
    cr_expect_str_eq(json_string_value(json_object_get(json_object_get(root, "fitted"), "on")),
                     "val");
    json_t *found = at(root, "fitted", "systems", "gen2seg");
    // The other colour is sqrt(150) away, the background 441.7: (1/12.25 - 1/441.7) * 255.6 = 20.
    cr_expect_eq(json_integer_value(json_object_get(found, "threshold")), 20);
    cr_expect_str_eq(json_string_value(json_object_get(found, "similarity")), "paper");
    expect_near(json_number_value(json_object_get(found, "sigma")), 0.01);
    expect_near(json_number_value(json_object_get(found, "miou")), 1);
    found = at(root, "fitted", "systems", "disc");
    expect_near(json_number_value(json_object_get(found, "disc")), 1 / 32.0);
    cr_expect_null(
        json_object_get(json_object_get(json_object_get(root, "fitted"), "systems"), "oracle"));
    expect_near(miou(root, "test", "gen2seg"), 1);
    expect_near(miou(root, "test", "gen2seg fixed"), 0.5);
    expect_near(miou(root, "test", "disc"), 1);
    expect_near(miou(root, "test", "disc fixed"), 5 / 49.0);
    expect_near(miou(root, "test", "oracle"), 1);
    json_decref(root);
}

Test(evaluate, readouts_of_random_points_are_fitted_on_random_points) {
    Canvas one = canvas(32, 32);
    plus(&one, 16, 16, RED, 1);
    save(&one, "plus", "one.png");
    json_t *root =
        evaluate(SETTINGS("sets=folder:path=@/plus:name=plus", "fit=plus", "systems=disc",
                          "prompt.kind=both", "page.pictures=0", "readout.disc=0.5"),
                 &fake);
    json_t *center = at(root, "fitted", "systems", "disc");
    json_t *random = at(root, "fitted", "systems", "disc@random");
    expect_near(json_number_value(json_object_get(center, "miou")), miou(root, "plus", "disc"));
    expect_near(json_number_value(json_object_get(random, "miou")),
                miou(root, "plus", "disc@random"));
    cr_expect_gt(miou(root, "plus", "disc@random"), miou(root, "plus", "disc fixed@random"));
    cr_expect_neq(json_number_value(json_object_get(center, "disc")),
                  json_number_value(json_object_get(random, "disc")));
    json_decref(root);
}

Test(evaluate, best_thresholds_are_rows_of_their_own) {
    make_near("near", 8);
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/near:name=near", "systems=gen2seg,whole",
                                     "best_threshold=true"),
                            &fake);
    cr_expect_eq(json_object_size(at(root, "sets", "near", "systems")), 4);
    expect_near(miou(root, "near", "gen2seg"), 0.5);
    expect_near(miou(root, "near", "gen2seg best threshold (set)"), 1);
    expect_near(miou(root, "near", "gen2seg best threshold (image)"), 1);
    json_decref(root);
}

Test(evaluate, threshold_curve_agrees_with_masks_made_one_by_one) {
    make_pair();
    const char *settings[] = {"sets=folder:path=@/pair:name=all", "systems=gen2seg,gen2seg+cc",
                              "best_threshold=true", NULL};
    json_t *root = evaluate(settings, &fake);
    double best[2] = {0, 0};
    for (int t = 0; t < FIT_THRESHOLDS; t++) {
        char threshold[64];
        snprintf(threshold, sizeof threshold, "readout.threshold=%d", fit_thresholds[t]);
        json_t *one =
            evaluate(SETTINGS(settings[0], settings[1], threshold, "page.pictures=0"), &fake);
        best[0] = fmax(best[0], miou(one, "all", "gen2seg"));
        best[1] = fmax(best[1], miou(one, "all", "gen2seg+cc"));
        json_decref(one);
    }
    expect_near(miou(root, "all", "gen2seg best threshold (set)"), best[0]);
    expect_near(miou(root, "all", "gen2seg+cc best threshold (set)"), best[1]);
    json_decref(root);
}

Test(evaluate, exported_masks_score_the_same_from_their_folder) {
    make_pair();
    json_t *root = evaluate(
        SETTINGS("sets=folder:path=@/pair:name=all", "export.masks=true", "systems=gen2seg,disc"),
        &fake);
    const double gen2seg = miou(root, "all", "gen2seg"), disc = miou(root, "all", "disc");
    json_decref(root);
    const char *systems = "systems=masks:first=@/out/masks/gen2seg,oracle";
    root = evaluate(SETTINGS("sets=folder:path=@/pair:name=all", systems), &no_model);
    expect_near(miou(root, "all", "first"), gen2seg);
    cr_expect_eq(json_integer_value(at(root, "missing_masks", "all", "first")), 0);
    json_decref(root);
    Path moved = in_folder(scratch.text, "flat"), written = in_folder(scratch.text, "out/masks");
    cr_assert_eq(rename(in_folder(written.text, "disc/all").text, moved.text), 0);
    root = evaluate(SETTINGS("sets=folder:path=@/pair:name=all", "systems=masks:flat=@/flat"),
                    &no_model);
    expect_near(miou(root, "all", "flat"), disc);
    json_decref(root);
}

Test(evaluate, a_missing_mask_counts_as_nothing_and_is_counted) {
    make_pair();
    Canvas a = canvas(16, 12);
    rectangle(&a, 1, 1, 4, 2, 0x010000, 0);
    Path folder = in_folder(scratch.text, "other/a");
    cr_assert_eq(folder_make(folder.text), 0);
    cr_assert_eq(image_write_png(in_folder(folder.text, "5.png").text, &a.image), 0);
    image_free(&a.image);
    label_map_free(&a.labels);
    json_t *root = evaluate(SETTINGS("sets=folder:path=@/pair:name=all", "prompt.points=2",
                                     "systems=masks:other=@/other"),
                            &no_model);
    expect_near(miou(root, "all", "other"), 0.5 / 4);
    cr_expect_eq(json_integer_value(at(root, "missing_masks", "all", "other")), 3);
    json_decref(root);
}

Test(evaluate, a_mask_of_another_size_ends_the_run_and_leaves_nothing) {
    make_pair();
    Canvas a = canvas(16, 13);
    Path folder = in_folder(scratch.text, "other/a");
    cr_assert_eq(folder_make(folder.text), 0);
    cr_assert_eq(image_write_png(in_folder(folder.text, "5.png").text, &a.image), 0);
    image_free(&a.image);
    label_map_free(&a.labels);
    EvalConfig config = configure(SETTINGS("sets=folder:path=@/pair:name=all", "export.masks=true",
                                           "systems=oracle,masks:other=@/other"));
    Evaluation *evaluation = evaluation_new(&config, &no_model);
    cr_assert(evaluation, "%s", error_message());
    cr_expect_eq(evaluation_run(evaluation, true), -1);
    expect_error("5.png is 16x13 (width x height), expected 16x12");
    evaluation_free(evaluation);
    size_t count = 1;
    char **names = folder_list(config.out, &count);
    cr_expect_eq(count, 0);
    folder_list_free(names, count);
    config_free(&eval_table, &config);
}

Test(evaluate, a_blind_branch_is_seen_as_such) {
    make_pair();
    const EvalModel blind_model = {NULL, NULL, blind};
    const char *const *settings =
        SETTINGS("sets=folder:path=@/pair:name=all", "systems=prompt2seg");
    json_t *root = evaluate(settings, &blind_model);
    cr_expect_eq(json_integer_value(at(root, "image_dependence", "all", "images")), 2);
    expect_near(json_number_value(at(root, "image_dependence", "all", "deviation")), 0);
    expect_near(json_number_value(at(root, "image_dependence", "all", "level")), 200 / 192.0);
    json_decref(root);
    // The middle of a is black, so 168 pixels become white; that of b is green, so 48, of which 42
    // are among them. 132 pixels differ, by 255.
    root = evaluate(settings, &fake);
    expect_near(json_number_value(at(root, "image_dependence", "all", "deviation")),
                127.5 * 132 / 192);
    json_decref(root);
    // A confidence map is not the model's own eyes.
    const EvalModel copying = {NULL, NULL, copies_prompt};
    root = evaluate(settings, &copying);
    expect_near(json_number_value(at(root, "image_dependence", "all", "deviation")), 0);
    cr_expect_gt(json_number_value(at(root, "image_dependence", "all", "level")), 1);
    json_decref(root);
}

Test(evaluate, deviation_across_images_is_that_of_the_pixels) {
    const EvalModel model = {NULL, NULL, paints_image};
    ImageDependence dependence = {0};
    Image dark, light, other;
    cr_assert(image_new(&dark, 2, 1, 3) == 0 && image_new(&light, 2, 1, 3) == 0 &&
              image_new(&other, 1, 2, 3) == 0);
    memset(dark.pixels, 10, 6);
    memset(light.pixels, 10, 3);
    memset(light.pixels + 3, 30, 3);
    cr_expect_eq(image_dependence_add(&dependence, &model, &dark), 1);
    cr_expect_eq(image_dependence_add(&dependence, &model, &light), 1);
    cr_expect_eq(image_dependence_add(&dependence, &model, &other), 0);
    expect_near(image_dependence_deviation(&dependence), 5);
    expect_near(image_dependence_level(&dependence), 15);
    image_dependence_free(&dependence);
    image_free(&dark);
    image_free(&light);
    image_free(&other);
}

Test(evaluate, random_prompts_depend_on_the_seed_only) {
    make_pair();
    char *texts[3];
    const char *seeds[] = {"seed=1", "seed=1", "seed=2"};
    for (int i = 0; i < 3; i++) {
        json_decref(evaluate(SETTINGS("sets=folder:path=@/pair:name=all", "prompt.kind=random",
                                      seeds[i], "systems=oracle"),
                             &no_model));
        texts[i] = file_read(in_folder(scratch.text, "out/instances.jsonl").text, 1 << 20, NULL);
    }
    cr_expect_str_eq(texts[0], texts[1]);
    cr_expect_str_neq(texts[0], texts[2]);
    for (int i = 0; i < 3; i++) free(texts[i]);
}

Test(evaluate, a_page_shows_best_median_and_worst) {
    make_pair();
    json_decref(evaluate(SETTINGS("sets=folder:path=@/pair:name=all"), &fake));
    Image page = {0};
    cr_assert_eq(image_read(in_folder(scratch.text, "out/pages/all.png").text, &page), 0, "%s",
                 error_message());
    cr_expect_gt(page.width, 4 * 256 - 1);
    cr_expect_gt(page.height, 3 * 192 - 1);
    image_free(&page);
    cr_expect(file_exists(in_folder(scratch.text, "out/table.md").text));
    cr_expect(file_exists(in_folder(scratch.text, "out/config.yaml").text));
}

Test(evaluate, mistakes_are_named_before_any_work) {
    make_pair();
    const char *pair = "sets=folder:path=@/pair:name=all";
    expect_refused(SETTINGS("seed=1"), &fake, "sets: none is given");
    expect_refused(SETTINGS("sets=photos"), &fake, "unknown data set type \"photos\"");
    expect_refused(SETTINGS("sets=scenes:spilt=val"), &fake, "did you mean split?");
    expect_refused(SETTINGS("sets=scenes:val"), &fake, "found \"val\", expected key=value");
    expect_refused(SETTINGS("sets=scenes:count=x"), &fake, "count");
    expect_refused(SETTINGS("sets=scenes:name=a/b"), &fake, "a name for a file");
    expect_refused(SETTINGS("sets=scenes:split=val,scenes:split=val:seed=2"), &fake,
                   "two are called \"val\"");
    expect_refused(SETTINGS(pair, "systems=gen2sag"), &fake, "did you mean gen2seg?");
    expect_refused(SETTINGS(pair, "systems=disc,disc"), &fake, "\"disc\" is named twice");
    expect_refused(SETTINGS(pair, "systems=gen2seg"), &no_model, "\"gen2seg\" needs a model");
    expect_refused(SETTINGS(pair, "systems=prompt2seg"), &no_model, "with a prompt branch");
    expect_refused(SETTINGS(pair, "systems=masks:x=/nowhere"), &fake, "/nowhere: no such folder");
    expect_refused(SETTINGS(pair, "systems=masks:x"), &fake, "expected masks:NAME=FOLDER");
    static const char *const names[] = {"disc@random", "gen2seg fixed", "../x", ".x",
                                        "gen2seg best threshold (set)"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        char item[100];
        snprintf(item, sizeof item, "systems=masks:%s=@/pair", names[i]);
        expect_refused(SETTINGS(pair, item), &fake, "expected a NAME");
    }
    expect_refused(SETTINGS(pair, "fit=val"), &fake, "no set is called \"val\"");
    expect_refused(SETTINGS(pair, "page.system=sam"), &fake, "\"sam\" is not among the systems");
    cr_expect_not(folder_exists(in_folder(scratch.text, "out").text));
}

Test(evaluate, running_out_of_memory_is_an_error_and_leaks_nothing) {
    make_pair();
    EvalConfig config = configure(SETTINGS("sets=folder:path=@/pair:name=all", "fit=all",
                                           "systems=gen2seg+cc,prompt2seg,disc",
                                           "best_threshold=true", "export.masks=true"));
    int64_t n = 1;
    for (bool done = false; !done; n += 1 + n / 16) {
        memory_fail_at(n);
        Evaluation *evaluation = evaluation_new(&config, &fake);
        done = evaluation && evaluation_run(evaluation, true) == 0 &&
               evaluation_write(evaluation) == 0;
        memory_fail_at(0);
        cr_expect_eq(error_is_set(), !done, "allocation %d", (int)n);
        error_take();
        evaluation_free(evaluation);
    }
    cr_expect_gt(n, 200);
    config_free(&eval_table, &config);
}
