// SPDX-License-Identifier: MIT
// Allocation that checks its sizes and reports failure through base/error.h. What these return is
// freed with free().
#ifndef BASE_MEMORY_H
#define BASE_MEMORY_H

#include <stddef.h>
#include <stdint.h>

// *product = a * b. -1 and an error when that does not fit in size_t.
int size_multiply(size_t a, size_t b, size_t *product);

// Zeroed memory for count elements of size bytes; never NULL for 0 elements. NULL and an error when
// the product overflows or memory is out.
void *array_new(size_t count, size_t size);

// The same with any contents, for large arrays of which every byte will be written.
void *array_new_unset(size_t count, size_t size);

// Resizes an array (NULL: a new one) to count elements, count > 0; new elements are not zeroed. On
// failure the old array stays as it was, and NULL and an error come back.
void *array_resize(void *array, size_t count, size_t size);

// Makes room for one element more than `count` in *array, doubling *capacity when it is full.
// `array` is the address of the array's pointer. 0, or -1 and an error, with the array as it was.
int array_grow(void *array, size_t *capacity, size_t count, size_t size);

// A copy of the text. NULL and an error when memory is out; NULL without a new error for NULL.
char *string_copy(const char *text);

// For programs, once at their start: freed memory stays with the process, up to 64 MB of it, so
// that a loader that asks for the same megabytes for every image gets touched pages.
void memory_keep_freed(void);
// After work that took much memory once: gives freed memory back to the system.
void memory_return_freed(void);

// For tests: the n-th allocation from now on (1 = the next) by this thread through this header
// fails; 0 lets all succeed.
void memory_fail_at(int64_t n);

#endif
