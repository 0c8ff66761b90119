// SPDX-License-Identifier: MIT
// Philox 4x32-10. See rng.h.
#include "autograd/rng.h"

#include <math.h>

static void philox(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]) {
    uint32_t c0 = counter[0], c1 = counter[1], c2 = counter[2], c3 = counter[3];
    uint32_t k0 = key[0], k1 = key[1];
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

static uint64_t mix(uint64_t h) { // finaliser of splitmix64
    h = (h ^ (h >> 30)) * 0xBF58476D1CE4E5B9u;
    h = (h ^ (h >> 27)) * 0x94D049BB133111EBu;
    return h ^ (h >> 31);
}

Rng rng_stream(uint64_t seed, const char *purpose, uint64_t a, uint64_t b) {
    uint64_t h = mix(seed + 0x9E3779B97F4A7C15u);
    for (const char *c = purpose; *c; c++) h = mix(h ^ (uint64_t)(unsigned char)*c);
    h = mix(h ^ mix(a + 0x632BE59BD9B4E019u));
    uint64_t g = mix(b + 0x9E6C63D0876A9A47u);
    // The item b stands in the counter, so two items of one purpose never share a block.
    return (Rng){.key = {(uint32_t)h, (uint32_t)(h >> 32)},
                 .counter = {0, 0, (uint32_t)g, (uint32_t)(g >> 32)}};
}

uint32_t rng_u32(Rng *rng) {
    if (rng->left == 0) {
        philox(rng->counter, rng->key, rng->block);
        if (++rng->counter[0] == 0) rng->counter[1]++;
        rng->left = 4;
    }
    return rng->block[4 - rng->left--];
}

double rng_uniform(Rng *rng) {
    uint64_t high = rng_u32(rng) >> 5, low = rng_u32(rng) >> 6;
    return (double)(high << 26 | low) * 0x1p-53;
}

double rng_range(Rng *rng, double low, double high) {
    return low + (high - low) * rng_uniform(rng);
}

uint64_t rng_below(Rng *rng, uint64_t n) {
    uint64_t limit = UINT64_MAX - UINT64_MAX % n, value;
    do {
        value = (uint64_t)rng_u32(rng) << 32;
        value |= rng_u32(rng);
    } while (value >= limit);
    return value % n;
}

double rng_normal(Rng *rng) {
    double u = 1 - rng_uniform(rng), v = rng_uniform(rng);
    return sqrt(-2 * log(u)) * cos(6.283185307179586 * v);
}
