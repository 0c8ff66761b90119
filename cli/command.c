// SPDX-License-Identifier: MIT
// See command.h.
#include "cli/command.h"

#include "base/error.h"

#include <stdio.h>

int command_failed(void) {
    const char *message = error_take();
    fprintf(stderr, "p2s: %s\n", *message ? message : "failed without a message");
    return EXIT_FAILED;
}
