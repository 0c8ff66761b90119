// SPDX-License-Identifier: MIT
// |F - q| < |F| is 2 F.q > |q|^2: a half space. See branch_readout.h.
#include "eval/branch_readout.h"

#include "eval/gaussian_query.h"

#include <stddef.h>

int branch_readout(const Image *features, const PixelPoint *points, int count, double sigma,
                   uint8_t *mask) {
    double q[3];
    if (gaussian_query(features, points, count, sigma, q)) return -1;
    const double limit = q[0] * q[0] + q[1] * q[1] + q[2] * q[2];
    const ptrdiff_t pixels = (ptrdiff_t)features->width * features->height;
    for (ptrdiff_t i = 0; i < pixels; i++) {
        const uint8_t *f = features->pixels + 3 * i;
        mask[i] = 2 * (f[0] * q[0] + f[1] * q[1] + f[2] * q[2]) > limit;
    }
    return 0;
}
