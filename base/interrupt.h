// SPDX-License-Identifier: MIT
// Ctrl-C, SIGTERM and SIGUSR1 (which mpirun hands on to its processes, and batch systems send
// before the end of their time) as a flag that loops look at, so that work ends at a good place.
#ifndef BASE_INTERRUPT_H
#define BASE_INTERRUPT_H

#include <stdbool.h>

// From now on the first of these signals only sets the flag; a second ends the process at once,
// as the signal would have.
int interrupt_watch(void);

// Whether a signal has come. Safe from any thread.
bool interrupt_requested(void);

// The signal that came, 0 when none has.
int interrupt_signal(void);

// Gives the signals their default effect again and clears the flag.
void interrupt_unwatch(void);

#endif
