// SPDX-License-Identifier: MIT
// A YAML file to config keys: libyaml's events, walked with the dotted path of where they stand.
#include "base/config_private.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdlib.h>
#include <string.h>
#include <yaml.h>

enum { FILE_MAX = 1 << 20, NAME_MAX_LENGTH = 200, ORIGIN_MAX = 1024 };

typedef struct {
    const ConfigTable *table;
    void *config;
    const char *path;
    yaml_parser_t parser;
    yaml_event_t event; // the current one; yaml_event_delete'd by next()
    size_t *lines;      // [table->count]: where a key was set, 0 = not yet
    char origin[ORIGIN_MAX];
} Reader;

// "FILE:LINE" of the current event.
static const char *origin(Reader *reader) {
    snprintf(reader->origin, sizeof reader->origin, "%s:%zu", reader->path,
             reader->event.start_mark.line + 1);
    return reader->origin;
}

static int next(Reader *reader) {
    yaml_event_delete(&reader->event);
    if (yaml_parser_parse(&reader->parser, &reader->event)) return 0;
    const char *problem = reader->parser.problem ? reader->parser.problem : "unreadable";
    return error_int("%s:%zu: not YAML: %s", reader->path, reader->parser.problem_mark.line + 1,
                     problem);
}

// The text of the current scalar.
static const char *scalar(Reader *reader) {
    const char *text = (const char *)reader->event.data.scalar.value;
    if (strlen(text) != reader->event.data.scalar.length)
        return error_null("%s: found a control character (byte 0)", origin(reader));
    if (config_check_text(text) == 0) return text;
    error_context("%s", origin(reader));
    return NULL;
}

static const ConfigKey *find_once(Reader *reader, const char *name) {
    const ConfigKey *key = config_find(reader->table, name, origin(reader));
    if (!key) return NULL;
    size_t *line = &reader->lines[key - reader->table->keys];
    if (*line)
        return error_null("%s: %s is set again, first in line %zu", origin(reader), name, *line);
    *line = reader->event.start_mark.line + 1;
    return key;
}

static int read_scalar(Reader *reader, const char *name) {
    const char *text = scalar(reader);
    if (!text) return -1;
    bool plain = reader->event.data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    if (plain && text[0] == '\0' && config_is_section(reader->table, name)) return 0;
    const ConfigKey *key = find_once(reader, name);
    if (!key) return -1;
    // A list is asked for below.
    bool quotable =
        key->type == CONFIG_STRING || key->type == CONFIG_CHOICE || key->type == CONFIG_LIST;
    if (!plain && !quotable)
        error_int("found the quoted text \"%s\", expected it without quotes", text);
    else if (config_set_scalar(key, reader->config, text) == 0)
        return 0;
    return error_context("%s: %s", origin(reader), name);
}

static int read_sequence(Reader *reader, const char *name) {
    const ConfigKey *key = find_once(reader, name);
    if (!key) return -1;
    if (key->type != CONFIG_LIST)
        return error_int("%s: %s: found a list, expected one value", origin(reader), name);
    config_list_clear(key, reader->config);
    for (;;) {
        if (next(reader)) return -1;
        if (reader->event.type == YAML_SEQUENCE_END_EVENT) return 0;
        if (reader->event.type != YAML_SCALAR_EVENT)
            return error_int("%s: %s: expected a list of plain values", origin(reader), name);
        const char *text = scalar(reader);
        if (!text) return -1;
        if (config_list_add(key, reader->config, text, strlen(text)))
            return error_context("%s: %s", origin(reader), name);
    }
}

static int read_mapping(Reader *reader, const char *prefix);

static int read_value(Reader *reader, const char *name) {
    switch (reader->event.type) {
    case YAML_SCALAR_EVENT:
        return read_scalar(reader, name);
    case YAML_SEQUENCE_START_EVENT:
        return read_sequence(reader, name);
    case YAML_MAPPING_START_EVENT:
        return read_mapping(reader, name);
    default:
        return error_int("%s: %s: aliases are not supported", origin(reader), name);
    }
}

// One "key: value" below `prefix`, whose key is the current event.
static int read_entry(Reader *reader, const char *prefix) {
    if (reader->event.type != YAML_SCALAR_EVENT)
        return error_int("%s: expected a key", origin(reader));
    const char *key = scalar(reader);
    if (!key) return -1;
    if (key[0] == '\0') return error_int("%s: expected a key, found none", origin(reader));
    if (strlen(prefix) + strlen(key) > NAME_MAX_LENGTH)
        return error_int("%s: a key of more than %d letters", origin(reader), NAME_MAX_LENGTH);
    char *name = text_format("%s%s%s", prefix, *prefix ? "." : "", key);
    if (!name) return -1;
    int result = next(reader) ? -1 : read_value(reader, name);
    free(name);
    return result;
}

// The depth is bounded, as each level adds a letter to the name.
static int read_mapping(Reader *reader, const char *prefix) {
    for (;;) {
        if (next(reader)) return -1;
        if (reader->event.type == YAML_MAPPING_END_EVENT) return 0;
        if (read_entry(reader, prefix)) return -1;
    }
}

static int read_stream(Reader *reader) {
    do {
        if (next(reader)) return -1;
    } while (reader->event.type == YAML_STREAM_START_EVENT ||
             reader->event.type == YAML_DOCUMENT_START_EVENT);
    if (reader->event.type == YAML_STREAM_END_EVENT) return 0;
    if (reader->event.type != YAML_MAPPING_START_EVENT)
        return error_int("%s: expected \"key: value\" lines", origin(reader));
    if (read_mapping(reader, "") || next(reader) || next(reader)) return -1;
    if (reader->event.type != YAML_STREAM_END_EVENT)
        return error_int("%s: a second document, expected one", origin(reader));
    return 0;
}

int config_read(const ConfigTable *table, void *config, const char *path) {
    size_t size;
    char *bytes = file_read(path, FILE_MAX, &size);
    if (!bytes) return -1;
    Reader reader = {.table = table, .config = config, .path = path};
    reader.lines = array_new(table->count, sizeof *reader.lines);
    int result = -1;
    if (!reader.lines || !yaml_parser_initialize(&reader.parser)) {
        error_int("%s: out of memory", path);
    } else {
        yaml_parser_set_input_string(&reader.parser, (const unsigned char *)bytes, size);
        result = read_stream(&reader);
        yaml_event_delete(&reader.event);
        yaml_parser_delete(&reader.parser);
    }
    free(reader.lines);
    free(bytes);
    return result;
}
