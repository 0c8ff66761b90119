// SPDX-License-Identifier: MIT
// Stands for cuDNN in a build without it: declines everything. See library.h.
#include "cuda/library.h"

#include <stdio.h>

void library_convolve_text(char text[LIBRARY_TEXT]) {
    snprintf(text, LIBRARY_TEXT, "no cuDNN");
}

int library_convolve(const Convolution *problem, void *x, void *weight, void *y, const void *bias,
                     const void *residual) {
    (void)problem, (void)x, (void)weight, (void)y, (void)bias, (void)residual;
    return LIBRARY_DECLINES;
}

int library_attention(const AttentionProblem *problem, float scale, const AttentionMemory *memory) {
    (void)problem, (void)scale, (void)memory;
    return LIBRARY_DECLINES;
}
