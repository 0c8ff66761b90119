// SPDX-License-Identifier: MIT
// The config table: values from text and back, help, the resolved file. See config.h.
#include "base/config.h"

#include "base/config_private.h"
#include "base/error.h"
#include "base/file.h"
#include "base/memory.h"
#include "base/text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *field(const ConfigKey *key, void *config) {
    return (char *)config + key->offset;
}

static const void *const_field(const ConfigKey *key, const void *config) {
    return (const char *)config + key->offset;
}

static bool in_range(const char *range, double value, bool *valid) {
    double min, max;
    char open, close;
    *valid = sscanf(range, "%c%lf,%lf%c", &open, &min, &max, &close) == 4 && min <= max &&
             (open == '[' || open == '(') && (close == ']' || close == ')');
    if (!*valid) return false;
    bool above = open == '[' ? value >= min : value > min;
    bool below = close == ']' ? value <= max : value < max;
    return above && below;
}

static int check_range(const ConfigKey *key, const char *text, double value) {
    bool valid;
    if (in_range(key->range, value, &valid)) return 0;
    if (!valid) return error_int("the table's range \"%s\" is not one", key->range);
    return error_int("found %s, expected %s in %s", text,
                     key->type == CONFIG_INT ? "an integer" : "a number", key->range);
}

static int set_int(const ConfigKey *key, void *config, const char *text) {
    int64_t value;
    if (text_to_int64(text, INT64_MIN, INT64_MAX, &value)) return -1;
    if (check_range(key, text, (double)value)) return -1;
    *(int64_t *)field(key, config) = value;
    return 0;
}

static int set_double(const ConfigKey *key, void *config, const char *text) {
    double value;
    if (text_to_double(text, -HUGE_VAL, HUGE_VAL, &value)) return -1;
    if (check_range(key, text, value)) return -1;
    *(double *)field(key, config) = value;
    return 0;
}

// Word number `index` of "a|b|c" and its length; NULL when there are fewer.
static const char *choice(const char *words, int index, size_t *length) {
    for (; index > 0; index--) {
        words = strchr(words, '|');
        if (!words) return NULL;
        words++;
    }
    *length = strcspn(words, "|");
    return words;
}

static int set_choice(const ConfigKey *key, void *config, const char *text) {
    size_t length;
    const char *word;
    for (int i = 0; (word = choice(key->range, i, &length)); i++) {
        if (strlen(text) != length || memcmp(text, word, length) != 0) continue;
        *(int *)field(key, config) = i;
        return 0;
    }
    return error_int("found \"%s\", expected one of %s", text, key->range);
}

static int set_string(const ConfigKey *key, void *config, const char *text) {
    char *copy = string_copy(text);
    if (!copy) return -1;
    char **place = field(key, config);
    free(*place);
    *place = copy;
    return 0;
}

int config_set_scalar(const ConfigKey *key, void *config, const char *value) {
    switch (key->type) {
    case CONFIG_BOOL:
        return text_to_bool(value, field(key, config));
    case CONFIG_INT:
        return set_int(key, config, value);
    case CONFIG_DOUBLE:
        return set_double(key, config, value);
    case CONFIG_CHOICE:
        return set_choice(key, config, value);
    case CONFIG_STRING:
        return set_string(key, config, value);
    case CONFIG_LIST:
        break;
    }
    return error_int("found \"%s\", expected a list", value);
}

void config_list_clear(const ConfigKey *key, void *config) {
    ConfigList *list = field(key, config);
    for (size_t i = 0; i < list->count; i++) free(list->items[i]);
    free(list->items);
    *list = (ConfigList){0};
}

int config_list_add(const ConfigKey *key, void *config, const char *item, size_t length) {
    ConfigList *list = field(key, config);
    if (length == 0 || memchr(item, ',', length))
        return error_int("found the item \"%.*s\", expected text without commas", (int)length,
                         item);
    char **items = array_resize(list->items, list->count + 1, sizeof *items);
    if (!items) return -1;
    list->items = items;
    items[list->count] = text_format("%.*s", (int)length, item);
    if (!items[list->count]) return -1;
    list->count++;
    return 0;
}

static int set_list(const ConfigKey *key, void *config, const char *text) {
    config_list_clear(key, config);
    if (text[0] == '\0') return 0;
    for (;;) {
        size_t length = strcspn(text, ",");
        if (config_list_add(key, config, text, length)) return -1;
        if (text[length] == '\0') return 0;
        text += length + 1;
    }
}

// Whether the UTF-8 sequence here is a control character, a line break or a mark that YAML does not
// keep as it is: below U+0020, U+007F..9F, U+2028/9, U+FEFF, U+FFFE/F.
static bool unprintable(const char *c) {
    if ((unsigned char)c[0] < ' ' || c[0] == 127) return true;
    if (c[0] == '\xC2') return (unsigned char)c[1] < 0xA0;
    return text_starts_with(c, "\xE2\x80\xA8") || text_starts_with(c, "\xE2\x80\xA9") ||
           text_starts_with(c, "\xEF\xBB\xBF") || text_starts_with(c, "\xEF\xBF\xBE") ||
           text_starts_with(c, "\xEF\xBF\xBF");
}

int config_check_text(const char *text) {
    if (!text_is_utf8(text)) return error_int("found bytes that are not UTF-8 text");
    for (const char *c = text; *c; c++)
        if (unprintable(c))
            return error_int("found a control character (byte %d)", (unsigned char)*c);
    return 0;
}

static int set_text(const ConfigKey *key, void *config, const char *text) {
    if (config_check_text(text)) return -1;
    return key->type == CONFIG_LIST ? set_list(key, config, text)
                                    : config_set_scalar(key, config, text);
}

bool config_is_section(const ConfigTable *table, const char *name) {
    size_t length = strlen(name);
    for (size_t i = 0; i < table->count; i++)
        if (text_starts_with(table->keys[i].name, name) && table->keys[i].name[length] == '.')
            return true;
    return false;
}

const ConfigKey *config_find(const ConfigTable *table, const char *name, const char *origin) {
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->keys[i].name, name) == 0) return &table->keys[i];
    if (config_is_section(table, name))
        return error_null("%s: \"%s\" is a section of keys, expected \"%s.KEY\"", origin, name,
                          name);
    const char *nearest =
        text_nearest(name, &table->keys[0].name, table->count, sizeof table->keys[0]);
    if (nearest)
        return error_null("%s: unknown key \"%s\"; did you mean \"%s\"?", origin, name, nearest);
    return error_null("%s: unknown key \"%s\"", origin, name);
}

int config_defaults(const ConfigTable *table, void *config) {
    for (size_t i = 0; i < table->count; i++)
        if (set_text(&table->keys[i], config, table->keys[i].text))
            return error_context("default of %s", table->keys[i].name);
    return 0;
}

void config_free(const ConfigTable *table, void *config) {
    for (size_t i = 0; i < table->count; i++) {
        const ConfigKey *key = &table->keys[i];
        if (key->type == CONFIG_LIST) config_list_clear(key, config);
        if (key->type != CONFIG_STRING) continue;
        char **place = field(key, config);
        free(*place);
        *place = NULL;
    }
}

int config_set(const ConfigTable *table, void *config, const char *name, const char *value,
               const char *origin) {
    const ConfigKey *key = config_find(table, name, origin);
    if (!key) return -1;
    return set_text(key, config, value) ? error_context("%s: %s", origin, name) : 0;
}

int config_override(const ConfigTable *table, void *config, const char *text, const char *origin) {
    const char *equals = strchr(text, '=');
    if (!equals || equals == text)
        return error_int("%s: found \"%s\", expected key=value", origin, text);
    char *name = text_format("%.*s", (int)(equals - text), text);
    int result = name ? config_set(table, config, name, equals + 1, origin) : -1;
    free(name);
    return result;
}

// The fewest digits that give the same double back.
static int add_double(Text *text, double value) {
    char digits[32];
    for (int precision = 6; precision <= 17; precision++) {
        snprintf(digits, sizeof digits, "%.*g", precision, value);
        if (strtod(digits, NULL) == value) break;
    }
    return text_add(text, "%s", digits);
}

static int add_value(Text *text, const ConfigKey *key, const void *config) {
    const void *place = const_field(key, config);
    size_t length = 0;
    const char *word;
    switch (key->type) {
    case CONFIG_BOOL:
        return text_add(text, "%s", *(const bool *)place ? "true" : "false");
    case CONFIG_INT:
        return text_add(text, "%lld", (long long)*(const int64_t *)place);
    case CONFIG_DOUBLE:
        return add_double(text, *(const double *)place);
    case CONFIG_STRING:
        return text_add(text, "%s", *(char *const *)place);
    case CONFIG_CHOICE:
        word = choice(key->range, *(const int *)place, &length);
        return text_add(text, "%.*s", (int)length, word ? word : "");
    case CONFIG_LIST:
        break;
    }
    const ConfigList *list = place;
    for (size_t i = 0; i < list->count; i++) text_add(text, "%s%s", i ? "," : "", list->items[i]);
    return text->failed ? -1 : 0;
}

char *config_get(const ConfigTable *table, const void *config, const char *name) {
    const ConfigKey *key = config_find(table, name, "config");
    if (!key) return NULL;
    Text text = {0};
    add_value(&text, key, config);
    return text_take(&text);
}

static const char *expected(const ConfigKey *key) {
    switch (key->type) {
    case CONFIG_BOOL:
        return "true|false";
    case CONFIG_STRING:
        return "text";
    case CONFIG_LIST:
        return "list";
    default:
        return key->range;
    }
}

char *config_help(const ConfigTable *table) {
    Text text = {0};
    for (size_t i = 0; i < table->count; i++) {
        const ConfigKey *key = &table->keys[i];
        text_add(&text, "  %s=%s  %s\n      %s\n", key->name, key->text, expected(key), key->help);
    }
    return text_take(&text);
}

static void add_quoted(Text *text, const char *string, size_t length) {
    text_add(text, "\"");
    for (size_t i = 0; i < length; i++)
        text_add(text, string[i] == '"' || string[i] == '\\' ? "\\%c" : "%c", string[i]);
    text_add(text, "\"");
}

static void add_yaml(Text *text, const ConfigKey *key, const void *config, const char *indent) {
    const char *dot = strchr(key->name, '.');
    text_add(text, "%s# %s (%s)\n%s%s: ", indent, key->help, expected(key), indent,
             *indent ? dot + 1 : key->name);
    const void *place = const_field(key, config);
    if (key->type == CONFIG_LIST) {
        const ConfigList *list = place;
        text_add(text, "[");
        for (size_t i = 0; i < list->count; i++) {
            text_add(text, "%s", i ? ", " : "");
            add_quoted(text, list->items[i], strlen(list->items[i]));
        }
        text_add(text, "]");
    } else if (key->type == CONFIG_STRING) {
        const char *string = *(char *const *)place;
        add_quoted(text, string, strlen(string));
    } else {
        add_value(text, key, config);
    }
    text_add(text, "\n");
}

static size_t section_length(const ConfigKey *key) {
    return strchr(key->name, '.') ? strcspn(key->name, ".") : 0;
}

static bool same_section(const ConfigKey *a, const ConfigKey *b) {
    size_t length = section_length(a);
    return length == section_length(b) && memcmp(a->name, b->name, length) == 0;
}

// Each section once, at its first key, with all its keys below it.
static void add_all(Text *text, const ConfigTable *table, const void *config) {
    for (size_t i = 0; i < table->count; i++) {
        const ConfigKey *key = &table->keys[i];
        size_t first = 0;
        while (!same_section(&table->keys[first], key)) first++;
        size_t length = section_length(key);
        if (length == 0) add_yaml(text, key, config, "");
        if (length == 0 || first < i) continue;
        text_add(text, "%.*s:\n", (int)length, key->name);
        for (size_t j = i; j < table->count; j++)
            if (same_section(&table->keys[j], key)) add_yaml(text, &table->keys[j], config, "  ");
    }
}

int config_write(const ConfigTable *table, const void *config, const char *path,
                 const char *heading) {
    Text text = {0};
    for (const char *line = heading; line && *line;) {
        size_t length = strcspn(line, "\n");
        text_add(&text, "# %.*s\n", (int)length, line);
        line += length + (line[length] == '\n');
    }
    add_all(&text, table, config);
    int result = text.failed ? -1 : file_write(path, text_string(&text), text.length);
    text_free(&text);
    return result;
}
