// SPDX-License-Identifier: MIT
// See team_error.h.
#include "cpu/team_error.h"

#include "base/error.h"

#include <stdio.h>

void team_error_note(TeamError *error) {
    const char *message = error_take();
    if (!message[0]) message = "failed without a message";
#pragma omp critical(team_error)
    if (!error->message[0]) snprintf(error->message, sizeof error->message, "%s", message);
}

int team_error_raise(const TeamError *error, const char *op) {
    return error->message[0] ? error_int("%s: %s", op, error->message) : 0;
}
