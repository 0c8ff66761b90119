// SPDX-License-Identifier: MIT
// Large blocks, packed: a block lies at the lowest free place that fits, and free neighbours join,
// so that what a step has touched in all is little more than what it holds at its peak. Not safe
// for threads: its one caller (memory.c) has the lock.
#ifndef CPU_ARENA_H
#define CPU_ARENA_H

#include <stddef.h>

// A block of at least `bytes`, on a page boundary, contents undefined; NULL without memory.
void *arena_take(size_t bytes);
// Gives a block back, with the bytes that were asked for.
void arena_give(void *memory, size_t bytes);
// Gives the pages of all free places back to the system.
void arena_trim(void);
// Bytes from the first block to the end of the furthest one so far, or since arena_trim. Where the
// reserved addresses run out, what is left of them counts as held though nothing has touched it.
size_t arena_held(void);

#endif
