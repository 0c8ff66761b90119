// SPDX-License-Identifier: MIT
// Command lines: "--name value", "--name=value", "--flag", "key=value" and words, from one table.
#ifndef CLI_ARGUMENTS_H
#define CLI_ARGUMENTS_H

#include "base/config.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Values of an option that may be given several times; points into argv, [count].
enum { ARGUMENTS_MAX = 64 };
typedef struct {
    const char *items[ARGUMENTS_MAX];
    int count;
} Words;

typedef enum {
    ARGUMENT_FLAG,    // bool: true when given
    ARGUMENT_TEXT,    // const char *
    ARGUMENT_INTEGER, // int64_t in low..high
    ARGUMENT_NUMBER,  // double in low..high
    ARGUMENT_CHOICE,  // const char *, one of the words of `choices`
    ARGUMENT_LIST,    // int64_t, several: "50,1000", "50 1000" or given again; each in low..high
    ARGUMENT_WORDS    // Words: every value, in order
} ArgumentKind;

typedef struct {
    const char *name; // "--size"; first, so that the nearest one can be found
    ArgumentKind kind;
    void *value;         // keeps its default when the option is not given
    double low, high;    // numbers
    const char *choices; // "a|b"
} Argument;

// Rows of a table.
#define ARG_FLAG(option, place) \
    { .name = option, .kind = ARGUMENT_FLAG, .value = &(place) }
#define ARG_TEXT(option, place) \
    { .name = option, .kind = ARGUMENT_TEXT, .value = &(place) }
#define ARG_WORDS(option, place) \
    { .name = option, .kind = ARGUMENT_WORDS, .value = &(place) }
#define ARG_CHOICE(option, place, words) \
    { .name = option, .kind = ARGUMENT_CHOICE, .value = &(place), .choices = words }
#define ARG_RANGE(option, type, place, least, most) \
    { .name = option, .kind = ARGUMENT_##type, .value = &(place), .low = least, .high = most }

typedef struct {
    int64_t items[ARGUMENTS_MAX];
    int count;
} Integers;

typedef struct {
    const char *help; // "usage: ..." and what --help prints
    const Argument *options;
    size_t option_count;
    Words *words;     // what is no option, at most max_words; NULL when there are none
    int max_words;    // ARGUMENTS_MAX at most
    Words *overrides; // what has a '=' in it and is no option, NULL: those are words too
} Arguments;

#define ARGUMENTS_COUNT(options) (sizeof(options) / sizeof(options)[0])

// Reads argv[1..]. Returns true when the command shall run. Otherwise *code is its exit code:
// EXIT_OK after --help, which is printed; EXIT_USAGE after a mistake, which is named on stderr.
// "--" ends the options.
bool arguments_read(const Arguments *arguments, int argc, char **argv, int *code);

// Fills a zeroed config: defaults, then the file, then the "key=value" overrides. config_free is
// the caller's, also after a failure.
int arguments_config(const ConfigTable *table, void *config, const char *path,
                     const Words *overrides);

// Prints every key of a table with its default and range; returns the exit code.
int arguments_print_keys(const ConfigTable *table);

// Says what is wrong with the command line and how to get help; returns EXIT_USAGE. printf format.
int arguments_wrong(const char *command, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

// "480x640" -> height and width, each in 1..65535. -1 and an error otherwise.
int size_from_text(const char *text, int64_t *height, int64_t *width);

#endif
