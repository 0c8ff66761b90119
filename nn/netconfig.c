// SPDX-License-Identifier: MIT
// Checked reading of config.json. See netconfig.h.
#include "nn/netconfig.h"

#include "base/error.h"
#include "base/file.h"

#include <stdlib.h>
#include <string.h>

enum { MAX_CONFIG = 1000000 };

json_t *netconfig_read(const char *path) {
    return netconfig_read_object(path, MAX_CONFIG, JSON_REJECT_DUPLICATES);
}

json_t *netconfig_read_object(const char *path, size_t limit, size_t flags) {
    size_t size = 0;
    char *text = file_read(path, limit, &size);
    if (!text) return NULL;
    json_error_t problem;
    json_t *root = json_loadb(text, size, flags, &problem);
    free(text);
    if (!root) return error_null("%s:%d: %s", path, problem.line, problem.text);
    if (json_is_object(root)) return root;
    json_decref(root);
    return error_null("%s: not a JSON object", path);
}

int netconfig_write(const char *path, const json_t *root) {
    char *text = json_dumps(root, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    if (!text) return error_int("%s: out of memory", path);
    size_t length = strlen(text);
    text[length] = '\n'; // in place of the NUL, which is not written
    int result = file_write(path, text, length + 1);
    free(text);
    return result;
}

// ---- rules --------------------------------------------------------------------------------------

static bool same_value(const json_t *a, const json_t *b) {
    if (json_is_number(a) && json_is_number(b)) return json_number_value(a) == json_number_value(b);
    return json_equal(a, b);
}

static int check_value(const char *key, const json_t *value, const char *only) {
    json_t *expected = json_loads(only, JSON_DECODE_ANY, NULL);
    bool same = expected && same_value(value, expected);
    json_decref(expected);
    if (same) return 0;
    char *found = json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY);
    error_int("%s is %.100s; only %s is supported", key, found ? found : "?", only);
    free(found);
    return -1;
}

int netconfig_check(const json_t *root, const NetconfigRule *rules) {
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)root, key, value) {
        if (key[0] == '_' || json_is_null(value)) continue;
        const NetconfigRule *rule = rules;
        while (rule->key && strcmp(rule->key, key) != 0) rule++;
        if (!rule->key && !json_is_false(value))
            return error_int("%.100s is unknown, and what it changes with it", key);
        if (rule->key && rule->only && check_value(key, value, rule->only) != 0) return -1;
    }
    return 0;
}

// ---- values -------------------------------------------------------------------------------------

static const json_t *find(const json_t *root, const char *key) {
    const json_t *value = json_object_get(root, key);
    return json_is_null(value) ? NULL : value;
}

static int take_integer(const json_t *value, const char *key, int64_t low, int64_t high,
                        int64_t *result) {
    if (!json_is_integer(value)) return error_int("%s is not an integer", key);
    int64_t found = json_integer_value(value);
    if (found < low || found > high)
        return error_int("%s is %lld; expected %lld to %lld", key, (long long)found, (long long)low,
                         (long long)high);
    *result = found;
    return 0;
}

int netconfig_integer(const json_t *root, const char *key, int64_t low, int64_t high,
                      int64_t *value) {
    const json_t *found = find(root, key);
    return found ? take_integer(found, key, low, high, value) : 0;
}

int netconfig_number(const json_t *root, const char *key, double low, double high, double *value) {
    const json_t *found = find(root, key);
    if (!found) return 0;
    if (!json_is_number(found)) return error_int("%s is not a number", key);
    double number = json_number_value(found);
    if (!(number >= low && number <= high))
        return error_int("%s is %g; expected %g to %g", key, number, low, high);
    *value = number;
    return 0;
}

int netconfig_boolean(const json_t *root, const char *key, bool *value) {
    const json_t *found = find(root, key);
    if (!found) return 0;
    if (!json_is_boolean(found)) return error_int("%s is neither true nor false", key);
    *value = json_is_true(found);
    return 0;
}

int netconfig_integers(const json_t *root, const char *key, int64_t low, int64_t high, int room,
                       int *count, int64_t *values) {
    const json_t *found = find(root, key);
    if (!found) return 0;
    if (!json_is_array(found)) {
        if (*count == 0) return error_int("%s is not a list", key);
        for (int i = 0; i < *count; i++)
            if (take_integer(found, key, low, high, &values[i]) != 0) return -1;
        return 0;
    }
    size_t length = json_array_size(found);
    if (length < 1 || length > (size_t)room || (*count > 0 && length != (size_t)*count))
        return error_int("%s has %zu entries; expected %d%s", key, length,
                         *count > 0 ? *count : room, *count > 0 ? "" : " or fewer");
    for (size_t i = 0; i < length; i++)
        if (take_integer(json_array_get(found, i), key, low, high, &values[i]) != 0) return -1;
    *count = (int)length;
    return 0;
}

int netconfig_types(const json_t *root, const char *key, const char *yes, const char *no, int count,
                    bool *places) {
    const json_t *list = find(root, key);
    if (!json_is_array(list)) return error_int("%s is missing or not a list", key);
    if (json_array_size(list) != (size_t)count)
        return error_int("%s has %zu entries, block_out_channels %d", key, json_array_size(list),
                         count);
    for (int i = 0; i < count; i++) {
        const char *type = json_string_value(json_array_get(list, (size_t)i));
        places[i] = type && yes && strcmp(type, yes) == 0;
        if (places[i] || (type && strcmp(type, no) == 0)) continue;
        return error_int("%s: block type %.60s is not supported; expected %s%s%s", key,
                         type ? type : "(not text)", no, yes ? " or " : "", yes ? yes : "");
    }
    return 0;
}

json_t *netconfig_integer_list(const int64_t *values, int count) {
    json_t *list = json_array();
    for (int i = 0; i < count; i++) json_array_append_new(list, json_integer(values[i]));
    return list;
}
