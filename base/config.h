// SPDX-License-Identifier: MIT
// Configuration from one table. A config struct is a list of rows, one per key; the struct, the
// YAML reader, the key=value overrides, the help and the resolved file are made from it
// (each line of the list but the last ends in a backslash):
/*
 *  #define THING_KEYS(KEY)
 *      KEY(STRING, run, "run", "runs/thing", "", "folder of this run")
 *      KEY(DOUBLE, lr, "train.lr", "6e-5", "(0, 1]", "learning rate after warm-up")
 *      KEY(CHOICE, schedule, "train.schedule", "cosine", "cosine|exponential", "its course")
 *  typedef struct { THING_KEYS(CONFIG_FIELD) } Thing;
 *  #define THING_ROW(...) CONFIG_ROW(Thing, __VA_ARGS__)
 *  static const ConfigKey thing_keys[] = {THING_KEYS(THING_ROW)};
 *  const ConfigTable thing_table = {thing_keys, sizeof thing_keys / sizeof *thing_keys};
 */
// Types and their ranges: BOOL (""), INT and DOUBLE ("[min, max]", a round bracket excludes the
// bound, inf is allowed), STRING (""), CHOICE ("a|b|c"; the field is the index of the word), LIST
// of strings (""). The default must itself be a valid value; "" is an empty list.
#ifndef BASE_CONFIG_H
#define BASE_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    size_t count;
    char **items; // [count], owned
} ConfigList;

typedef enum {
    CONFIG_BOOL,
    CONFIG_INT,
    CONFIG_DOUBLE,
    CONFIG_STRING,
    CONFIG_CHOICE,
    CONFIG_LIST
} ConfigType;

typedef struct {
    const char *name; // dotted; first, so that text_nearest can walk the table
    ConfigType type;
    const char *text; // default
    const char *range;
    const char *help; // one line
    size_t offset;
} ConfigKey;

typedef struct {
    const ConfigKey *keys;
    size_t count;
} ConfigTable;

#define CONFIG_C_BOOL bool
#define CONFIG_C_INT int64_t
#define CONFIG_C_DOUBLE double
#define CONFIG_C_STRING char *
#define CONFIG_C_CHOICE int
#define CONFIG_C_LIST ConfigList
#define CONFIG_FIELD(type, field, name, text, range, help) CONFIG_C_##type field;
#define CONFIG_ROW(Struct, ...) CONFIG_ROW_(Struct, __VA_ARGS__)
#define CONFIG_ROW_(Struct, type, field, name, text, range, help) \
    {name, CONFIG_##type, text, range, help, offsetof(Struct, field)},

// Fills a zeroed struct with the defaults. -1 and an error that names the row when a default or a
// range of the table is invalid. Strings and lists belong to the struct: config_free.
int config_defaults(const ConfigTable *table, void *config);
void config_free(const ConfigTable *table, void *config);

// Sets what the YAML file says: mappings may be nested or keys dotted, values are scalars, and for
// LIST keys sequences. Unknown or repeated keys, wrong types and values out of range are errors
// "FILE:LINE: KEY: ..."; an unknown key comes with the nearest known one.
int config_read(const ConfigTable *table, void *config, const char *path);

// Sets one key from "key=value" ("a,b" for lists; a later one wins). `origin` opens the message of
// an error, for example "command line".
int config_override(const ConfigTable *table, void *config, const char *text, const char *origin);

// Sets one key from its text; a LIST from items separated by commas. Errors "ORIGIN: KEY: ...".
int config_set(const ConfigTable *table, void *config, const char *name, const char *value,
               const char *origin);

// The value of a key as text that config_set takes, owned by the caller. NULL and an error for an
// unknown key.
char *config_get(const ConfigTable *table, const void *config, const char *name);

// All keys with default, range and help, a line or two each. Owned by the caller.
char *config_help(const ConfigTable *table);

// Writes every key with its value as YAML, each with its help as comment; `heading` (may be NULL)
// stands above as comment lines. Reading the file back gives the same values to the last bit.
int config_write(const ConfigTable *table, const void *config, const char *path,
                 const char *heading);

#endif
