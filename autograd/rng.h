// SPDX-License-Identifier: MIT
// Counter-based random streams (Philox 4x32-10, Salmon et al. 2011), named by purpose and item. The
// numbers of a stream depend on (seed, purpose, a, b) only, never on thread, rank or order.
#ifndef AUTOGRAD_RNG_H
#define AUTOGRAD_RNG_H

#include <stdint.h>

typedef struct {
    uint32_t key[2];
    uint32_t counter[4];
    uint32_t block[4];
    int left;
} Rng;

// A stream, for example rng_stream(seed, "flip", epoch, image). Cheap; lives on the stack.
Rng rng_stream(uint64_t seed, const char *purpose, uint64_t a, uint64_t b);

uint32_t rng_u32(Rng *rng);
double rng_uniform(Rng *rng);                        // [0, 1), 53 bits
double rng_range(Rng *rng, double low, double high); // [low, high)
uint64_t rng_below(Rng *rng, uint64_t n);            // 0..n-1, unbiased; n >= 1
double rng_normal(Rng *rng);                         // mean 0, deviation 1 (Box and Muller)

#endif
