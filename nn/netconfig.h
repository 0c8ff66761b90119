// SPDX-License-Identifier: MIT
// Reading the config.json of a network: the keys we use, the keys that may only have one value
// because we compute nothing else, and the keys that change nothing.
#ifndef NN_NETCONFIG_H
#define NN_NETCONFIG_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

// A key that a config may hold. `only` is the JSON text of the single value that is supported, NULL
// for any. Tables end with a NULL key.
typedef struct {
    const char *key, *only;
} NetconfigRule;

// Reads a JSON object from a file of at most 1 MB; the caller owns it (json_decref). NULL and an
// error that names the file.
json_t *netconfig_read(const char *path);
// The same of any JSON object, of at most `limit` bytes, with jansson's decoding flags.
json_t *netconfig_read_object(const char *path, size_t limit, size_t flags);
// Writes it, atomically.
int netconfig_write(const char *path, const json_t *root);

// Fails at the first key with a value that is not supported, or that no rule knows and that is not
// null or false. Keys that begin with "_" are ignored.
int netconfig_check(const json_t *root, const NetconfigRule *rules);

// One value; *value keeps its default when the key is missing or null. Fail when the type is wrong
// or the value lies outside the range.
int netconfig_integer(const json_t *root, const char *key, int64_t low, int64_t high,
                      int64_t *value);
int netconfig_number(const json_t *root, const char *key, double low, double high, double *value);
int netconfig_boolean(const json_t *root, const char *key, bool *value);

// A list of integers, or one for all `count` places if *count is above 0; otherwise *count, at most
// `room`, is set from the list. Untouched when the key is missing or null.
int netconfig_integers(const json_t *root, const char *key, int64_t low, int64_t high, int room,
                       int *count, int64_t *values);

// A list of `count` block types: places[i] tells whether it is `yes` (otherwise it must be `no`).
int netconfig_types(const json_t *root, const char *key, const char *yes, const char *no, int count,
                    bool *places);

json_t *netconfig_integer_list(const int64_t *values, int count);

#endif
