// SPDX-License-Identifier: MIT
// Kernels over [N,rows,channels] in which a thread keeps to its channels and walks down the rows:
// what belongs to a channel is read once, neighbours read neighbours. A block is `x` groups of V
// channels times `y` rows; the grid is channels, chunks of rows, batch.
#ifndef CUDA_COLUMNS_CUH
#define CUDA_COLUMNS_CUH

#include "cuda/kernel.cuh"

struct Columns {
    int64_t batch, rows, channels, chunk, chunks; // a chunk is so many rows
};

template <typename T, int V> struct alignas(sizeof(T) * V) Vec { T at[V]; };

static inline dim3 columns_block(const Columns &c, int vector) {
    unsigned x = 8;
    while (x < 32 && x * (unsigned)vector < c.channels) x *= 2;
    return dim3(x, BLOCK / x);
}

static inline dim3 columns_grid(const Columns &c, int vector) {
    unsigned across = columns_block(c, vector).x * (unsigned)vector;
    return dim3((unsigned)((c.channels + across - 1) / across), (unsigned)c.chunks,
                (unsigned)c.batch);
}

// Chunks enough to fill the device, each of some rows per thread.
static inline Columns columns_new(int64_t batch, int64_t rows, int64_t channels, int vector) {
    Columns c = {batch, rows, channels, rows, 1};
    int64_t down = columns_block(c, vector).y * 8, across = columns_grid(c, vector).x;
    int64_t chunks = rows / down, most = 2048 / (across * (batch > 0 ? batch : 1));
    if (chunks > most) chunks = most;
    if (chunks < 1) chunks = 1;
    c.chunk = (rows + chunks - 1) / chunks;
    c.chunks = c.chunk > 0 ? (rows + c.chunk - 1) / c.chunk : 1;
    if (c.chunks < 1) c.chunks = 1;
    return c;
}

// The widest vector that divides the channels.
template <typename T> static inline int columns_vector(int64_t channels) {
    return channels % Pack<T>::WIDTH == 0 ? (int)Pack<T>::WIDTH : 1;
}

// Where a thread works.
struct Span {
    int64_t n, channel, row, end; // rows from `row` in steps of blockDim.y
};

static __device__ __forceinline__ Span columns_span(const Columns &c, int vector) {
    Span span;
    span.n = blockIdx.z;
    span.channel = ((int64_t)blockIdx.x * blockDim.x + threadIdx.x) * vector;
    span.row = blockIdx.y * c.chunk + threadIdx.y;
    span.end = (blockIdx.y + 1) * c.chunk;
    if (span.end > c.rows) span.end = c.rows;
    if (span.channel >= c.channels) span.end = 0;
    return span;
}

// Adds the sums of all threads of a block that share channels; to[n][chunk][channel] receives them.
template <int V>
static __device__ inline void columns_store(const Columns &c, const Span &span, const float *sums,
                                            float *to) {
    SHARED(float, parts, BLOCK *V);
    int thread = thread_of_block();
    __syncthreads(); // the last use of parts is over
    for (int v = 0; v < V; v++) parts[v * BLOCK + thread] = sums[v];
    __syncthreads();
    for (int v = (int)threadIdx.y; v < V; v += (int)blockDim.y) {
        float sum = 0;
        for (unsigned y = 0; y < blockDim.y; y++)
            sum += parts[v * BLOCK + (int)(y * blockDim.x + threadIdx.x)];
        if (span.channel < c.channels)
            to[(span.n * c.chunks + blockIdx.y) * c.channels + span.channel + v] = sum;
    }
}

#endif
