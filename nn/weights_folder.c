// SPDX-License-Identifier: MIT
// Weights of a model folder: one file, or shards with an index. See weights.h.
#include "nn/weights.h"

#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"
#include "nn/netconfig.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_SHARDS = 256 };

static const struct {
    const char *ending;
    bool is_index;
} forms[] = {{".safetensors", false},
             {".safetensors.index.json", true},
             {".fp16.safetensors", false},
             {".safetensors.index.fp16.json", true}};

// The first form that is there; owned by the caller. NULL, without an error, when there is none.
static char *find(const char *folder, const char *stem, bool *is_index) {
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++) {
        char *path = text_format("%s/%s%s", folder, stem, forms[i].ending);
        *is_index = forms[i].is_index;
        if (!path || file_exists(path)) return path;
        free(path);
    }
    return NULL;
}

bool weights_in_folder(const char *folder, const char *stem) {
    bool is_index;
    char *path = find(folder, stem, &is_index);
    free(path);
    return path != NULL;
}

typedef struct {
    const char *names[MAX_SHARDS]; // borrowed from the index
    SafeFile *files[MAX_SHARDS];
    size_t count;
} Shards;

static int add_shard(Shards *shards, const char *folder, const char *name) {
    for (size_t i = 0; i < shards->count; i++)
        if (strcmp(shards->names[i], name) == 0) return 0;
    if (shards->count == MAX_SHARDS) return error_int("more than %d shards", MAX_SHARDS);
    if (strchr(name, '/')) return error_int("shard \"%.200s\" is not a plain file name", name);
    char *path = path_join(folder, name);
    SafeFile *file = path ? safetensors_open(path) : NULL;
    free(path);
    if (!file) return -1;
    shards->names[shards->count] = name;
    shards->files[shards->count++] = file;
    return 0;
}

// "weight_map" of the index: name of a tensor -> name of its file.
static int open_shards(Shards *shards, const char *folder, const json_t *root) {
    const json_t *map = json_object_get(root, "weight_map");
    const char *tensor;
    json_t *value;
    if (!json_is_object(map)) return error_int("weight_map is missing or no object");
    json_object_foreach((json_t *)map, tensor, value) {
        const char *name = json_string_value(value);
        if (!name) return error_int("weight_map: the file of %.200s is no text", tensor);
        if (add_shard(shards, folder, name) != 0) return -1;
    }
    return 0;
}

static int load_shards(ParamSet *set, const char *folder, const char *index) {
    Shards shards = {.count = 0};
    json_t *root = netconfig_read(index);
    if (!root) return -1;
    int result = open_shards(&shards, folder, root);
    if (result != 0) error_context("%s", index);
    if (result == 0) result = weights_load_from(set, shards.files, shards.count, "");
    for (size_t i = 0; i < shards.count; i++) safetensors_close(shards.files[i]);
    json_decref(root);
    return result;
}

int weights_load_folder(ParamSet *set, const char *folder, const char *stem) {
    bool is_index;
    char *path = find(folder, stem, &is_index);
    if (!path)
        return error_int("%s/%s.safetensors is missing; ask for random weights if there are none",
                         folder, stem);
    int result = is_index ? load_shards(set, folder, path) : weights_load(set, path);
    free(path);
    return result;
}
