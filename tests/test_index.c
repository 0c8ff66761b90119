// SPDX-License-Identifier: MIT
// The index of a data set: what p2s prepare writes, training reads, and a stale one says.
#include "cli/command.h"
#include "data/clean.h"
#include "tests/make_files.h"

#include <fcntl.h>
#include <hdf5.h>
#include <unistd.h>

enum { SIDE = 4, COUNT = 6 };

static const int32_t two_objects[SIDE * SIDE] = {7, 7, 7, 0, 7, 7, 0, 0, 9, 9};

// images/N.jpg and labels/N.png; number 2 has no object, number 4 is damaged.
static Path make_set(void) {
    const Path root = scratch_make();
    for (int i = 0; i < COUNT; i++) {
        char name[64];
        snprintf(name, sizeof name, "labels/%d.png", i);
        make_labels(make_place(root.text, name).text, SIDE, SIDE,
                    i == 2 ? (int32_t[SIDE * SIDE]){0} : two_objects);
        snprintf(name, sizeof name, "images/%d.jpg", i);
        make_jpeg(make_place(root.text, name).text, SIDE, SIDE, 40 * i);
        if (i == 4) write_bytes(in_folder(root.text, name).text, "junk", 4);
    }
    return root;
}

static char said[2048]; // what the last `prepare` wrote on stderr

static int prepare(const char *type, const char *path, const char *option, const char *value) {
    char *argv[] = {"p2s prepare",  (char *)type,  (char *)path, "--quiet",
                    (char *)option, (char *)value, NULL};
    fflush(stdout), fflush(stderr);
    const int out = dup(1), err = dup(2), null = open("/dev/null", O_WRONLY);
    FILE *messages = tmpfile();
    cr_assert_not_null(messages);
    dup2(null, 1), dup2(fileno(messages), 2);
    const int code = cmd_prepare(option ? 6 : 4, argv);
    fflush(stdout), fflush(stderr);
    dup2(out, 1), dup2(err, 2);
    close(out), close(err), close(null);
    rewind(messages);
    said[fread(said, 1, sizeof said - 1, messages)] = '\0';
    fclose(messages);
    return code;
}

static Dataset *opened(const Path *root) {
    Dataset *set = dataset_open("folder", &(DatasetOptions){.path = root->text});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

static int use(Dataset *set, const Path *root, const char *choice) {
    return dataset_use_index(set, &(DatasetOptions){.path = root->text}, choice, NULL);
}

Test(index, training_sees_only_what_prepare_kept) {
    const Path root = make_set();
    cr_assert_eq(prepare("folder", root.text, NULL, NULL), 1);
    Dataset *set = opened(&root);
    char *path;
    cr_assert_eq(dataset_use_index(set, &(DatasetOptions){.path = root.text}, NULL, &path), 0, "%s",
                 error_message());
    cr_expect_str_eq(path, in_folder(root.text, "index.json").text);
    free(path);
    const char *const names[] = {"0", "1", "3", "5"};
    cr_assert_eq(dataset_count(set), 4);
    for (int i = 0; i < 4; i++) {
        Sample sample;
        cr_assert_eq(dataset_read(set, i, &sample), 0, "%s", error_message());
        cr_expect_str_eq(sample.name, names[i]);
        sample_free(&sample);
    }
    dataset_close(set);
    folder_remove(root.text);
}

Test(index, it_says_why_samples_were_dropped) {
    const Path root = make_set();
    const Path list = in_folder(root.text, "list.txt");
    const char text[] = "# those that\n\n 5//  # we do not like\nunknown\n/\n";
    write_bytes(list.text, text, sizeof text - 1);
    cr_assert_eq(prepare("folder", root.text, "--drop", list.text), 1);
    Index *index = index_read(in_folder(root.text, "index.json").text);
    cr_assert_not_null(index, "%s", error_message());
    cr_expect_str_eq(index->type, "folder");
    cr_assert_eq(index->count, COUNT);
    const char *const reasons[COUNT] = {NULL, NULL,           "no instances",
                                        NULL, "images/4.jpg", "lists 5"};
    for (int i = 0; i < COUNT; i++) {
        const IndexEntry *entry = &index->entries[i];
        cr_expect_eq(entry->dropped != NULL, reasons[i] != NULL);
        if (reasons[i])
            cr_expect_not_null(strstr(entry->dropped, reasons[i]), "%s", entry->dropped);
        if (i == 4) continue;
        cr_expect_eq(entry->width, SIDE);
        cr_expect_eq(entry->instances, i == 2 ? 0 : 2);
    }
    index_free(index);
    folder_remove(root.text);
}

Test(index, an_output_that_cannot_be_written_is_refused_before_the_walk) {
    const Path root = make_set();
    cr_expect_eq(prepare("folder", root.text, "--out", "/dev/null/index.json"), 1);
    cr_expect_not_null(strstr(said, "/dev/null/index.json"), "%s", said);
    cr_expect_null(strstr(said, "sample 4"), "%s", said);
    folder_remove(root.text);
}

Test(index, a_name_that_is_not_utf8_drops_its_sample_alone) {
    const Path root = make_set();
    make_labels(in_folder(root.text, "labels/6\xff.png").text, SIDE, SIDE, two_objects);
    make_jpeg(in_folder(root.text, "images/6\xff.jpg").text, SIDE, SIDE, 9);
    make_labels(in_folder(root.text, "labels/7\xff.png").text, SIDE, SIDE, two_objects);
    write_bytes(in_folder(root.text, "images/7\xff.jpg").text, "junk", 4);
    cr_assert_eq(prepare("folder", root.text, NULL, NULL), 1);
    cr_expect_not_null(strstr(said, "sample 6: the name 6\\xff is not UTF-8"), "%s", said);
    Index *index = index_read(in_folder(root.text, "index.json").text);
    cr_assert_not_null(index, "%s", error_message());
    cr_assert_eq(index->count, COUNT + 2);
    cr_expect_null(index->entries[5].dropped);
    cr_expect_str_eq(index->entries[6].dropped, "the name 6\\xff is not UTF-8");
    cr_expect_not_null(strstr(index->entries[7].dropped, "images/7\\xff.jpg"), "%s",
                       index->entries[7].dropped);
    index_free(index);
    folder_remove(root.text);
}

Test(index, a_missing_one_is_refused_where_it_is_required_only) {
    const Path root = make_set();
    Dataset *set = opened(&root);
    cr_expect_eq(use(set, &root, ""), 0);
    cr_expect_eq(use(set, &root, "none"), 0);
    cr_expect_eq(dataset_count(set), COUNT);
    cr_expect_eq(use(set, &root, "required"), -1);
    expect_error("make it with p2s prepare folder");
    cr_expect_eq(use(set, &root, "/nowhere/index.json"), -1);
    expect_error("/nowhere/index.json");
    dataset_close(set);
    folder_remove(root.text);
}

Test(index, one_that_does_not_fit_the_files_is_called_stale) {
    const Path root = make_set();
    cr_assert_eq(prepare("folder", root.text, NULL, NULL), 1);
    const Path image = in_folder(root.text, "images/0.jpg");
    make_jpeg(image.text, SIDE, SIDE, 250);
    Dataset *set = opened(&root);
    cr_expect_eq(use(set, &root, ""), -1);
    expect_error("index.json: the index is stale: pixels or labels of 0 have changed");
    dataset_close(set);
    make_jpeg(image.text, SIDE, SIDE, 0);
    set = opened(&root);
    cr_assert_eq(use(set, &root, ""), 0, "%s", error_message());
    Sample sample;
    make_labels(in_folder(root.text, "labels/3.png").text, SIDE, SIDE, (int32_t[16]){1, 2, 3});
    cr_expect_eq(dataset_read(set, 2, &sample), -1);
    expect_error("it says 3, 4x4, 2 instances, but found is 3, 4x4, 3 instances");
    dataset_close(set);
    cr_assert_eq(unlink(in_folder(root.text, "labels/3.png").text), 0);
    set = opened(&root);
    cr_expect_eq(use(set, &root, ""), -1);
    expect_error("made of 6 samples, found are 5");
    dataset_close(set);
    folder_remove(root.text);
}

Test(index, a_generated_set_takes_none_from_the_current_folder) {
    const Path root = make_set();
    cr_assert_eq(prepare("folder", root.text, NULL, NULL), 1);
    cr_assert_eq(chdir(root.text), 0);
    const DatasetOptions options = {.count = 3};
    Dataset *set = dataset_open("scenes", &options);
    cr_assert_not_null(set, "%s", error_message());
    cr_expect_eq(dataset_use_index(set, &options, "", NULL), 0, "%s", error_message());
    cr_expect_eq(dataset_count(set), 3);
    dataset_close(set);
    folder_remove(root.text);
}

Test(index, one_of_another_set_is_refused) {
    const Path root = make_set();
    cr_assert_eq(prepare("folder", root.text, "--subset", "ignore255"), 1);
    const Path other = in_folder(root.text, "index-ignore255.json");
    cr_assert(file_exists(other.text));
    Dataset *set = opened(&root);
    cr_expect_eq(use(set, &root, ""), 0);
    cr_expect_eq(dataset_count(set), COUNT);
    cr_expect_eq(use(set, &root, other.text), -1);
    expect_error("the index is of folder, split \"\", subset \"ignore255\", expected folder");
    dataset_close(set);
    folder_remove(root.text);
}

// Replaces `from` in a good index by `to` and expects a refusal with this part.
static void expect_refused(const char *good, const char *from, const char *to, const char *part) {
    const Path root = scratch_make();
    const Path path = in_folder(root.text, "index.json");
    const char *at = strstr(good, from);
    cr_assert_not_null(at, "%s", from);
    FILE *file = fopen(path.text, "w");
    cr_assert_not_null(file);
    fprintf(file, "%.*s%s%s", (int)(at - good), good, to, at + strlen(from));
    fclose(file);
    cr_expect_null(index_read(path.text));
    expect_error(part);
    folder_remove(root.text);
}

Test(index, a_damaged_one_is_refused_by_field) {
    const Path root = make_set();
    cr_assert_eq(prepare("folder", root.text, NULL, NULL), 1);
    char *good = file_read(in_folder(root.text, "index.json").text, 1 << 20, NULL);
    cr_assert_not_null(good);
    expect_refused(good, "\"type\": \"folder\"", "\"type\": 3", "\"type\" is missing or not text");
    expect_refused(good, "\"count\": 6", "\"count\": 600000000", "expected at least 600000000");
    expect_refused(good, "\"count\": 6", "\"count\": -6", "\"count\" is -6");
    expect_refused(good, "\"index\": 1", "\"index\": 0", "sample 0 stands twice");
    expect_refused(good, "\"index\": 1", "\"index\": 9", "\"index\" is 9, expected 0 to 5");
    expect_refused(good, "\"width\": 4", "\"width\": \"4\"", "\"width\" is missing");
    expect_refused(good, "\"crc32\": \"", "\"crc32\": \"x", "\"crc32\" is missing");
    expect_refused(good, "\"samples\"", "\"simples\"", "expected at least 6 in all");
    expect_refused(good, "\n ]", "\n ", "index.json");
    free(good);
    folder_remove(root.text);
}

// ---- Hypersim's scenes --------------------------------------------------------------------------

static void make_array(const char *path, hid_t type, hsize_t rows, hsize_t columns,
                       const int32_t *values) {
    const hsize_t shape[2] = {rows, columns};
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, shape, NULL);
    const hid_t set =
        H5Dcreate2(file, "dataset", type, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(file);
}

// A frame of 4x4 pixels with the ids first .. first + count - 1.
static void add_frame(const char *root, const char *scene, int number, int first, int count) {
    char name[256];
    int32_t ids[16];
    for (int i = 0; i < 16; i++) ids[i] = i < count ? first + i : -1;
    snprintf(name, sizeof name, "%s/images/scene_cam_00_final_preview/frame.%04d.color.jpg", scene,
             number);
    make_jpeg(make_place(root, name).text, 4, 4, 90);
    snprintf(name, sizeof name,
             "%s/images/scene_cam_00_geometry_hdf5/frame.%04d.semantic_instance.hdf5", scene,
             number);
    make_array(make_place(root, name).text, H5T_STD_I16LE, 4, 4, ids);
}

static void add_table(const char *root, const char *scene, int objects) {
    char name[256];
    int32_t rows[64];
    for (int i = 0; i < 64; i++) rows[i] = i % 2 ? -1 : 1 + i / 2 % objects;
    snprintf(name, sizeof name, "%s/_detail/mesh/mesh_objects_sii.hdf5", scene);
    make_array(make_place(root, name).text, H5T_STD_I64LE, 64, 1, rows);
}

Test(clean, hypersim_scenes_with_fewer_than_ten_objects_are_dropped) {
    const Path root = scratch_make();
    add_frame(root.text, "ai_001_001", 0, 1, 3); // few in the frame, enough in the table
    add_table(root.text, "ai_001_001", 10);
    add_frame(root.text, "ai_001_002", 0, 1, 12); // the other way round
    add_table(root.text, "ai_001_002", 9);
    add_frame(root.text, "ai_002_001", 0, 1, 6); // no table: 6 and 6 of which 2 are the same
    add_frame(root.text, "ai_002_001", 1, 5, 6);
    add_frame(root.text, "ai_002_002", 0, 1, 6); // no table: 9 in all
    add_frame(root.text, "ai_002_002", 1, 4, 6);
    add_frame(root.text, "ai_002_001", 2, 0, 0); // no instance
    cr_assert_eq(prepare("hypersim", root.text, NULL, NULL), 0, "%s", error_message());
    Index *index = index_read(in_folder(root.text, "index.json").text);
    cr_assert_not_null(index, "%s", error_message());
    const char *const reasons[] = {
        NULL,
        "its scene has 9 objects in its mesh table, expected at least 10",
        NULL,
        NULL,
        "no instances",
        "its scene has 9 objects in its frames",
        "its scene has 9 objects in its frames"};
    cr_assert_eq(index->count, 7);
    for (int i = 0; i < 7; i++) {
        const char *found = index->entries[i].dropped;
        cr_expect_eq(found != NULL, reasons[i] != NULL, "%d: %s", i, found ? found : "kept");
        if (found && reasons[i]) cr_expect_not_null(strstr(found, reasons[i]), "%s", found);
    }
    index_free(index);
    cr_assert_eq(prepare("hypersim", root.text, "--min-objects", "9"), 0);
    index = index_read(in_folder(root.text, "index.json").text);
    cr_expect_null(index->entries[1].dropped);
    index_free(index);
    folder_remove(root.text);
}

Test(clean, the_mesh_tables_of_real_scenes_have_the_known_numbers_of_objects) {
    SAMPLE_ROOT(root);
    const struct {
        const char *scene;
        int64_t objects;
    } known[] = {{"ai_001_001", 55}, {"ai_009_001", -1}, {"ai_047_007", -1}};
    const Path hypersim = in_folder(root.text, "Hypersim");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        char name[64],
            *text = file_read(in_folder(hypersim.text, "scene_instances.tsv").text, 1 << 20, NULL);
        cr_assert_not_null(text);
        const char *row = strstr(text, known[i].scene);
        int frames, objects;
        cr_assert_eq(sscanf(row, "%*s %*s %d %d", &frames, &objects), 2);
        if (known[i].objects >= 0) cr_expect_eq(objects, known[i].objects);
        snprintf(name, sizeof name, "%s/cam_00/frame.0000", known[i].scene);
        IndexEntry entry = {.name = name};
        Index index = {.entries = &entry, .count = 1};
        int64_t by_frames;
        cr_expect_eq(clean_scenes(&index, hypersim.text, objects, &by_frames), 0);
        cr_expect_eq(by_frames, 0);
        cr_expect_eq(clean_scenes(&index, hypersim.text, objects + 1, &by_frames), 1);
        free(entry.dropped);
        free(text);
    }
}

Test(clean, an_image_with_nothing_but_crowds_is_not_usable) {
    IndexEntry entries[3] = {{.name = "a", .instances = 2, .crowds = 2},
                             {.name = "b", .instances = 2, .crowds = 1},
                             {.name = "c"}};
    Index index = {.entries = entries, .count = 3};
    cr_expect_eq(clean_empty(&index), 2);
    cr_expect_str_eq(entries[0].dropped, "nothing but crowds");
    cr_expect_null(entries[1].dropped);
    cr_expect_str_eq(entries[2].dropped, "no instances");
    free(entries[0].dropped), free(entries[2].dropped);
}
