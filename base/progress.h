// SPDX-License-Identifier: MIT
// A progress line on stderr.
#ifndef BASE_PROGRESS_H
#define BASE_PROGRESS_H

#include <stdbool.h>
#include <stdint.h>

// On a terminal the line is rewritten in place at most ten times a second; elsewhere a line comes
// every `interval` seconds, and the first and the last always.
typedef struct {
    const char *what;   // for example "train"; borrowed
    const char *unit;   // of one item, for example "step"; borrowed
    int64_t total;      // items, 0 = unknown
    int64_t first;      // items that were done before (a resumed run); not part of the rate
    double interval;    // seconds between lines when stderr is no terminal
    double start, last; // clock_seconds() of the start and of the last line; last < 0: none yet
    bool terminal;
    bool quiet;
} Progress;

// `quiet` prints nothing.
void progress_begin(Progress *progress, const char *what, const char *unit, int64_t first,
                    int64_t total, double interval, bool quiet);

// Says that `done` items are finished (of total, those before the start included). `note` (may be
// NULL) is shown behind the rate and the time left.
void progress_update(Progress *progress, int64_t done, const char *note);

// The last line, in any case, and a line end.
void progress_end(Progress *progress, int64_t done, const char *note);

// Ends a line that stands open on a terminal, so that an error begins at the next.
void progress_abandon(const Progress *progress);

// Writes a duration as "45 s", "12:05 min" or "3:07:09 h" into text [32].
void duration_text(double seconds, char *text);

#endif
