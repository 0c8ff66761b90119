// SPDX-License-Identifier: MIT
// Hypersim's official division of its frames, metadata_images_split_scene_v1.csv. Source:
// datasets.md 3.1.
#ifndef DATA_HYPERSIM_SPLIT_H
#define DATA_HYPERSIM_SPLIT_H

#include <stdbool.h>
#include <stddef.h>

typedef struct {
    char scene[11]; // ai_VVV_NNN
    int camera, number;
} HypersimFrame;

// The public frames of one partition.
typedef struct {
    HypersimFrame *frames; // [count], sorted
    size_t count, capacity;
} HypersimSplit;

// Reads the frames of partition train, val or test. Errors name file and line.
int hypersim_split_read(const char *path, const char *partition, HypersimSplit *split);
bool hypersim_split_has(const HypersimSplit *split, const HypersimFrame *frame);
void hypersim_split_free(HypersimSplit *split);

#endif
