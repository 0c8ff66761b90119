// SPDX-License-Identifier: MIT
// The ground truth of BSDS500: MATLAB 5 files with what several people drew on one image.
#ifndef DATA_BSDS500_H
#define DATA_BSDS500_H

#include <stdint.h>

typedef struct {
    int width, height, annotators;
    int32_t *segments; // [annotators,H,W]: labels 1..k of each annotator's regions
    uint8_t *edges;    // [annotators,H,W], 0/1: the regions' thinned boundaries, as given
} Bsds500Truth;

// Reads the cell `groundTruth` with fields Segmentation and Boundaries; *truth is zeroed first and
// freed with bsds500_truth_free. Fails, naming the file and the field, on anything that is not of
// this form, on annotators of different sizes, or on sides outside 1..65535. Source: datasets.md
// 2.4 and 4.8.
int bsds500_truth_read(const char *path, Bsds500Truth *truth);
void bsds500_truth_free(Bsds500Truth *truth);

#endif
