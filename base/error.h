// SPDX-License-Identifier: MIT
// One error mechanism for the whole program: the first message wins, and stays until it is taken.
// Builders return a pointer, NULL on failure; actions return 0, or -1 on failure. Only cli/ ends
// the process. Messages are kept per thread; a thread that works for another hands its message
// over with error_take() and error_int().
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

// Sets the message unless one is already set; returns NULL. printf format.
void *error_null(const char *format, ...) __attribute__((format(printf, 1, 2)));

// Sets the message unless one is already set; returns -1. printf format.
int error_int(const char *format, ...) __attribute__((format(printf, 1, 2)));

// The message of this thread, "" when there is none. Valid until the next error call.
const char *error_message(void);

// Whether a message is set.
bool error_is_set(void);

// Returns the message and clears it, for who handles the error. "" when there is none. The text
// stays valid until the next error_take() on this thread.
const char *error_take(void);

// Puts "prefix: " before the message that is set, so that a caller can add where it happened.
// Does nothing when none is set. Returns -1.
int error_context(const char *format, ...) __attribute__((format(printf, 1, 2)));

#ifdef __cplusplus
}
#endif
#endif
