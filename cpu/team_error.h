// SPDX-License-Identifier: MIT
// The error of a parallel region: messages are kept per thread (base/error.h), and the thread that
// began the region reports for its team.
#ifndef CPU_TEAM_ERROR_H
#define CPU_TEAM_ERROR_H

typedef struct {
    char message[512]; // of the first failure; "": none
} TeamError;

// By the thread in which something failed: takes its message.
void team_error_note(TeamError *error);

// After the region: 0, or -1 and the error "op: message" when a failure was noted.
int team_error_raise(const TeamError *error, const char *op);

#endif
