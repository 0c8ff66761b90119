// SPDX-License-Identifier: MIT
// The clocks. What is computed never depends on them.
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

// Seconds on a clock that only goes forward; its zero has no meaning.
double clock_seconds(void);

// Seconds since 1970, as calendars count them. For records that people read.
double clock_calendar(void);

#endif
