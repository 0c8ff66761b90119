// SPDX-License-Identifier: MIT
// Regions of the coloring loss. See coloring_regions.cuh; method 2.2, 2.3 and 5.4.
#include "cuda/coloring_regions.cuh"

#include "cuda/fault.cuh"

// ---- labels -------------------------------------------------------------------------------------

// Pixels of each label. Counts are integers: their sum does not depend on the order.
static __global__ void count_labels_kernel(Coloring c, Fault *fault) {
    int64_t n = blockIdx.y, most = 0;
    int32_t *sizes = c.sizes + n * (c.pixels + 1);
    for (int64_t i = first_item(); i < c.pixels; i += item_step()) {
        int32_t label = c.labels[n * c.pixels + i];
        if (label < -1 || label > c.pixels) {
            fault_note(fault, FAULT_LABEL, label, n, c.pixels);
            continue;
        }
        if (label < 0) continue;
        atomicAdd(sizes + label, 1);
        most = label > most ? label : most;
    }
    atomicMax(&c.facts[n].most, (int32_t)most);
}

// ---- numbering ----------------------------------------------------------------------------------

// How many threads up to and with this one have `x`, in a block of BLOCK threads.
static __device__ inline int32_t running_count(bool x) {
    SHARED(int32_t, counts, BLOCK);
    __syncthreads(); // the last use of counts is over
    counts[threadIdx.x] = x;
    for (unsigned step = 1; step < BLOCK; step *= 2) {
        __syncthreads();
        int32_t before = threadIdx.x >= step ? counts[threadIdx.x - step] : 0;
        __syncthreads();
        counts[threadIdx.x] += before;
    }
    __syncthreads();
    return counts[threadIdx.x];
}

static __device__ void new_region(const Coloring &c, int64_t n, int64_t index, int64_t size,
                                  bool black) {
    Region *region = &c.regions[n * c.room + index];
    region->size = (int32_t)size;
    region->black = black;
}

// CODE and PAPER: labels that occur, in increasing order, up to the cap. Returns their number.
static __device__ int64_t count_ids(const Coloring &c, int64_t n, bool lacks_background) {
    SHARED(int32_t, total, 1);
    const int32_t *sizes = c.sizes + n * (c.pixels + 1);
    int32_t *region_of = c.region_of + n * (c.pixels + 2);
    int64_t cap = c.options.cap > 0 ? c.options.cap : c.pixels + 1, found = 0;
    for (int64_t first = 0; first <= c.facts[n].most; first += BLOCK) {
        int64_t label = first + threadIdx.x;
        bool occurs = label <= c.facts[n].most && sizes[label] > 0;
        bool counts = occurs && !(label == 0 && lacks_background);
        int32_t running = running_count(counts);
        int64_t index = found + running - 1;
        bool kept = counts && index < cap && index < c.room;
        if (label <= c.facts[n].most) region_of[label + 1] = kept ? (int32_t)index : REGION_OTHER;
        if (kept) new_region(c, n, index, sizes[label], label == 0);
        if (threadIdx.x == BLOCK - 1) total[0] = running;
        __syncthreads();
        found += total[0];
        __syncthreads();
    }
    return found < cap ? found : cap;
}

// PROMPTED, by one thread: one black region of everything that is not prompted, then the prompted
// ids that occur. Returns the number of regions.
static __device__ int64_t number_prompted(const Coloring &c, int64_t n, int64_t valid,
                                          Fault *fault) {
    const int32_t *sizes = c.sizes + n * (c.pixels + 1);
    int32_t *region_of = c.region_of + n * (c.pixels + 2);
    int64_t count = 1, black = valid;
    for (int64_t slot = 0; slot < c.slots; slot++) {
        int32_t id = c.prompted[n * c.slots + slot];
        if (id < 0 || id > c.pixels) fault_note(fault, FAULT_PROMPTED_ID, id, n, c.pixels);
        if (id <= 0 || id > c.facts[n].most || sizes[id] == 0 || region_of[id + 1] != 0) continue;
        black -= sizes[id];
        region_of[id + 1] = (int32_t)count;
        new_region(c, n, count++, sizes[id], false);
    }
    new_region(c, n, 0, black, true);
    return count;
}

static __device__ int64_t prompted_ids(const Coloring &c, int64_t n, int64_t valid, bool unknown,
                                       Fault *fault) {
    SHARED(int64_t, count, 1);
    int32_t *region_of = c.region_of + n * (c.pixels + 2);
    for (int64_t label = threadIdx.x; label <= c.facts[n].most; label += BLOCK)
        region_of[label + 1] = label == 0 && unknown ? REGION_IGNORED : 0;
    __syncthreads();
    if (threadIdx.x == 0) count[0] = number_prompted(c, n, valid, fault);
    __syncthreads();
    return count[0];
}

// ---- weights ------------------------------------------------------------------------------------

static __device__ void set_weights(const Coloring &c, int64_t n, int64_t count, int64_t valid) {
    const ColoringOptions &options = c.options;
    bool paper = options.form == COLORING_PAPER;
    int64_t colored = 0, terms = 0;
    for (int64_t r = threadIdx.x; r < count; r += BLOCK) {
        Region *region = &c.regions[n * c.room + r];
        double size = (double)region->size, outside = (double)valid - size;
        region->variance = region->separation = 0;
        if (region->size == 0) continue; // a black anchor without pixels
        terms++;
        colored += !region->black;
        region->variance = (float)(options.variance / (paper ? size : 3 * size));
        if (outside > 0 && (paper || !region->black))
            region->separation =
                (float)(options.separation * options.separation_factor / (sqrt(size) * outside));
    }
    double all_terms = block_sum((double)terms), all_colored = block_sum((double)colored);
    double regions = (double)count;
    double pairs = paper ? all_colored * (all_colored + 1) : regions * (regions - 1) / 2;
    if (threadIdx.x > 0) return;
    ImageFacts *facts = &c.facts[n];
    facts->count = (int32_t)count;
    facts->valid = valid;
    facts->pair_weight = pairs > 0 ? (float)(options.mean / pairs) : 0.0f;
    facts->scale = (float)(1 / ((double)c.images * (!paper && all_terms > 0 ? all_terms : 1)));
}

// A block for each image.
static __global__ void number_regions_kernel(Coloring c, Fault *fault) {
    int64_t n = blockIdx.x, pixels = 0;
    const int32_t *sizes = c.sizes + n * (c.pixels + 1);
    bool unknown = c.no_background && c.no_background[n] != 0;
    bool prompted = c.options.form == COLORING_PROMPTED;
    for (int64_t label = threadIdx.x; label <= c.facts[n].most; label += BLOCK)
        pixels += sizes[label];
    int64_t valid = (int64_t)block_sum((double)pixels);
    if (prompted && unknown) valid -= sizes[0];
    if (threadIdx.x == 0) c.region_of[n * (c.pixels + 2)] = REGION_IGNORED;
    int64_t count = prompted ? prompted_ids(c, n, valid, unknown, fault) : count_ids(c, n, unknown);
    if (count > c.room) {
        if (threadIdx.x == 0) fault_note(fault, FAULT_REGIONS, count, n, c.room);
        count = c.room;
    }
    __syncthreads();
    set_weights(c, n, count, valid);
}

// ---- means --------------------------------------------------------------------------------------

// A thread for each region looks at all pixels of a chunk, in order.
static __global__ void mean_parts_kernel(Coloring c) {
    SHARED(PixelTile, tile, 1);
    int64_t n = blockIdx.y, begin = blockIdx.x * CHUNK, end = begin + CHUNK;
    int64_t count = c.facts[n].count;
    if (end > c.pixels) end = c.pixels;
    for (int64_t base = 0; base < count; base += BLOCK) {
        int64_t region = base + threadIdx.x;
        float sum[3] = {0, 0, 0};
        for (int64_t first = begin; first < end; first += BLOCK) {
            int loaded = load_tile(c, n, first, end, tile);
            for (int i = 0; i < loaded; i++) {
                if (tile->own[i] != region) continue;
                for (int k = 0; k < 3; k++) sum[k] += tile->p[i][k];
            }
        }
        float *to = c.parts + ((n * c.chunks + blockIdx.x) * c.room + region) * 3;
        for (int k = 0; region < count && k < 3; k++) to[k] = sum[k];
    }
}

static __global__ void means_kernel(Coloring c) {
    int64_t n = blockIdx.y;
    for (int64_t r = first_item(); r < c.facts[n].count; r += item_step()) {
        Region *region = &c.regions[n * c.room + r];
        double sum[3] = {0, 0, 0};
        for (int64_t chunk = 0; chunk < c.chunks; chunk++)
            for (int k = 0; k < 3; k++)
                sum[k] += (double)c.parts[((n * c.chunks + chunk) * c.room + r) * 3 + k];
        bool black = region->black || region->size == 0;
        for (int k = 0; k < 3; k++) region->mean[k] = black ? 0 : (float)(sum[k] / region->size);
    }
}

int coloring_regions(const Coloring &c) {
    Fault *fault = cuda_fault();
    unsigned images = (unsigned)c.images;
    if (!fault) return -1;
    if (device_set(c.sizes, 0, (size_t)(c.images * (c.pixels + 1)) * sizeof *c.sizes) != 0 ||
        device_set(c.facts, 0, (size_t)c.images * sizeof *c.facts) != 0 ||
        LAUNCH(count_labels_kernel, dim3(blocks_for(c.pixels), images), BLOCK, c, fault) != 0 ||
        LAUNCH(number_regions_kernel, images, BLOCK, c, fault) != 0 ||
        LAUNCH(mean_parts_kernel, dim3((unsigned)c.chunks, images), BLOCK, c) != 0)
        return -1;
    return LAUNCH(means_kernel, dim3(blocks_for(c.room), images), BLOCK, c);
}

// ---- pairs of means -----------------------------------------------------------------------------

// A block for each image, a thread for each region against all others.
static __global__ void mean_term_kernel(Coloring c) {
    int64_t n = blockIdx.x, count = c.facts[n].count;
    float weight = c.facts[n].pair_weight;
    Region *regions = c.regions + n * c.room;
    double loss = 0;
    for (int64_t a = threadIdx.x; a < count; a += BLOCK) {
        double dmean[3] = {0, 0, 0};
        for (int64_t b = 0; weight > 0 && b < count; b++) {
            float d[3], q = 1;
            if (b == a) continue;
            for (int k = 0; k < 3; k++) {
                d[k] = regions[a].mean[k] - regions[b].mean[k];
                q += d[k] * d[k];
            }
            q = 1 / q;
            if (b > a) loss += (double)q;
            for (int k = 0; k < 3; k++) dmean[k] -= (double)(2 * weight * q * q * d[k]);
        }
        for (int k = 0; k < 3; k++) regions[a].dmean[k] = (float)dmean[k];
    }
    loss = block_sum(loss);
    if (threadIdx.x == 0) c.facts[n].mean_term = (double)weight * loss;
}

int coloring_mean_term(const Coloring &c) {
    return LAUNCH(mean_term_kernel, (unsigned)c.images, BLOCK, c);
}
