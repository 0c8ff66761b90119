// SPDX-License-Identifier: MIT
// The interrupt flag. See interrupt.h.
#include "base/interrupt.h"

#include "base/error.h"

#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>

// Lock-free, so allowed in a signal handler (C11 7.14.1.1) and between threads.
static atomic_int signal_seen;

static void on_signal(int number) {
    int none = 0;
    if (atomic_compare_exchange_strong(&signal_seen, &none, number)) return;
    // The signal is blocked while its handler runs, so raise() takes effect on return.
    signal(number, SIG_DFL);
    raise(number);
}

int interrupt_watch(void) {
    struct sigaction action = {.sa_handler = on_signal, .sa_flags = SA_RESTART};
    sigemptyset(&action.sa_mask);
    if (sigaction(SIGINT, &action, NULL) || sigaction(SIGTERM, &action, NULL) ||
        sigaction(SIGUSR1, &action, NULL))
        return error_int("cannot watch for interrupts: %s", strerror(errno));
    return 0;
}

bool interrupt_requested(void) {
    return interrupt_signal() != 0;
}

int interrupt_signal(void) {
    return atomic_load(&signal_seen);
}

void interrupt_unwatch(void) {
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGUSR1, SIG_DFL);
    atomic_store(&signal_seen, 0);
}
