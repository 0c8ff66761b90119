// SPDX-License-Identifier: MIT
// Hypersim: the real frame, and trees the tests make with every kind of fault.
#include "data/dataset.h"
#include "data/hdf5.h"
#include "tests/make_files.h"

#include <hdf5.h>

enum { W = 6, H = 4 };

static Dataset *open_sample(const Path *root, const char *subset) {
    const Path path = in_folder(root->text, "Hypersim");
    Dataset *set = dataset_open("hypersim", &(DatasetOptions){.path = path.text, .subset = subset});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

Test(hypersim, the_real_frame_has_its_thirty_instances) {
    SAMPLE_ROOT(root);
    Dataset *set = open_sample(&root, NULL);
    cr_assert_eq(dataset_count(set), 1);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_str_eq(sample.name, "ai_001_001/cam_00/frame.0000");
    cr_assert_eq(sample.instance_count, 30);
    cr_expect_eq(sample.labels.width, 1024);
    cr_expect_eq(sample.labels.height, 768);
    cr_expect_not(sample.no_background);
    int counts[31] = {0};
    for (int i = 0; i < 1024 * 768; i++) counts[sample.labels.ids[i]]++;
    cr_expect_eq(counts[0], 509304);
    for (int i = 0; i < 30; i++) {
        cr_expect_eq(sample.instances[i].area, counts[i + 1]);
        if (i) cr_expect_lt(sample.instances[i - 1].id, sample.instances[i].id);
    }
    sample_free(&sample);
    dataset_close(set);
}

// The class of the mesh objects that belong to an instance of scene ai_001_001, 0 if they differ.
static int mesh_class(const int32_t *instances, const int32_t *classes, int count, int64_t id) {
    int found = -2;
    for (int i = 0; i < count; i++)
        if (instances[i] == id) found = found == -2 || found == classes[i] ? classes[i] : 0;
    return found;
}

Test(hypersim, categories_of_the_real_frame_agree_with_the_mesh_tables) {
    SAMPLE_ROOT(root);
    Dataset *set = open_sample(&root, NULL);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    int width, height;
    int32_t *instances, *classes;
    const Path mesh = in_folder(root.text, "Hypersim/ai_001_001/_detail/mesh");
    cr_assert_eq(hdf5_read_i32(in_folder(mesh.text, "mesh_objects_sii.hdf5").text, "dataset",
                               &width, &height, &instances),
                 0);
    cr_assert_eq(hdf5_read_i32(in_folder(mesh.text, "mesh_objects_si.hdf5").text, "dataset", &width,
                               &height, &classes),
                 0);
    for (int i = 0; i < sample.instance_count; i++)
        cr_expect_eq(sample.instances[i].category,
                     mesh_class(instances, classes, height, sample.instances[i].id),
                     "instance %lld: class %d", (long long)sample.instances[i].id,
                     sample.instances[i].category);
    free(instances);
    free(classes);
    sample_free(&sample);
    dataset_close(set);
}

Test(hypersim, subset_chooses_the_preview) {
    SAMPLE_ROOT(root);
    const char *const subsets[] = {"color", "tonemap", "gamma"};
    long sums[3] = {0};
    for (int k = 0; k < 3; k++) {
        Dataset *set = open_sample(&root, subsets[k]);
        Sample sample;
        cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
        for (int i = 0; i < 1024 * 768 * 3; i++) sums[k] += sample.image.pixels[i];
        sample_free(&sample);
        dataset_close(set);
    }
    cr_expect_gt(sums[1], sums[0]);
    cr_expect_gt(sums[2], sums[0]);
    cr_expect_neq(sums[1], sums[2]);
}

static void make_array(const char *path, int width, int height, const int16_t *values) {
    const hsize_t shape[2] = {(hsize_t)height, (hsize_t)width};
    const hid_t file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    const hid_t space = H5Screate_simple(2, shape, NULL);
    const hid_t set =
        H5Dcreate2(file, "dataset", H5T_STD_I16LE, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    cr_assert(H5Dwrite(set, H5T_NATIVE_INT16, H5S_ALL, H5S_ALL, H5P_DEFAULT, values) >= 0);
    H5Dclose(set);
    H5Sclose(space);
    H5Fclose(file);
}

typedef struct {
    Path root, previews, arrays; // of the camera that was made last
} Tree;

static void add_camera(Tree *tree, const char *scene, int camera) {
    char name[128];
    snprintf(name, sizeof name, "%s/images/scene_cam_%02d_final_preview", scene, camera);
    tree->previews = in_folder(tree->root.text, name);
    cr_assert_eq(folder_make(tree->previews.text), 0);
    snprintf(name, sizeof name, "%s/images/scene_cam_%02d_geometry_hdf5", scene, camera);
    tree->arrays = in_folder(tree->root.text, name);
    cr_assert_eq(folder_make(tree->arrays.text), 0);
}

static const int16_t usual_ids[W * H] = {-1, -1, 7, 7, 900, 900, -1, -1, 7, 7, 900, 900,
                                         3,  3,  3, 3, 3,   3,   -1, -1, 7, 3, 3,   3};

static void add_frame(const Tree *tree, int number, const int16_t *ids) {
    char name[64];
    snprintf(name, sizeof name, "frame.%04d.color.jpg", number);
    make_jpeg(in_folder(tree->previews.text, name).text, W, H, 0);
    snprintf(name, sizeof name, "frame.%04d.semantic_instance.hdf5", number);
    if (ids) make_array(in_folder(tree->arrays.text, name).text, W, H, ids);
}

static Tree make_tree(void) {
    Tree tree = {.root = scratch_make()};
    add_camera(&tree, "ai_001_002", 0);
    return tree;
}

static Dataset *open_tree(const Tree *tree) {
    Dataset *set = dataset_open("hypersim", &(DatasetOptions){.path = tree->root.text});
    cr_assert_not_null(set, "%s", error_message());
    return set;
}

Test(hypersim, frames_are_sorted_and_strays_and_frames_without_arrays_left_out) {
    Tree tree = make_tree();
    add_camera(&tree, "ai_055_001", 10);
    add_frame(&tree, 3, usual_ids);
    add_camera(&tree, "ai_055_001", 2);
    add_frame(&tree, 12, usual_ids);
    add_frame(&tree, 7, usual_ids);
    add_frame(&tree, 8, NULL);
    add_camera(&tree, "ai_002_001", 0);
    add_frame(&tree, 0, usual_ids);
    write_bytes(in_folder(tree.previews.text, "._frame.0000.color.jpg").text, "x", 1);
    write_bytes(in_folder(tree.previews.text, "frame.0000.diff.jpg").text, "x", 1);
    write_bytes(in_folder(tree.previews.text, "frame.00001.color.jpg").text, "x", 1);
    write_bytes(in_folder(tree.root.text, "Thumbs.db").text, "x", 1);
    Dataset *set = open_tree(&tree);
    const char *const names[] = {"ai_002_001/cam_00/frame.0000", "ai_055_001/cam_02/frame.0007",
                                 "ai_055_001/cam_02/frame.0012", "ai_055_001/cam_10/frame.0003"};
    cr_assert_eq(dataset_count(set), 4);
    for (int i = 0; i < 4; i++) {
        Sample sample;
        cr_assert_eq(dataset_read(set, i, &sample), 0, "%s", error_message());
        cr_expect_str_eq(sample.name, names[i]);
        sample_free(&sample);
    }
    const char *description = dataset_describe(set);
    cr_expect_not_null(strstr(description, "4 frames of 2 scenes"), "%s", description);
    cr_expect_not_null(strstr(description, "1 previews without"), "%s", description);
    dataset_close(set);
    folder_remove(tree.root.text);
}

Test(hypersim, ids_become_dense_and_categories_follow_the_majority) {
    Tree tree = make_tree();
    add_frame(&tree, 0, usual_ids);
    int16_t classes[W * H];
    for (int i = 0; i < W * H; i++) classes[i] = usual_ids[i] == 7 ? 5 : -1;
    classes[2] = classes[3] = 40;  // instance 7: 3 of 5 pixels stay class 5
    classes[4] = classes[5] = 23;  // instance 900: 2 of 4
    classes[10] = classes[11] = 1; // and 2 of 4: the lower class
    make_array(in_folder(tree.arrays.text, "frame.0000.semantic.hdf5").text, W, H, classes);
    Dataset *set = open_tree(&tree);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_assert_eq(sample.instance_count, 3);
    const int64_t ids[3] = {3, 7, 900};
    const int areas[3] = {9, 5, 4}, categories[3] = {-1, 5, 1};
    for (int i = 0; i < 3; i++) {
        cr_expect_eq(sample.instances[i].id, ids[i]);
        cr_expect_eq(sample.instances[i].area, areas[i]);
        cr_expect_eq(sample.instances[i].category, categories[i], "%d: %d", i,
                     sample.instances[i].category);
    }
    for (int i = 0; i < W * H; i++)
        cr_expect_eq(sample.labels.ids[i], usual_ids[i] == 3     ? 1
                                           : usual_ids[i] == 7   ? 2
                                           : usual_ids[i] == 900 ? 3
                                                                 : 0);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(tree.root.text);
}

Test(hypersim, a_file_of_classes_is_not_read_where_nothing_depends_on_it) {
    Tree tree = make_tree();
    add_frame(&tree, 0, usual_ids);
    write_bytes(in_folder(tree.arrays.text, "frame.0000.semantic.hdf5").text, "no HDF5", 7);
    for (int skip = 0; skip < 2; skip++) {
        const DatasetOptions options = {.path = tree.root.text, .no_categories = skip};
        Dataset *set = dataset_open("hypersim", &options);
        cr_assert_not_null(set, "%s", error_message());
        Sample sample;
        cr_expect_eq(dataset_read(set, 0, &sample), skip ? 0 : -1);
        if (skip)
            cr_expect_eq(sample.instances[0].category, -1);
        else
            expect_error("semantic.hdf5");
        sample_free(&sample);
        dataset_close(set);
    }
    folder_remove(tree.root.text);
}

// Reads frame 0 of the tree in the restricted variant.
static Sample read_restricted(const Tree *tree, const char *subset) {
    Dataset *set =
        dataset_open("hypersim", &(DatasetOptions){.path = tree->root.text, .subset = subset});
    cr_assert_not_null(set, "%s", error_message());
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    dataset_close(set);
    return sample;
}

Test(hypersim, other_classes_are_ignored_with_their_boxes_and_too_many_empty_the_frame) {
    Tree tree = make_tree();
    // Two chairs, a window and an unlabelled object whose box covers a corner of the first chair.
    const int16_t ids[W * H] = {1, 1, 1,  4,  4,  -1, 1, 1, 1,  4,  -1, -1,
                                2, 2, -1, -1, -1, 3,  2, 2, -1, -1, -1, 3};
    int16_t classes[W * H];
    for (int i = 0; i < W * H; i++)
        classes[i] = ids[i] == 1 || ids[i] == 2 ? 5 : ids[i] == 3 ? 9 : -1;
    add_frame(&tree, 0, ids);
    const Path path = in_folder(tree.arrays.text, "frame.0000.semantic.hdf5");
    Dataset *set = dataset_open(
        "hypersim", &(DatasetOptions){.path = tree.root.text, .subset = "color+5classes"});
    Sample sample;
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    expect_error("frame.0000.semantic.hdf5");
    dataset_close(set);
    make_array(path.text, W, H, classes);
    sample = read_restricted(&tree, "color+5classes");
    cr_assert_eq(sample.instance_count, 2);
    cr_expect_eq(sample.instances[0].id, 1);
    cr_expect_eq(sample.instances[1].id, 2);
    for (int i = 0; i < W * H; i++) {
        const int x = i % W, y = i / W, other = (y < 2 && x >= 3 && x <= 4) || (y >= 2 && x == 5);
        cr_expect_eq(sample.ignore[i], other, "pixel %d", i);
        cr_expect_eq(sample.labels.ids[i], !other && ids[i] > 0 ? ids[i] : 0, "pixel %d", i);
    }
    sample_free(&sample);
    sample = read_restricted(&tree, "10classes");
    cr_expect_eq(sample.instance_count, 3);
    sample_free(&sample);
    for (int i = 0; i < W * H; i++) classes[i] = ids[i] == 2 ? 5 : 40;
    make_array(path.text, W, H, classes); // 6 + 4 + 2 of 24 pixels are other classes' boxes
    sample = read_restricted(&tree, "5classes");
    cr_expect_eq(sample.instance_count, 0);
    sample_free(&sample);
    folder_remove(tree.root.text);
}

Test(hypersim, a_frame_without_instances_reads_and_without_classes_has_none) {
    Tree tree = make_tree();
    int16_t nothing[W * H];
    memset(nothing, -1, sizeof nothing);
    add_frame(&tree, 0, nothing);
    add_frame(&tree, 1, usual_ids);
    Dataset *set = open_tree(&tree);
    Sample sample;
    cr_assert_eq(dataset_read(set, 0, &sample), 0, "%s", error_message());
    cr_expect_eq(sample.instance_count, 0);
    sample_free(&sample);
    cr_assert_eq(dataset_read(set, 1, &sample), 0, "%s", error_message());
    cr_assert_eq(sample.instance_count, 3);
    for (int i = 0; i < 3; i++) cr_expect_eq(sample.instances[i].category, -1);
    sample_free(&sample);
    dataset_close(set);
    folder_remove(tree.root.text);
}

// Reading frame 0 of the tree fails with a message that has both parts.
static void expect_unreadable(const Tree *tree, const char *file, const char *part) {
    Dataset *set = open_tree(tree);
    Sample sample;
    cr_expect_eq(dataset_read(set, 0, &sample), -1);
    cr_expect_null(sample.image.pixels);
    cr_expect_null(sample.labels.ids);
    const char *message = error_take();
    cr_expect_not_null(strstr(message, file), "%s", message);
    cr_expect_not_null(strstr(message, part), "%s", message);
    dataset_close(set);
}

Test(hypersim, faults_of_a_frame_are_errors_that_name_the_file) {
    Tree tree = make_tree();
    add_frame(&tree, 0, usual_ids);
    const Path ids = in_folder(tree.arrays.text, "frame.0000.semantic_instance.hdf5");
    const Path classes = in_folder(tree.arrays.text, "frame.0000.semantic.hdf5");
    const Path image = in_folder(tree.previews.text, "frame.0000.color.jpg");
    int16_t bad[W * H];
    memcpy(bad, usual_ids, sizeof bad);
    bad[8] = 0;
    make_array(ids.text, W, H, bad);
    expect_unreadable(&tree, ids.text, "instance id 0 at row 1, column 2");
    bad[8] = -2;
    make_array(ids.text, W, H, bad);
    expect_unreadable(&tree, ids.text, "instance id -2");
    make_array(ids.text, H, W, usual_ids);
    expect_unreadable(&tree, ids.text, "4x6");
    make_array(ids.text, W, H, usual_ids);
    make_array(classes.text, H, W, usual_ids);
    expect_unreadable(&tree, classes.text, "4x6");
    make_array(classes.text, W, H, usual_ids);
    expect_unreadable(&tree, classes.text, "class 900 at row 0, column 4");
    write_bytes(classes.text, "junk", 4);
    expect_unreadable(&tree, classes.text, "open");
    size_t size;
    char *bytes = file_read(image.text, 1 << 20, &size);
    write_bytes(image.text, bytes, size / 2);
    expect_unreadable(&tree, image.text, "JPEG");
    free(bytes);
    folder_remove(tree.root.text);
}

static Dataset *open_split(const Tree *tree, const char *split) {
    return dataset_open("hypersim", &(DatasetOptions){.path = tree->root.text, .split = split});
}

Test(hypersim, the_official_split_file_divides_the_frames) {
    Tree tree = make_tree();
    for (int i = 0; i < 4; i++) add_frame(&tree, i, usual_ids);
    const char rows[] =
        "scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,split_partition_"
        "name\r\nai_001_002,cam_00,2,True,,val\nai_001_002,cam_00,0,True,,train\n"
        "ai_001_002,cam_00,1,False,CONTENT FLAGGED FOR "
        "REMOVAL,train\nai_001_002,cam_00,3,True,,train\n"
        "ai_055_010,cam_03,99,True,,train\n";
    write_bytes(in_folder(tree.root.text, "metadata_images_split_scene_v1.csv").text, rows,
                sizeof rows - 1);
    const struct {
        const char *split, *last;
        int64_t count;
    } splits[] = {{"train", "ai_001_002/cam_00/frame.0003", 2},
                  {"val", "ai_001_002/cam_00/frame.0002", 1},
                  {"", "ai_001_002/cam_00/frame.0003", 4}};
    for (int i = 0; i < 3; i++) {
        Dataset *set = open_split(&tree, splits[i].split);
        cr_assert_not_null(set, "%s", error_message());
        cr_assert_eq(dataset_count(set), splits[i].count);
        Sample sample;
        cr_assert_eq(dataset_read(set, splits[i].count - 1, &sample), 0, "%s", error_message());
        cr_expect_str_eq(sample.name, splits[i].last);
        sample_free(&sample);
        dataset_close(set);
    }
    folder_remove(tree.root.text);
}

Test(hypersim, a_damaged_split_file_is_refused_by_line) {
    Tree tree = make_tree();
    add_frame(&tree, 0, usual_ids);
    cr_expect_null(open_split(&tree, "train"));
    expect_error("metadata_images_split_scene_v1.csv");
    const char head[] = "scene_name,camera_name,frame_id,included_in_public_release,exclude_reason,"
                        "split_partition_name\n";
    const char *const cases[][2] = {
        {"x", "line 2: 1 columns, expected 6"},
        {"ai_001_002,cam_00,0,True,train", "line 2: 5 columns"},
        {"ai_001_002,cam_00,0,True,,train,", "line 2: 7 columns"},
        {"ai_1,cam_00,0,True,,train", "line 2: \"ai_1,cam_00\""},
        {"ai_001_002,cam_00,x,True,,train", "line 2: "},
        {"ai_001_002,cam_00,0,Yes,,train", "\"Yes\", expected True or False"},
        {"ai_001_002,cam_00,0,True,,val", "no public frame of the partition \"train\""}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char text[512];
        const int length = snprintf(text, sizeof text, "%s%s\n", head, cases[i][0]);
        write_bytes(in_folder(tree.root.text, "metadata_images_split_scene_v1.csv").text, text,
                    (size_t)length);
        cr_expect_null(open_split(&tree, "train"));
        expect_error(cases[i][1]);
    }
    write_bytes(in_folder(tree.root.text, "metadata_images_split_scene_v1.csv").text,
                "scene,camera_name,frame_id,a,b,c\n", 33);
    cr_expect_null(open_split(&tree, "train"));
    expect_error("line 1: column \"scene\", expected \"scene_name\"");
    folder_remove(tree.root.text);
}

Test(hypersim, what_is_no_such_folder_is_refused_by_name) {
    Tree tree = make_tree();
    const DatasetOptions cases[] = {
        {.path = tree.root.text},
        {.path = in_folder(tree.root.text, "none").text},
        {.path = tree.root.text, .split = "vla"},
        {.path = tree.root.text, .subset = "colour"},
    };
    const char *const parts[] = {"no frame found", "none", "train, val or test", "tonemap"};
    for (int i = 0; i < 4; i++) {
        cr_expect_null(dataset_open("hypersim", &cases[i]));
        expect_error(parts[i]);
    }
    add_frame(&tree, 0, NULL);
    cr_expect_null(dataset_open("hypersim", &cases[0]));
    expect_error("1 previews");
    folder_remove(tree.root.text);
}
