// SPDX-License-Identifier: MIT
// Regions of the coloring loss on the device: which pixels of an image form one, its mean, the
// weights of its terms. The same sums as cpu/coloring_regions.h. Nothing is read by the host: all
// arrays have room for ROOM regions, and kernels read how many there are.
#ifndef CUDA_COLORING_REGIONS_CUH
#define CUDA_COLORING_REGIONS_CUH

#include "cuda/kernel.cuh"

constexpr int32_t REGION_OTHER = -1, REGION_IGNORED = -2; // valid without a region; in no sum
constexpr int64_t MOST_REGIONS = 4096;

struct Region {
    float mean[3], dmean[3]; // dloss/dmean, before the image's scale
    float variance, separation;
    int32_t size, black; // pixels; a black region has the constant mean 0
};

struct ImageFacts {
    int32_t count, most; // regions; the largest label
    int64_t valid;       // pixels that are in a sum
    float pair_weight, scale;
    double mean_term; // of the loss, before `scale`
};

// One batch, on the device.
struct Coloring {
    ColoringOptions options;
    const float *prediction;
    const int32_t *labels, *no_background, *prompted; // the last two may be NULL
    int64_t images, pixels, slots, room, chunks;      // chunks of CHUNK pixels
    ImageFacts *facts;                                // [images]
    Region *regions;                                  // [images][room]
    int32_t *sizes;                                   // [images][pixels + 1]: of each label
    int32_t *region_of;                               // [images][pixels + 2]: of label - 1
    float *parts;                                     // [images][chunks][room][3]
};

constexpr int64_t CHUNK = 2048;

static __device__ __forceinline__ int32_t coloring_region(const Coloring &c, int64_t n, int64_t i) {
    int32_t label = c.labels[n * c.pixels + i];
    if (label < -1 || label > c.pixels) return REGION_IGNORED; // reported already
    return c.region_of[n * (c.pixels + 2) + label + 1];
}

// A tile of pixels that all threads of a block look at.
struct PixelTile {
    float p[BLOCK][3];
    int32_t own[BLOCK];
};

// Loads the pixels from `first` on, as far as `end`; returns how many. Begins and ends with a
// barrier.
static __device__ inline int load_tile(const Coloring &c, int64_t n, int64_t first, int64_t end,
                                       PixelTile *tile) {
    int64_t i = first + threadIdx.x;
    __syncthreads();
    if (i < end) {
        tile->own[threadIdx.x] = coloring_region(c, n, i);
        for (int k = 0; k < 3; k++)
            tile->p[threadIdx.x][k] = c.prediction[(n * c.pixels + i) * 3 + k];
    }
    __syncthreads();
    return (int)(end - first < BLOCK ? end - first : BLOCK);
}

// Fills facts, regions (means and weights; dmean is undefined), sizes and region_of.
int coloring_regions(const Coloring &coloring);

// dmean of every region and the mean term, from the pairs of means alone.
int coloring_mean_term(const Coloring &coloring);

#endif
