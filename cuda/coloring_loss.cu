// SPDX-License-Identifier: MIT
// The coloring loss, forward and gradient, in f32: regions (coloring_regions.cuh), then pixels x
// regions twice, once with a thread per pixel for its gradient and the loss, once with a thread per
// region for what reaches its mean. No atomic sums, nothing for the host to wait for.
#include "cuda/coloring_regions.cuh"
#include "cuda/kernels.h"
#include "cuda/map.cuh"

// ---- pixels -------------------------------------------------------------------------------------

static __device__ __forceinline__ float clip(float x) {
    return fminf(fmaxf(x, -1), 1);
}
static __device__ __forceinline__ float huber(float x) {
    return fabsf(x) < 1 ? 0.5f * x * x : fabsf(x) - 0.5f;
}

struct Anchor {
    float mean[3], separation;
};

// d = p - mean; returns 1 / (1 + |d|^2).
static __device__ __forceinline__ float closeness(const float *p, const float *mean, float *d) {
    float q = 1;
    for (int k = 0; k < 3; k++) {
        d[k] = p[k] - mean[k];
        q += d[k] * d[k];
    }
    return 1 / q;
}

static __device__ __forceinline__ float separation_terms(const Anchor *anchors, int count,
                                                         int64_t base, int32_t own, const float *p,
                                                         float *dp) {
    float loss = 0;
    for (int i = 0; i < count; i++) {
        float d[3], weight = anchors[i].separation, q = closeness(p, anchors[i].mean, d);
        if (base + i == own) continue;
        loss += weight * q;
        for (int k = 0; k < 3; k++) dp[k] -= 2 * weight * q * q * d[k];
    }
    return loss;
}

// dprediction before scaling and without what comes through the means; losses[image][block].
static __global__ void pixels_kernel(Coloring c, float *dprediction, double *losses) {
    SHARED(Anchor, anchors, BLOCK);
    int64_t n = blockIdx.y, i = (int64_t)blockIdx.x * BLOCK + threadIdx.x;
    int64_t count = c.facts[n].count, at = (n * c.pixels + i) * 3;
    const Region *regions = c.regions + n * c.room;
    int32_t own = i < c.pixels ? coloring_region(c, n, i) : REGION_IGNORED;
    float p[3] = {0, 0, 0}, dp[3] = {0, 0, 0}, loss = 0;
    for (int k = 0; i < c.pixels && k < 3; k++) p[k] = c.prediction[at + k];
    for (int64_t base = 0; base < count; base += BLOCK) {
        int64_t mine = base + threadIdx.x;
        __syncthreads();
        if (mine < count) {
            for (int k = 0; k < 3; k++) anchors[threadIdx.x].mean[k] = regions[mine].mean[k];
            anchors[threadIdx.x].separation = regions[mine].separation;
        }
        __syncthreads();
        int loaded = (int)(count - base < BLOCK ? count - base : BLOCK);
        if (own != REGION_IGNORED) loss += separation_terms(anchors, loaded, base, own, p, dp);
    }
    for (int k = 0; own >= 0 && k < 3; k++) {
        float d = p[k] - regions[own].mean[k], weight = regions[own].variance;
        loss += weight * huber(d);
        dp[k] += weight * clip(d);
    }
    for (int k = 0; i < c.pixels && k < 3; k++) dprediction[at + k] = dp[k];
    double sum = block_sum((double)loss);
    if (threadIdx.x == 0) losses[n * gridDim.x + blockIdx.x] = sum;
}

// ---- what reaches the means ---------------------------------------------------------------------

static __global__ void dmean_parts_kernel(Coloring c) {
    SHARED(PixelTile, tile, 1);
    int64_t n = blockIdx.y, begin = blockIdx.x * CHUNK, end = begin + CHUNK;
    int64_t count = c.facts[n].count;
    if (end > c.pixels) end = c.pixels;
    for (int64_t base = 0; base < count; base += BLOCK) {
        int64_t mine = base + threadIdx.x;
        const Region *region = &c.regions[n * c.room + (mine < count ? mine : 0)];
        float weight = region->separation, variance = region->variance, sum[3] = {0, 0, 0};
        for (int64_t first = begin; first < end; first += BLOCK) {
            int loaded = load_tile(c, n, first, end, tile);
            for (int i = 0; i < loaded; i++) {
                float d[3], q = closeness(tile->p[i], region->mean, d);
                if (tile->own[i] == REGION_IGNORED) continue;
                for (int k = 0; k < 3; k++)
                    sum[k] +=
                        tile->own[i] == mine ? -variance * clip(d[k]) : 2 * weight * q * q * d[k];
            }
        }
        float *to = c.parts + ((n * c.chunks + blockIdx.x) * c.room + mine) * 3;
        for (int k = 0; mine < count && k < 3; k++) to[k] = sum[k];
    }
}

static __global__ void dmeans_kernel(Coloring c) {
    int64_t n = blockIdx.y;
    for (int64_t r = first_item(); r < c.facts[n].count; r += item_step()) {
        Region *region = &c.regions[n * c.room + r];
        double sum[3];
        for (int k = 0; k < 3; k++) sum[k] = (double)region->dmean[k];
        for (int64_t chunk = 0; chunk < c.chunks; chunk++)
            for (int k = 0; k < 3; k++)
                sum[k] += (double)c.parts[((n * c.chunks + chunk) * c.room + r) * 3 + k];
        for (int k = 0; k < 3; k++) region->dmean[k] = (float)sum[k];
    }
}

// Adds what reaches a pixel through its region's mean, and scales.
static __global__ void finish_kernel(Coloring c, float *dprediction) {
    int64_t n = blockIdx.y;
    float scale = c.facts[n].scale;
    for (int64_t i = first_item(); i < c.pixels; i += item_step()) {
        int32_t own = coloring_region(c, n, i);
        const Region *region = &c.regions[n * c.room + (own >= 0 ? own : 0)];
        bool colored = own >= 0 && !region->black;
        for (int k = 0; k < 3; k++) {
            float *d = dprediction + (n * c.pixels + i) * 3 + k;
            *d = scale * (*d + (colored ? region->dmean[k] / (float)region->size : 0));
        }
    }
}

// One block adds everything, always in the same order.
static __global__ void loss_kernel(Coloring c, const double *losses, int64_t blocks, float *loss) {
    double sum = 0;
    for (int64_t i = threadIdx.x; i < c.images * blocks; i += BLOCK)
        sum += (double)c.facts[i / blocks].scale * losses[i];
    for (int64_t n = threadIdx.x; n < c.images; n += BLOCK)
        sum += (double)c.facts[n].scale * c.facts[n].mean_term;
    sum = block_sum(sum);
    if (threadIdx.x == 0) *loss = (float)sum;
}

// ---- launching ----------------------------------------------------------------------------------

static int64_t room_of(const coloring_loss_args *args, int64_t pixels) {
    int64_t room = pixels + 1 < MOST_REGIONS ? pixels + 1 : MOST_REGIONS;
    int64_t cap = args->options.cap;
    if (args->options.form == COLORING_PROMPTED) return 1 + args->prompted->shape[1];
    return cap > 0 && cap < room ? cap : room;
}

static const int32_t *ids_of(const Tensor *tensor) {
    return tensor == NONE ? NULL : (const int32_t *)tensor->data;
}

static Coloring coloring_of(const coloring_loss_args *args) {
    const int64_t *shape = args->labels->shape;
    Coloring c = {};
    c.options = args->options;
    c.prediction = values<float>(args->prediction);
    c.labels = ids_of(args->labels);
    c.no_background = ids_of(args->no_background);
    c.prompted = ids_of(args->prompted);
    c.images = shape[0];
    c.pixels = shape[1] * shape[2];
    c.slots = args->prompted == NONE ? 0 : args->prompted->shape[1];
    c.room = room_of(args, c.pixels);
    c.chunks = (c.pixels + CHUNK - 1) / CHUNK;
    return c;
}

// One block of scratch memory for everything; `cut` sets the pointers when there is a block and
// returns its size.
static size_t cut(Coloring *c, int64_t blocks, char *memory, double **losses) {
    size_t at = 0, images = (size_t)c->images, room = (size_t)c->room;
    size_t sizes[] = {images * sizeof *c->facts,
                      images * (size_t)blocks * sizeof **losses,
                      images * room * sizeof *c->regions,
                      images * (size_t)(c->pixels + 1) * sizeof *c->sizes,
                      images * (size_t)(c->pixels + 2) * sizeof *c->region_of,
                      images * (size_t)c->chunks * room * 3 * sizeof *c->parts};
    char *parts[6];
    for (int i = 0; i < 6; i++) {
        parts[i] = memory ? memory + at : NULL;
        at += (sizes[i] + 15) / 16 * 16;
    }
    c->facts = (ImageFacts *)parts[0];
    *losses = (double *)parts[1];
    c->regions = (Region *)parts[2];
    c->sizes = (int32_t *)parts[3];
    c->region_of = (int32_t *)parts[4];
    c->parts = (float *)parts[5];
    return at;
}

static int forward(const coloring_loss_args *args, const Coloring &c, unsigned blocks,
                   double *losses) {
    unsigned images = (unsigned)c.images, chunks = (unsigned)c.chunks;
    float *dprediction = values<float>(args->dprediction), *loss = values<float>(args->loss);
    if (coloring_regions(c) != 0 || coloring_mean_term(c) != 0 ||
        LAUNCH(pixels_kernel, dim3(blocks, images), BLOCK, c, dprediction, losses) != 0 ||
        LAUNCH(dmean_parts_kernel, dim3(chunks, images), BLOCK, c) != 0 ||
        LAUNCH(dmeans_kernel, dim3(blocks_for(c.room), images), BLOCK, c) != 0 ||
        LAUNCH(finish_kernel, dim3(blocks_for(c.pixels), images), BLOCK, c, dprediction) != 0)
        return -1;
    return LAUNCH(loss_kernel, 1, BLOCK, c, losses, (int64_t)blocks, loss);
}

int cuda_coloring_loss_forward(const coloring_loss_args *args) {
    double *losses = NULL;
    if (args->prediction->dtype != F32)
        return error_int("coloring_loss: %s is not f32, as this device needs",
                         tensor_text(args->prediction));
    Coloring c = coloring_of(args);
    int64_t blocks = (c.pixels + BLOCK - 1) / BLOCK;
    size_t bytes = cut(&c, blocks, NULL, &losses);
    char *memory = (char *)cuda_scratch("coloring_loss", bytes);
    if (!memory) return -1;
    cut(&c, blocks, memory, &losses);
    int result = forward(args, c, (unsigned)blocks, losses);
    cuda_free(memory, bytes);
    return result;
}

static __global__ void scale_kernel(const float *x, const float *factor, int64_t count, float *y,
                                    bool add) {
    float scale = *factor;
    for (int64_t i = first_item(); i < count; i += item_step()) store(y + i, scale * x[i], add);
}

int cuda_coloring_loss_backward(const coloring_loss_args *args) {
    const Tensor *prediction = args->prediction;
    if (!prediction->needs_grad) return 0;
    int64_t count = tensor_numel(prediction);
    return LAUNCH(scale_kernel, blocks_for(count), BLOCK, values<float>(args->dprediction),
                  gradient<float>(args->loss), count, gradient<float>(prediction),
                  prediction->has_grad);
}
