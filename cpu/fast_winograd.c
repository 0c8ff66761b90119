// SPDX-License-Identifier: MIT
// Winograd's convolution: blocks of tiles that fit the caches are transformed, multiplied and
// transformed back. See fast_winograd.h.
#include "cpu/fast_winograd.h"

#include "base/error.h"
#include "cpu/cpu.h"
#include "cpu/fast_kernel.h"
#include "cpu/fast_winograd_math.h"
#include "cpu/memory.h"

#include <string.h>

#ifdef _OPENMP
#include <omp.h>
#endif

enum { POINTS = 36, WEIGHT_ROWS = WINO_ROWS_3, MAX_CHANNELS = 4096 }; // what conv_way.c allows

// Floats of transformed tiles that one thread works on, and that all share in the weight gradient:
// as many as there are transformed weights, which each block reads once, within these bounds.
enum { LEAST_BLOCK = 1 << 17, MOST_BLOCK = 1 << 22, LEAST_SHARED = 1 << 17, MOST_SHARED = 6 << 20 };

// A pass over tiles of an image. `inner` channels are summed over; an upsampled map is stored at
// half its sides.
typedef struct {
    int64_t N, H, W, across, down, tiles; // of 4 x 4 results
    int64_t stored_height, stored_width;
    int64_t origin; // pixel that the map's memory begins with
    int shift; // 1 where the map that is read (forward) or written (input gradient) is upsampled
} Grid;

static Grid grid_of(const ConvShape *s, bool upsampled) {
    int64_t across = (s->W + 3) / 4, down = (s->H + 3) / 4;
    return (Grid){.N = s->N,
                  .H = s->H,
                  .W = s->W,
                  .across = across,
                  .down = down,
                  .tiles = s->N * across * down,
                  .stored_height = upsampled ? s->H / 2 : s->H,
                  .stored_width = upsampled ? s->W / 2 : s->W,
                  .shift = upsampled};
}

// Registers of a panel for this many channels: they must come out even.
static int panel_width(int64_t channels) {
    int64_t registers = channels / LANES;
    return registers % 3 == 0 ? 3 : registers % 2 == 0 ? 2 : 1;
}

static int panel_rows(int width) {
    return width == 1 ? WINO_ROWS_1 : width == 2 ? WINO_ROWS_2 : WINO_ROWS_3;
}

static int thread_index(void) {
#ifdef _OPENMP
    return omp_get_thread_num();
#else
    return 0;
#endif
}

static int64_t at_most(int64_t value, int64_t limit) {
    return value < limit ? value : limit;
}

// ---- tiles of an image --------------------------------------------------------------------------

static const float zeros[MAX_CHANNELS];

// Where the pixels of a tile lie, `size` x `size` from (4 down - border, 4 across - border): row i,
// column j of the map at pixels[i size + j], and `outside` where there is none.
static void locate(const Grid *g, int64_t tile, int size, int border, float *map, int64_t channels,
                   float *outside, float **pixels) {
    int64_t column = tile % g->across, line = tile / g->across % g->down;
    int64_t first = tile / g->across / g->down * g->stored_height * g->stored_width - g->origin;
    for (int i = 0; i < size; i++)
        for (int j = 0; j < size; j++) {
            int64_t h = 4 * line + i - border, w = 4 * column + j - border;
            bool inside = h >= 0 && w >= 0 && h < g->H && w < g->W;
            int64_t pixel = first + (h >> g->shift) * g->stored_width + (w >> g->shift);
            pixels[i * size + j] = inside ? map + pixel * channels : outside;
        }
}

// v [POINTS], `apart` floats from one to the next, receives B' d B for a register of channels at a
// time; register i of each lies at i * stride.
static void transform_input(float *const *pixels, int64_t channels, float *v, int64_t apart,
                            int64_t stride) {
    for (int64_t c = 0; c < channels; c += LANES, v += stride) {
        Vec d[6][6], out[6][6];
        UNROLL(6)
        for (int i = 0; i < 6; i++) UNROLL(6)
        for (int j = 0; j < 6; j++) d[i][j] = vec_load(pixels[i * 6 + j] + c);
        WINO_BOTH_SIDES(wino_input, 6, 6, d, out);
        UNROLL(6)
        for (int i = 0; i < 6; i++) UNROLL(6)
        for (int j = 0; j < 6; j++) vec_store(v + (i * 6 + j) * apart, out[i][j]);
    }
}

static void transform_gradient(float *const *pixels, int64_t channels, float *z, int64_t apart) {
    for (int64_t c = 0; c < channels; c += LANES) {
        Vec d[4][4], out[6][6];
        UNROLL(4)
        for (int i = 0; i < 4; i++) UNROLL(4)
        for (int j = 0; j < 4; j++) d[i][j] = vec_load(pixels[i * 4 + j] + c);
        WINO_BOTH_SIDES(wino_gradient, 4, 6, d, out);
        UNROLL(6)
        for (int i = 0; i < 6; i++) UNROLL(6)
        for (int j = 0; j < 6; j++) vec_store(z + (i * 6 + j) * apart + c, out[i][j]);
    }
}

// What is added to a result before it is written.
typedef struct {
    const float *bias, *base; // NULL: none
    const float *to;          // where the result begins, as base does
} Rest;

INLINED void finish_pixel(float *pixel, Vec value, int64_t c, const Rest *rest) {
    if (!pixel) return;
    if (rest->bias) value += vec_load(rest->bias + c);
    if (rest->base) value += vec_load(rest->base + (pixel - rest->to) + c);
    vec_store(pixel + c, value);
}

// A' m A to the pixels of a tile; `sum`: 2 x 2 results to each stored pixel.
static void transform_output(const float *m, int64_t apart, int64_t channels, float *const *pixels,
                             bool sum, const Rest *rest) {
    for (int64_t c = 0; c < channels; c += LANES) {
        Vec in[6][6], y[4][4];
        UNROLL(6)
        for (int i = 0; i < 6; i++) UNROLL(6)
        for (int j = 0; j < 6; j++) in[i][j] = vec_load(m + (i * 6 + j) * apart + c);
        WINO_BOTH_SIDES(wino_output, 6, 4, in, y);
        if (sum) {
            for (int i = 0; i < 4; i += 2)
                for (int j = 0; j < 4; j += 2)
                    finish_pixel(pixels[i * 4 + j],
                                 (y[i][j] + y[i][j + 1]) + (y[i + 1][j] + y[i + 1][j + 1]), c,
                                 rest);
        } else {
            UNROLL(4)
            for (int i = 0; i < 4; i++) UNROLL(4)
            for (int j = 0; j < 4; j++) finish_pixel(pixels[i * 4 + j], y[i][j], c, rest);
        }
    }
}

// ---- weights ------------------------------------------------------------------------------------

// The weights of a pass that sums over `inner` channels to `outer` ones, transformed:
// u [POINTS][outer / panel][inner][panel].
typedef struct {
    int64_t inner, outer, Ci;
    int width;   // registers of a panel
    bool turned; // the input gradient: inner is Co, and the kernel is turned
} Weights;

// Tap (i, j) of `LANES` outer channels from `outer` on, for one inner channel.
INLINED Vec weight_tap(const Weights *w, const float *weight, int64_t inner, int64_t outer, int i,
                       int j) {
    if (w->turned) return vec_load(weight + (inner * 9 + (2 - i) * 3 + (2 - j)) * w->Ci + outer);
    Vec tap;
    for (int lane = 0; lane < LANES; lane++)
        tap[lane] = weight[((outer + lane) * 9 + i * 3 + j) * w->Ci + inner];
    return tap;
}

INLINED void transform_register(const Weights *w, const float *weight, int64_t inner, int64_t outer,
                                float *u) {
    Vec g[3][3], out[6][6];
    UNROLL(3)
    for (int i = 0; i < 3; i++) UNROLL(3)
    for (int j = 0; j < 3; j++) g[i][j] = weight_tap(w, weight, inner, outer, i, j);
    WINO_BOTH_SIDES(wino_weight, 3, 6, g, out);
    UNROLL(6)
    for (int i = 0; i < 6; i++) UNROLL(6)
    for (int j = 0; j < 6; j++) vec_store(u + (i * 6 + j) * w->inner * w->outer, out[i][j]);
}

static void transform_weights(const Weights *w, const float *weight, float *u) {
    int64_t panel = w->width * LANES;
#pragma omp for schedule(static)
    for (int64_t outer = 0; outer < w->outer; outer += LANES) {
        float *to = u + outer / panel * panel * w->inner + outer % panel;
        for (int64_t inner = 0; inner < w->inner; inner++)
            transform_register(w, weight, inner, outer, to + inner * panel);
    }
}

// ---- forward and input gradient -----------------------------------------------------------------

typedef struct {
    Grid from, to; // they differ in which one is upsampled
    Weights weights;
    int64_t tiles;            // of a block; a multiple of the rows of a product
    int64_t v_apart, m_apart; // floats from one point to the next in a block
    float *u, *blocks;
} Pass;

#define PANEL(rows, width) \
    wino_product(a + row * depth, depth, 1, b, depth, false, c + row * outer, outer, rows, width)

// m [tiles,outer] = v [tiles,depth] u for one point.
static void multiply_tiles(const float *a, const float *u, int64_t tiles, int64_t depth,
                           int64_t outer, int width, float *m) {
    int64_t panel = width * LANES;
    for (int64_t first = 0; first < outer; first += panel) {
        const float *b = u + first * depth;
        float *c = m + first;
        if (width == 1)
            for (int64_t row = 0; row < tiles; row += WINO_ROWS_1) PANEL(WINO_ROWS_1, 1);
        else if (width == 2)
            for (int64_t row = 0; row < tiles; row += WINO_ROWS_2) PANEL(WINO_ROWS_2, 2);
        else
            for (int64_t row = 0; row < tiles; row += WINO_ROWS_3) PANEL(WINO_ROWS_3, 3);
    }
}

// Tiles [first, first + count) of the map `from` to the map `to`.
static void run_block(const Pass *p, int64_t first, int64_t count, float *from, float *to,
                      const Rest *rest, float *v) {
    const Weights *w = &p->weights;
    int64_t rows = panel_rows(w->width), padded = (count + rows - 1) / rows * rows;
    float *m = v + POINTS * p->v_apart, *pixels[POINTS];
    for (int64_t t = 0; t < count; t++) {
        locate(&p->from, first + t, 6, 1, from, w->inner, (float *)zeros, pixels);
        transform_input(pixels, w->inner, v + t * w->inner, p->v_apart, LANES);
    }
    for (int64_t t = count; t < padded; t++)
        for (int i = 0; i < POINTS; i++)
            memset(v + i * p->v_apart + t * w->inner, 0, (size_t)w->inner * sizeof *v);
    for (int i = 0; i < POINTS; i++)
        multiply_tiles(v + i * p->v_apart, p->u + i * w->inner * w->outer, padded, w->inner,
                       w->outer, w->width, m + i * p->m_apart);
    for (int64_t t = 0; t < count; t++) {
        locate(&p->to, first + t, 4, 0, to, w->outer, NULL, pixels);
        transform_output(m + t * w->outer, p->m_apart, w->outer, pixels, p->to.shift, rest);
    }
}

static int64_t between(int64_t least, int64_t value, int64_t most) {
    return value < least ? least : at_most(value, most);
}

// Tiles of a block: as said above, but no more than leaves each thread its share.
static int64_t block_tiles(int64_t tiles, int64_t inner, int64_t outer, int64_t rows, int threads) {
    int64_t floats = between(LEAST_BLOCK, POINTS * inner * outer, MOST_BLOCK);
    int64_t wanted = floats / (POINTS * (inner + outer));
    wanted = at_most(wanted, (tiles + threads - 1) / threads);
    return (wanted + rows - 1) / rows * rows;
}

// Tiles [first, end), shared among the threads of a team.
static void run_tiles(const Pass *p, int64_t first, int64_t end, float *from, float *to,
                      const Rest *rest) {
    float *mine = p->blocks + thread_index() * POINTS * (p->v_apart + p->m_apart);
#pragma omp for schedule(static)
    for (int64_t i = first; i < end; i += p->tiles)
        run_block(p, i, at_most(p->tiles, end - i), from, to, rest, mine);
}

enum { BAND = 4 }; // lines of tiles

// Results over the map that is read, whose rows are longer: those of a band wait until all of it
// has been read, and come to lie before the row that the next band begins with.
static void run_over(const Pass *p, float *map, const Rest *rest, float *waiting) {
    const Grid *g = &p->to;
    const int64_t line = g->W * p->weights.outer;
    for (int64_t band = 0; band < g->N * g->down; band += at_most(BAND, g->down - band % g->down)) {
        int64_t down = band % g->down, lines = at_most(BAND, g->down - down);
        int64_t row = band / g->down * g->H + 4 * down, rows = at_most(4 * lines, g->H - 4 * down);
        Pass here = *p;
        here.to.origin = row * g->W;
        run_tiles(&here, band * g->across, (band + lines) * g->across, map, waiting, rest);
#pragma omp for schedule(static)
        for (int64_t i = 0; i < rows; i++)
            memcpy(map + (row + i) * line, waiting + i * line, (size_t)line * sizeof *map);
    }
}

static int run_pass(const Pass *pass, const float *weight, float *from, float *to,
                    const Rest *rest) {
    Pass p = *pass;
    const bool over = from == to;
    int threads = cpu_threads();
    int64_t inner = p.weights.inner, outer = p.weights.outer;
    int64_t shared = over ? at_most(BAND * p.from.across, p.from.tiles) : p.from.tiles;
    p.tiles = block_tiles(shared, inner, outer, panel_rows(p.weights.width), threads);
    p.v_apart = p.tiles * inner + LANES;
    p.m_apart = p.tiles * outer + LANES;
    int64_t block = POINTS * (p.v_apart + p.m_apart);
    int64_t waiting = over ? 4 * BAND * p.to.W * outer : 0;
    size_t bytes = (size_t)(POINTS * inner * outer + threads * block + waiting) * sizeof(float);
    p.u = memory_alloc(bytes);
    if (!p.u) return error_int("conv2d: out of memory");
    p.blocks = p.u + POINTS * inner * outer;
#pragma omp parallel num_threads(threads)
    {
        transform_weights(&p.weights, weight, p.u);
        if (over)
            run_over(&p, to, rest, p.blocks + threads * block);
        else
            run_tiles(&p, 0, p.from.tiles, from, to, rest);
    }
    memory_free(p.u, bytes);
    return 0;
}

// ---- weight gradient ----------------------------------------------------------------------------

// Sums over tiles: u [POINTS][Co][Ci] = z' v with z [POINTS][tiles][Co] and
// v [POINTS][Ci / panel][tiles][panel].
typedef struct {
    Grid from, to;
    int64_t Ci, Co, tiles;    // of a block
    int64_t v_apart, z_apart; // floats from one point to the next
    int width;
    float *u, *v, *z;
} Gradient;

static void transform_tiles(const Gradient *g, int64_t first, int64_t count, float *x, float *dy) {
    int64_t panel = g->width * LANES;
#pragma omp for schedule(static)
    for (int64_t t = 0; t < count; t++) {
        float *pixels[POINTS];
        locate(&g->from, first + t, 6, 1, x, g->Ci, (float *)zeros, pixels);
        for (int64_t c = 0; c < g->Ci; c += panel) {
            float *shifted[POINTS];
            for (int i = 0; i < POINTS; i++) shifted[i] = pixels[i] + (pixels[i] == zeros ? 0 : c);
            transform_input(shifted, panel, g->v + c * g->tiles + t * panel, g->v_apart, LANES);
        }
        locate(&g->to, first + t, 4, 0, dy, g->Co, (float *)zeros, pixels);
        transform_gradient(pixels, g->Co, g->z + t * g->Co, g->z_apart);
    }
}

#define COLUMN(width)                                     \
    for (int64_t row = 0; row < rows; row += WEIGHT_ROWS) \
    wino_product(z + row, 1, g->Co, v, count, add, u + row * g->Ci, g->Ci, WEIGHT_ROWS, width)

// One point's product for `rows` output channels.
static void multiply_gradient(const Gradient *g, const float *z, const float *v, int64_t count,
                              bool add, float *u, int64_t rows) {
    int64_t panel = g->width * LANES;
    for (int64_t c = 0; c < g->Ci; c += panel, v += panel * g->tiles, u += panel) {
        if (g->width == 1)
            COLUMN(1);
        else if (g->width == 2)
            COLUMN(2);
        else
            COLUMN(3);
    }
}

enum { CHANNEL_STEP = 16 }; // output channels of one task; both counts are multiples of it

static void multiply_points(const Gradient *g, int64_t count, bool add) {
    int64_t steps = g->Co / CHANNEL_STEP;
#pragma omp for schedule(static)
    for (int64_t task = 0; task < POINTS * steps; task++) {
        int64_t point = task / steps, row = task % steps * CHANNEL_STEP;
        multiply_gradient(g, g->z + point * g->z_apart + row, g->v + point * g->v_apart, count, add,
                          g->u + (point * g->Co + row) * g->Ci, CHANNEL_STEP);
    }
}

static void write_weights(const Gradient *g, float *dweight, bool add) {
#pragma omp for schedule(static)
    for (int64_t co = 0; co < g->Co; co++)
        for (int64_t c = 0; c < g->Ci; c += LANES) {
            Vec in[6][6], out[3][3];
            const float *u = g->u + co * g->Ci + c;
            float *to = dweight + co * 9 * g->Ci + c;
            UNROLL(6)
            for (int i = 0; i < 6; i++) UNROLL(6)
            for (int j = 0; j < 6; j++) in[i][j] = vec_load(u + (i * 6 + j) * g->Co * g->Ci);
            WINO_BOTH_SIDES(wino_weight_back, 6, 3, in, out);
            for (int i = 0; i < 3; i++)
                for (int j = 0; j < 3; j++, to += g->Ci)
                    vec_store(to, add ? vec_load(to) + out[i][j] : out[i][j]);
        }
}

// Tiles of a block: larger where the sums are, which each block reads and writes once more.
static int64_t gradient_tiles(int64_t tiles, int64_t Ci, int64_t Co) {
    int64_t floats = between(LEAST_SHARED, 2 * POINTS * Ci * Co, MOST_SHARED);
    int64_t fitting = floats / (POINTS * (Ci + Co));
    return at_most(tiles, fitting < 32 ? 32 : fitting);
}

static int weight_gradient(const ConvShape *s, bool upsampled, float *x, float *dy, float *dweight,
                           bool add) {
    Gradient g = {.from = grid_of(s, upsampled),
                  .to = grid_of(s, false),
                  .Ci = s->Ci,
                  .Co = s->Co,
                  .width = panel_width(s->Ci)};
    g.tiles = gradient_tiles(g.from.tiles, g.Ci, g.Co);
    g.v_apart = g.tiles * g.Ci + LANES; // not a power of two, which would fill few cache sets
    g.z_apart = g.tiles * g.Co + LANES;
    int64_t sums = POINTS * g.Ci * g.Co, v = POINTS * g.v_apart, z = POINTS * g.z_apart;
    size_t bytes = (size_t)(sums + v + z) * sizeof(float);
    g.u = memory_alloc(bytes);
    if (!g.u) return error_int("conv2d: out of memory");
    g.v = g.u + sums, g.z = g.v + v;
#pragma omp parallel num_threads(cpu_threads())
    {
        for (int64_t first = 0; first < g.from.tiles; first += g.tiles) {
            int64_t count = at_most(g.tiles, g.from.tiles - first);
            transform_tiles(&g, first, count, x, dy);
            multiply_points(&g, count, first > 0);
        }
        write_weights(&g, dweight, add);
    }
    memory_free(g.u, bytes);
    return 0;
}

// ---- entry --------------------------------------------------------------------------------------

int ISA(winograd_conv)(ConvPass pass, const ConvShape *s, bool upsampled, float *x, float *weight,
                       float *y, const float *bias, const float *base) {
    if (pass == CONV_WEIGHT_GRADIENT)
        return weight_gradient(s, upsampled, x, y, weight, base != NULL);
    bool forward = pass == CONV_FORWARD;
    float *to = forward ? y : x;
    Pass p = {.from = grid_of(s, forward && upsampled),
              .to = grid_of(s, !forward && upsampled),
              .weights = {.inner = forward ? s->Ci : s->Co,
                          .outer = forward ? s->Co : s->Ci,
                          .Ci = s->Ci,
                          .turned = !forward}};
    p.weights.width = panel_width(p.weights.outer);
    Rest rest = {.bias = bias, .base = base, .to = to};
    return run_pass(&p, weight, forward ? x : y, to, &rest);
}
