// SPDX-License-Identifier: MIT
// The progress line. See progress.h.
#include "base/progress.h"

#include "base/clock.h"

#include <stdio.h>
#include <unistd.h>

enum { DURATION_SIZE = 32 };

void duration_text(double seconds, char *text) {
    const double longest = 1e7 * 3600;
    if (!(seconds >= 0 && seconds < longest)) {
        snprintf(text, DURATION_SIZE, "?");
        return;
    }
    long whole = (long)(seconds + 0.5);
    long hours = whole / 3600, minutes = whole / 60 % 60, rest = whole % 60;
    if (whole < 60)
        snprintf(text, DURATION_SIZE, "%ld s", whole);
    else if (hours == 0)
        snprintf(text, DURATION_SIZE, "%ld:%02ld min", minutes, rest);
    else
        snprintf(text, DURATION_SIZE, "%ld:%02ld:%02ld h", hours, minutes, rest);
}

void progress_begin(Progress *progress, const char *what, const char *unit, int64_t first,
                    int64_t total, double interval, bool quiet) {
    *progress = (Progress){.what = what,
                           .unit = unit,
                           .first = first,
                           .total = total,
                           .interval = interval,
                           .start = clock_seconds(),
                           .last = -1,
                           .terminal = isatty(STDERR_FILENO) == 1,
                           .quiet = quiet};
}

static void print_rate(const Progress *progress, int64_t done, double elapsed) {
    double rate = (double)(done - progress->first) / elapsed;
    if (rate >= 1)
        fprintf(stderr, ", %.1f %s/s", rate, progress->unit);
    else
        fprintf(stderr, ", %.2f s/%s", 1 / rate, progress->unit);
    if (progress->total <= done) return;
    char left[DURATION_SIZE];
    duration_text((double)(progress->total - done) / rate, left);
    fprintf(stderr, ", %s left", left);
}

static void print_line(Progress *progress, int64_t done, const char *note, double now, bool last) {
    const char *open = progress->terminal ? "\r\033[K" : "";
    fprintf(stderr, "%s%s: %s %lld", open, progress->what, progress->unit, (long long)done);
    if (progress->total > 0) fprintf(stderr, "/%lld", (long long)progress->total);
    double elapsed = now - progress->start;
    if (done > progress->first && elapsed > 0) print_rate(progress, done, elapsed);
    if (note && note[0]) fprintf(stderr, ", %s", note);
    fputs(last || !progress->terminal ? "\n" : "", stderr);
    fflush(stderr);
    progress->last = now;
}

void progress_update(Progress *progress, int64_t done, const char *note) {
    if (progress->quiet) return;
    double now = clock_seconds();
    double interval = progress->terminal ? 0.1 : progress->interval;
    if (progress->last >= 0 && now - progress->last < interval) return;
    print_line(progress, done, note, now, false);
}

void progress_end(Progress *progress, int64_t done, const char *note) {
    if (!progress->quiet) print_line(progress, done, note, clock_seconds(), true);
}

void progress_abandon(const Progress *progress) {
    if (!progress->quiet && progress->terminal && progress->last >= 0) fputs("\n", stderr);
}
