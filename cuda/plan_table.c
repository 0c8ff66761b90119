// SPDX-License-Identifier: MIT
// The table of choices. See plan_table.h.
#include "cuda/plan_table.h"

#include "base/error.h"
#include "base/memory.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINE_SIZE = 256 };

typedef struct {
    char *name;
    int choice;
} Row;

static Row *rows;
static size_t row_count, row_capacity;
static uint64_t hash;

static void clear(void) {
    for (size_t i = 0; i < row_count; i++) free(rows[i].name);
    free(rows);
    rows = NULL;
    row_count = row_capacity = 0;
    hash = 0;
}

// FNV-1a over the text of a row.
static void add_to_hash(const char *text) {
    if (hash == 0) hash = 14695981039346656037u;
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 1099511628211u;
}

static int read_row(const char *path, int number, char *line) {
    line[strcspn(line, "\r\n")] = '\0';
    if (line[0] == '\0' || line[0] == '#') return 0;
    char *end;
    long choice = strtol(line, &end, 10);
    if (end == line || *end != ' ' || choice < 0 || choice >= PLAN_TABLE_CHOICES || end[1] == '\0')
        return error_int("%s:%d: found '%.60s', expected a number of 0 to %d, a space and a name",
                         path, number, line, PLAN_TABLE_CHOICES - 1);
    if (array_grow(&rows, &row_capacity, row_count, sizeof *rows) != 0) return -1;
    char *name = string_copy(end + 1);
    if (!name) return -1;
    rows[row_count++] = (Row){.name = name, .choice = (int)choice};
    add_to_hash(line);
    return 0;
}

int plan_table_read(const char *path) {
    char line[LINE_SIZE];
    int number = 0, result = 0;
    clear();
    FILE *file = fopen(path, "r");
    if (!file) return error_int("%s: cannot be opened", path);
    while (result == 0 && fgets(line, sizeof line, file)) {
        number++;
        if (!strchr(line, '\n') && !feof(file))
            result =
                error_int("%s:%d: a line of more than %d characters", path, number, LINE_SIZE - 2);
        else
            result = read_row(path, number, line);
    }
    if (result == 0 && ferror(file)) result = error_int("%s: cannot be read", path);
    fclose(file);
    if (result != 0) clear();
    return result;
}

int plan_table_choice(const char *name) {
    for (size_t i = 0; i < row_count; i++)
        if (strcmp(rows[i].name, name) == 0) return rows[i].choice;
    return 0;
}

uint64_t plan_table_hash(void) {
    return hash;
}
