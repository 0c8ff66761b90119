// SPDX-License-Identifier: MIT
// Making, writing and reading of indices. See index.h.
#include "data/index.h"

#include "base/error.h"
#include "base/memory.h"
#include "base/text.h"
#include "data/reader.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

// For people: when it is not UTF-8, which JSON demands, its upper bytes are spelled out as \xHH.
static char *readable(const char *text) {
    if (text_is_utf8(text)) return string_copy(text);
    Text spelled = {0};
    for (; *text; text++) {
        if (*text & 0x80)
            text_add(&spelled, "\\x%02x", (unsigned)(unsigned char)*text);
        else
            text_add_bytes(&spelled, text, 1);
    }
    return text_take(&spelled);
}

static int not_utf8(const char *what, const char *text) {
    char *spelled = readable(text);
    error_int("the %s %s is not UTF-8", what, spelled ? spelled : "of a sample");
    free(spelled);
    return -1;
}

static int check_options(const Index *index) {
    if (!text_is_utf8(index->split)) return not_utf8("split", index->split);
    return text_is_utf8(index->subset) ? 0 : not_utf8("subset", index->subset);
}

Index *index_new(const Dataset *set, const DatasetOptions *options) {
    Index *index = array_new(1, sizeof *index);
    if (!index) return NULL;
    index->count = dataset_count(set);
    index->type = string_copy(dataset_type(set));
    index->split = string_copy(option_or(options->split, ""));
    index->subset = string_copy(option_or(options->subset, ""));
    index->description = readable(dataset_describe(set));
    index->entries = array_new((size_t)index->count, sizeof *index->entries);
    if (index->type && index->split && index->subset && index->description && index->entries &&
        check_options(index) == 0)
        return index;
    index_free(index);
    return NULL;
}

void index_free(Index *index) {
    if (!index) return;
    for (int64_t i = 0; index->entries && i < index->count; i++) {
        free(index->entries[i].name);
        free(index->entries[i].dropped);
        free(index->entries[i].ids);
    }
    free(index->entries);
    free(index->type);
    free(index->split);
    free(index->subset);
    free(index->description);
    free(index);
}

char *index_path(const char *root, const char *split, const char *subset) {
    const char *first = option_or(split, ""), *second = option_or(subset, "");
    char *name = text_format("%s/index%s%s%s%s.json", option_or(root, "."), *first ? "-" : "",
                             first, *second ? "-" : "", second);
    if (!name) return NULL;
    for (char *c = name + strlen(option_or(root, ".")) + 1; *c; c++)
        if (*c == '/') *c = '_';
    return name;
}

uint32_t sample_checksum(const Sample *sample) {
    const size_t pixels = (size_t)sample->image.width * (size_t)sample->image.height;
    const uLong sum = crc32_z(0, sample->image.pixels, 3 * pixels);
    return (uint32_t)crc32_z(sum, (const Bytef *)sample->labels.ids,
                             pixels * sizeof *sample->labels.ids);
}

int index_entry_fill(IndexEntry *entry, const Sample *sample) {
    const size_t pixels = (size_t)sample->image.width * (size_t)sample->image.height;
    if (!text_is_utf8(sample->name)) return not_utf8("name", sample->name);
    *entry = (IndexEntry){.name = string_copy(sample->name),
                          .width = sample->image.width,
                          .height = sample->image.height,
                          .instances = sample->instance_count,
                          .crowds = sample->instance_count - sample_objects(sample),
                          .left_out = sample->left_out,
                          .checksum = sample_checksum(sample),
                          .ids = array_new((size_t)sample->instance_count, sizeof *entry->ids)};
    if (!entry->name || !entry->ids) return -1;
    for (int i = 0; i < sample->instance_count; i++) entry->ids[i] = sample->instances[i].id;
    for (size_t i = 0; sample->ignore && i < pixels; i++) entry->ignored += sample->ignore[i] != 0;
    return 0;
}

// ---- writing ------------------------------------------------------------------------------------

static json_t *entry_pack(int64_t at, const IndexEntry *entry) {
    char checksum[16];
    snprintf(checksum, sizeof checksum, "%08x", entry->checksum);
    return json_pack("{s:I,s:s,s:i,s:i,s:i,s:i,s:i,s:I,s:s}", "index", (json_int_t)at, "name",
                     entry->name, "width", entry->width, "height", entry->height, "instances",
                     entry->instances, "crowds", entry->crowds, "left_out", entry->left_out,
                     "ignored_pixels", (json_int_t)entry->ignored, "crc32", checksum);
}

static json_t *dropped_pack(int64_t at, const IndexEntry *entry) {
    char *reason = readable(entry->dropped);
    json_t *packed =
        json_pack("{s:I,s:s*,s:s}", "index", (json_int_t)at, "name", entry->name, "reason", reason);
    free(reason);
    return packed;
}

// Adds all entries to the two lists; -1 when one cannot be put into JSON.
static int pack_entries(const Index *index, json_t *samples, json_t *dropped, int64_t *instances) {
    int status = 0;
    for (int64_t i = 0; status == 0 && i < index->count; i++) {
        const IndexEntry *entry = &index->entries[i];
        if (entry->name) status = json_array_append_new(samples, entry_pack(i, entry));
        if (entry->dropped && status == 0)
            status = json_array_append_new(dropped, dropped_pack(i, entry));
        if (!entry->dropped) *instances += entry->instances - entry->crowds;
    }
    return status;
}

static char *index_text(const Index *index) {
    json_t *samples = json_array(), *dropped = json_array();
    int64_t instances = 0;
    const int status = samples && dropped ? pack_entries(index, samples, dropped, &instances) : -1;
    json_t *root =
        status
            ? NULL
            : json_pack("{s:s,s:s,s:s,s:s,s:I,s:I,s:I,s:I,s:O,s:O}", "type", index->type, "split",
                        index->split, "subset", index->subset, "description", index->description,
                        "count", (json_int_t)index->count, "read",
                        (json_int_t)json_array_size(samples), "kept",
                        (json_int_t)index->count - (json_int_t)json_array_size(dropped),
                        "instances", (json_int_t)instances, "dropped", dropped, "samples", samples);
    char *text = root ? json_dumps(root, JSON_INDENT(1)) : NULL;
    json_decref(samples);
    json_decref(dropped);
    json_decref(root);
    return text;
}

int index_write(const Index *index, FileWrite *write) {
    char *text = index_text(index);
    int status = text ? file_write_bytes(write, text, strlen(text))
                      : error_int("%s: the index cannot be put into JSON", write->path);
    free(text);
    if (status == 0) return file_write_commit(write);
    file_write_abandon(write);
    return -1;
}

// ---- reading ------------------------------------------------------------------------------------

// A whole number of an object in low..high.
static int take_whole(const json_t *object, const char *key, int64_t low, int64_t high,
                      int64_t *value) {
    const json_t *member = json_object_get(object, key);
    if (!json_is_integer(member)) return error_int("\"%s\" is missing or not a whole number", key);
    *value = json_integer_value(member);
    if (*value >= low && *value <= high) return 0;
    return error_int("\"%s\" is %lld, expected %lld to %lld", key, (long long)*value,
                     (long long)low, (long long)high);
}

static int take_int(const json_t *object, const char *key, int *value) {
    int64_t wide = 0;
    if (take_whole(object, key, 0, INT32_MAX, &wide)) return -1;
    *value = (int)wide;
    return 0;
}

static int take_text(const json_t *object, const char *key, char **value) {
    const json_t *member = json_object_get(object, key);
    if (!json_is_string(member)) return error_int("\"%s\" is missing or not text", key);
    *value = string_copy(json_string_value(member));
    return *value ? 0 : -1;
}

static int take_sample(Index *index, const json_t *object) {
    int64_t at = 0;
    if (take_whole(object, "index", 0, index->count - 1, &at)) return -1;
    IndexEntry *entry = &index->entries[at];
    if (entry->name) return error_int("sample %lld stands twice", (long long)at);
    if (take_text(object, "name", &entry->name)) return -1;
    if (take_int(object, "width", &entry->width) || take_int(object, "height", &entry->height) ||
        take_int(object, "instances", &entry->instances) ||
        take_int(object, "crowds", &entry->crowds) ||
        take_int(object, "left_out", &entry->left_out) ||
        take_whole(object, "ignored_pixels", 0, IMAGE_MAX_PIXELS, &entry->ignored))
        return -1;
    const char *checksum = json_string_value(json_object_get(object, "crc32"));
    char *rest = NULL;
    if (checksum) entry->checksum = (uint32_t)strtoul(checksum, &rest, 16);
    if (checksum && strlen(checksum) == 8 && *rest == '\0') return 0;
    return error_int("\"crc32\" is missing or not 8 hexadecimal digits");
}

static int take_dropped(Index *index, const json_t *object) {
    int64_t at = 0;
    if (take_whole(object, "index", 0, index->count - 1, &at)) return -1;
    if (index->entries[at].dropped) return error_int("sample %lld stands twice", (long long)at);
    return take_text(object, "reason", &index->entries[at].dropped);
}

static int take_list(Index *index, const json_t *root, const char *key,
                     int (*take)(Index *, const json_t *)) {
    const json_t *list = json_object_get(root, key);
    if (!json_is_array(list)) return error_int("\"%s\" is missing or not a list", key);
    for (size_t i = 0; i < json_array_size(list); i++)
        if (take(index, json_array_get(list, i))) return error_context("%s[%zu]", key, i);
    return 0;
}

static int take_root(Index *index, const json_t *root) {
    int64_t count = 0;
    if (take_whole(root, "count", 1, INT32_MAX, &count)) return -1;
    if (take_text(root, "type", &index->type) || take_text(root, "split", &index->split) ||
        take_text(root, "subset", &index->subset) ||
        take_text(root, "description", &index->description))
        return -1;
    const json_t *samples = json_object_get(root, "samples");
    const json_t *dropped = json_object_get(root, "dropped");
    if ((int64_t)(json_array_size(samples) + json_array_size(dropped)) < count)
        return error_int("%zu samples and %zu dropped ones, expected at least %lld in all",
                         json_array_size(samples), json_array_size(dropped), (long long)count);
    index->entries = array_new((size_t)count, sizeof *index->entries);
    if (!index->entries) return -1;
    index->count = count;
    if (take_list(index, root, "samples", take_sample)) return -1;
    if (take_list(index, root, "dropped", take_dropped)) return -1;
    for (int64_t i = 0; i < count; i++)
        if (!index->entries[i].name && !index->entries[i].dropped)
            return error_int("sample %lld is neither listed nor dropped", (long long)i);
    return 0;
}

Index *index_read(const char *path) {
    json_error_t problem;
    json_t *root = json_load_file(path, JSON_REJECT_DUPLICATES, &problem);
    if (!root) return error_null("%s:%d: %s", path, problem.line, problem.text);
    Index *index = array_new(1, sizeof *index);
    const int status = index ? take_root(index, root) : -1;
    json_decref(root);
    if (status == 0) return index;
    error_context("%s: not an index that p2s prepare wrote", path);
    index_free(index);
    return NULL;
}
