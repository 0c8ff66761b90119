// SPDX-License-Identifier: MIT
// Thread-local first message. See error.h.
#include "base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MESSAGE_SIZE = 4096 };

static _Thread_local char current[MESSAGE_SIZE];
static _Thread_local char taken[MESSAGE_SIZE];

static void set_message(const char *format, va_list args) {
    if (current[0] != '\0') return;
    if (vsnprintf(current, sizeof current, format, args) <= 0)
        strcpy(current, "error without a message");
}

void *error_null(const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_message(format, args);
    va_end(args);
    return NULL;
}

int error_int(const char *format, ...) {
    va_list args;
    va_start(args, format);
    set_message(format, args);
    va_end(args);
    return -1;
}

const char *error_message(void) {
    return current;
}

bool error_is_set(void) {
    return current[0] != '\0';
}

const char *error_take(void) {
    memcpy(taken, current, sizeof taken);
    current[0] = '\0';
    return taken;
}

int error_context(const char *format, ...) {
    if (current[0] == '\0') return -1;
    char prefix[MESSAGE_SIZE / 2];
    va_list args;
    va_start(args, format);
    vsnprintf(prefix, sizeof prefix, format, args);
    va_end(args);
    char whole[2 * MESSAGE_SIZE];
    snprintf(whole, sizeof whole, "%s: %s", prefix, current);
    memcpy(current, whole, sizeof current - 1);
    current[sizeof current - 1] = '\0';
    return -1;
}
