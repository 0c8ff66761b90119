// SPDX-License-Identifier: MIT
// See size_class.h.
#include "base/size_class.h"

enum { SMALLEST = 256 };

int size_class(size_t bytes, size_t *rounded) {
    size_t power = SMALLEST;
    int index = 0;
    for (; power < bytes; power *= 2) index += 4;
    size_t quarter = power / 8; // between power/2 and power there are four steps
    size_t size = power;
    int step = 0;
    while (power > SMALLEST && step < 3 && size - quarter >= bytes) size -= quarter, step++;
    *rounded = size;
    return index + 3 - step;
}

size_t size_class_bytes(int class_index) {
    size_t power = (size_t)SMALLEST << (class_index / 4);
    return power - power / 8 * (size_t)(3 - class_index % 4);
}
