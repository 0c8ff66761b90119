// SPDX-License-Identifier: MIT
// Size classes of caching allocators: four per power of two, at most a fifth of a block is wasted.
#ifndef BASE_SIZE_CLASS_H
#define BASE_SIZE_CLASS_H

#include <stddef.h>

enum { SIZE_CLASSES = 256 };

// The class of a block of `bytes`, and the size that all blocks of the class have; SIZE_CLASSES or
// more when there is no such class.
int size_class(size_t bytes, size_t *rounded);
size_t size_class_bytes(int class_index);

#endif
