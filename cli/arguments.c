// SPDX-License-Identifier: MIT
// See arguments.h.
#include "cli/arguments.h"

#include "base/error.h"
#include "base/text.h"
#include "cli/command.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int arguments_wrong(const char *command, const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "p2s %s: ", command);
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n(p2s %s --help tells more)\n", command);
    va_end(list);
    return EXIT_USAGE;
}

// The option that argv names up to its end or '='; NULL when there is none.
static const Argument *find(const Arguments *arguments, const char *text) {
    size_t length = strcspn(text, "=");
    for (size_t i = 0; i < arguments->option_count; i++) {
        const char *name = arguments->options[i].name;
        if (strlen(name) == length && strncmp(name, text, length) == 0)
            return &arguments->options[i];
    }
    return NULL;
}

static int unknown(const Arguments *arguments, const char *text) {
    char name[128];
    snprintf(name, sizeof name, "%.*s", (int)strcspn(text, "="), text);
    const char *near = NULL;
    if (arguments->option_count > 0)
        near = text_nearest(name, &arguments->options[0].name, arguments->option_count,
                            sizeof arguments->options[0]);
    if (near) return error_int("unknown option %s; is %s meant?", name, near);
    return error_int("unknown option %s", name);
}

static int set_integers(const Argument *option, const char *text) {
    Integers *list = option->value;
    while (*text) {
        char item[32];
        size_t length = strcspn(text, ", ");
        if (length >= sizeof item) return error_int("\"%s\" is too long", text);
        memcpy(item, text, length);
        item[length] = '\0';
        text += length + (text[length] != '\0');
        if (length == 0) continue;
        if (list->count == ARGUMENTS_MAX) return error_int("more than %d values", ARGUMENTS_MAX);
        if (text_to_int64(item, (int64_t)option->low, (int64_t)option->high,
                          &list->items[list->count]) != 0)
            return -1;
        list->count++;
    }
    return 0;
}

static int set_choice(const Argument *option, const char *text) {
    const char *at = strchr(text, '|') ? NULL : option->choices; // a word, not several
    size_t length = strlen(text);
    while (at) {
        if (strncmp(at, text, length) == 0 && (at[length] == '|' || at[length] == '\0')) {
            *(const char **)option->value = text;
            return 0;
        }
        at = strchr(at, '|');
        if (at) at++;
    }
    return error_int("\"%s\" is none of %s", text, option->choices);
}

static int set_word(Words *words, int max, const char *text) {
    if (words->count >= max) return error_int("unexpected \"%s\"", text);
    words->items[words->count++] = text;
    return 0;
}

static int set(const Argument *option, const char *text) {
    switch (option->kind) {
    case ARGUMENT_FLAG:
        return error_int("takes no value");
    case ARGUMENT_TEXT:
        *(const char **)option->value = text;
        return 0;
    case ARGUMENT_INTEGER:
        return text_to_int64(text, (int64_t)option->low, (int64_t)option->high, option->value);
    case ARGUMENT_NUMBER:
        return text_to_double(text, option->low, option->high, option->value);
    case ARGUMENT_CHOICE:
        return set_choice(option, text);
    case ARGUMENT_LIST:
        return set_integers(option, text);
    case ARGUMENT_WORDS:
        return set_word(option->value, ARGUMENTS_MAX, text);
    }
    return -1;
}

// Takes the option at argv[*i] with its value or, for a LIST, all the numbers that follow.
static int take_option(const Arguments *arguments, int argc, char **argv, int *i) {
    const char *text = argv[*i], *equals = strchr(text, '=');
    const Argument *option = find(arguments, text);
    if (!option) return unknown(arguments, text);
    if (option->kind == ARGUMENT_FLAG && !equals) {
        *(bool *)option->value = true;
        return 0;
    }
    if (!equals && *i + 1 == argc) return error_int("%s needs a value", option->name);
    if (set(option, equals ? equals + 1 : argv[++*i]) != 0)
        return error_context("%s", option->name);
    while (option->kind == ARGUMENT_LIST && *i + 1 < argc && argv[*i + 1][0] >= '0' &&
           argv[*i + 1][0] <= '9')
        if (set(option, argv[++*i]) != 0) return error_context("%s", option->name);
    return 0;
}

static int take(const Arguments *arguments, int argc, char **argv, int *i, bool options) {
    const char *text = argv[*i];
    if (options && text[0] == '-' && text[1] != '\0') return take_option(arguments, argc, argv, i);
    if (arguments->overrides && strchr(text, '='))
        return set_word(arguments->overrides, ARGUMENTS_MAX, text);
    if (!arguments->words) return error_int("unexpected \"%s\"", text);
    return set_word(arguments->words, arguments->max_words, text);
}

bool arguments_read(const Arguments *arguments, int argc, char **argv, int *code) {
    bool options = true;
    for (int i = 1; i < argc; i++) {
        if (options && strcmp(argv[i], "--") == 0) {
            options = false;
            continue;
        }
        if (options && (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "-h") == 0)) {
            fputs(arguments->help, stdout);
            *code = EXIT_OK;
            return false;
        }
        if (take(arguments, argc, argv, &i, options) != 0) {
            *code = arguments_wrong(argv[0], "%s", error_take());
            return false;
        }
    }
    return true;
}

int arguments_config(const ConfigTable *table, void *config, const char *path,
                     const Words *overrides) {
    int result = config_defaults(table, config);
    if (result == 0) result = config_read(table, config, path);
    for (int i = 0; result == 0 && i < overrides->count; i++)
        result = config_override(table, config, overrides->items[i], "command line");
    return result;
}

int arguments_print_keys(const ConfigTable *table) {
    char *text = config_help(table);
    if (!text) return command_failed();
    fputs(text, stdout);
    free(text);
    return EXIT_OK;
}

int size_from_text(const char *text, int64_t *height, int64_t *width) {
    char first[16];
    size_t length = strcspn(text, "xX");
    if (text[length] == '\0' || length >= sizeof first)
        return error_int("\"%s\" is no size; expected HEIGHTxWIDTH, for example 480x640", text);
    memcpy(first, text, length);
    first[length] = '\0';
    if (text_to_int64(first, 1, 65535, height) != 0 ||
        text_to_int64(text + length + 1, 1, 65535, width) != 0)
        return error_context("size %s", text);
    return 0;
}
