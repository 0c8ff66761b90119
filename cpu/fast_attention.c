// SPDX-License-Identifier: MIT
// Fast attention: tiles of logits, softmax rescaled as tiles pass (Milakov and Gimelshein 2018;
// Dao et al. 2022), so that memory grows with the tokens and not with their square.
//
// Forward: one task per block of queries. Backward: one task per head, or, where heads do not
// spread evenly over the threads, per head and share of its keys, with a query gradient of its own.
#include "cpu/fast_kernel.h"

#include "base/error.h"
#include "cpu/cpu.h"
#include "cpu/fast_exp.h"
#include "cpu/fast_rows.h"
#include "cpu/memory.h"
#include "cpu/onednn.h"
#include "cpu/team_error.h"

#include <math.h>
#include <string.h>

enum { QUERY_TILE = 192, KEY_TILE = 480 };

typedef struct {
    const attention_args *args;
    int64_t N, T, S, D, heads, width; // width = D / heads
    float scale;
    bool causal;
    const float *mask; // [N,S], or NULL
    float *tops;       // [N,T]: largest mask value that a query sees; with a mask only
} Work;

// One head of one image: its rows in q, k, v and their gradients begin at these offsets.
typedef struct {
    int64_t n, query, key, lse;
} Head;

static Work work_of(const attention_args *args) {
    const Tensor *q = args->q;
    return (Work){.args = args,
                  .N = q->shape[0],
                  .T = q->shape[1],
                  .S = args->k->shape[1],
                  .D = q->shape[2],
                  .heads = args->heads,
                  .width = q->shape[2] / args->heads,
                  .scale = (float)args->scale,
                  .causal = args->causal,
                  .mask = args->key_mask->data};
}

static Head head_of(const Work *w, int64_t index) {
    int64_t n = index / w->heads, slice = index % w->heads * w->width;
    return (Head){n, n * w->T * w->D + slice, n * w->S * w->D + slice, index * w->T};
}

static size_t tops_bytes(const Work *w) {
    return (size_t)(w->N * w->T) * sizeof(float);
}

static int begin_tops(Work *w) {
    if (!w->mask) return 0;
    w->tops = memory_alloc(tops_bytes(w));
    if (!w->tops) return error_int("attention: out of memory");
    for (int64_t n = 0; n < w->N; n++) {
        const float *mask = w->mask + n * w->S;
        float top = mask[0];
        for (int64_t i = 1; i < w->S && !w->causal; i++) top = mask[i] > top ? mask[i] : top;
        for (int64_t t = 0; t < w->T; t++) {
            if (w->causal) top = mask[t] > top ? mask[t] : top;
            w->tops[n * w->T + t] = top;
        }
    }
    return 0;
}

static void end_tops(const Work *w) {
    memory_free(w->tops, w->tops ? tops_bytes(w) : 0);
}

// ---- one tile of logits -------------------------------------------------------------------------

// Queries [query, query + queries) against keys [key, key + keys).
typedef struct {
    int64_t query, queries, key, keys;
} Tile;

static int64_t at_most(int64_t value, int64_t limit) {
    return value < limit ? value : limit;
}

static bool is_unseen(const Work *w, const Tile *tile) {
    return w->causal && tile->key > tile->query + tile->queries - 1;
}

// How many of the tile's keys its query `row` sees: the first ones.
static int64_t seen_by(const Work *w, const Tile *tile, int64_t row) {
    int64_t seen = tile->query + row + 1 - tile->key;
    if (!w->causal || seen > tile->keys) return tile->keys;
    return seen < 0 ? 0 : seen;
}

static Factor rows_at(const Work *w, const Tensor *tensor, int64_t offset, int64_t row) {
    return (Factor){(const float *)tensor->data + offset + row * w->D, w->D, false};
}

static Factor flipped(Factor factor) {
    factor.transposed = !factor.transposed;
    return factor;
}

static int tile_logits(const Work *w, const Head *head, const Tile *tile, float *logits) {
    Factor q = rows_at(w, w->args->q, head->query, tile->query);
    Factor k = rows_at(w, w->args->k, head->key, tile->key);
    return onednn_product(q, flipped(k), tile->queries, w->width, tile->keys, w->scale, false,
                          logits, tile->keys);
}

// Adds the mask to one row of a tile; returns the largest logit.
static float mask_row(const Work *w, const Head *head, const Tile *tile, int64_t row, float *logits,
                      int64_t seen) {
    if (!w->mask) return ISA(row_max)(logits, NULL, 0, seen);
    return ISA(row_max)(logits, w->mask + head->n * w->S + tile->key,
                        w->tops[head->n * w->T + tile->query + row], seen);
}

// ---- forward ------------------------------------------------------------------------------------

// What a block of queries has seen so far: largest logit, sum of exponentials, rows of y.
typedef struct {
    float largest[QUERY_TILE], sum[QUERY_TILE];
    float *y; // rows of D elements
} Running;

static void pass_row(const Work *w, const Head *head, const Tile *tile, int64_t row, float *logits,
                     Running *running) {
    int64_t seen = seen_by(w, tile, row);
    if (seen > 0) {
        float largest = mask_row(w, head, tile, row, logits, seen), before = running->largest[row];
        if (largest < before) largest = before;
        float fading = before == -INFINITY ? 0 : expf(before - largest);
        running->largest[row] = largest;
        running->sum[row] = running->sum[row] * fading + ISA(row_exp)(logits, largest, seen);
        if (fading != 1 && before != -INFINITY)
            ISA(row_scale)(running->y + row * w->D, fading, w->width);
    }
    memset(logits + seen, 0, (size_t)(tile->keys - seen) * sizeof *logits);
}

static int forward_block(const Work *w, const Head *head, int64_t query, float *logits) {
    Running running = {.y = (float *)w->args->y->data + head->query + query * w->D};
    Tile tile = {.query = query, .queries = at_most(QUERY_TILE, w->T - query)};
    for (int64_t row = 0; row < tile.queries; row++) running.largest[row] = -INFINITY;
    for (; tile.key < w->S; tile.key += KEY_TILE) {
        tile.keys = at_most(KEY_TILE, w->S - tile.key);
        if (is_unseen(w, &tile)) break;
        if (tile_logits(w, head, &tile, logits) != 0) return -1;
        for (int64_t row = 0; row < tile.queries; row++)
            pass_row(w, head, &tile, row, logits + row * tile.keys, &running);
        if (onednn_product((Factor){logits, tile.keys, false},
                           rows_at(w, w->args->v, head->key, tile.key), tile.queries, tile.keys,
                           w->width, 1, tile.key > 0, running.y, w->D) != 0)
            return -1;
    }
    float *lse = (float *)w->args->lse->data + head->lse + query;
    for (int64_t row = 0; row < tile.queries; row++) {
        ISA(row_scale)(running.y + row * w->D, 1 / running.sum[row], w->width);
        lse[row] = running.largest[row] + logf(running.sum[row]);
    }
    return 0;
}

static size_t tile_bytes(const Work *w) {
    return (size_t)(at_most(QUERY_TILE, w->T) * at_most(KEY_TILE, w->S)) * sizeof(float);
}

static int without_memory(void) {
    return error_int("out of memory for a tile of logits");
}

static void forward_task(const Work *w, int64_t task, TeamError *error) {
    int64_t blocks = (w->T + QUERY_TILE - 1) / QUERY_TILE;
    Head head = head_of(w, task / blocks);
    float *logits = memory_alloc(tile_bytes(w));
    int result =
        logits ? forward_block(w, &head, task % blocks * QUERY_TILE, logits) : without_memory();
    if (result != 0) team_error_note(error);
    memory_free(logits, tile_bytes(w));
}

int ISA(fast_attention_forward)(const attention_args *args) {
    Work w = work_of(args);
    if (!onednn_exists() || tensor_numel(args->y) == 0) return FAST_DECLINES;
    if (begin_tops(&w) != 0) return -1;
    int64_t tasks = w.N * w.heads * ((w.T + QUERY_TILE - 1) / QUERY_TILE);
    TeamError error = {""};
    if (tasks == 1) { // not a team of one: the products' team inside would be made anew every time
        forward_task(&w, 0, &error);
    } else {
#pragma omp parallel for schedule(static)
        for (int64_t task = 0; task < tasks; task++) forward_task(&w, task, &error);
    }
    end_tops(&w);
    return team_error_raise(&error, "attention");
}

// ---- backward -----------------------------------------------------------------------------------

// Where the gradients of one task go; NULL where none is asked for. dq has rows of dq_width
// elements and is added to, dk and dv have rows of D and are written first if `fresh`.
typedef struct {
    float *dq, *dk, *dv;
    int64_t dq_width;
    bool fresh_k, fresh_v;
} Targets;

typedef struct {
    float *p, *d; // two tiles
} Tiles;

static float dot_rows(const float *a, const float *b, int64_t count) {
    float sum = 0;
#pragma omp simd reduction(+ : sum)
    for (int64_t i = 0; i < count; i++) sum += a[i] * b[i];
    return sum;
}

// The softmax of a tile again, from the saved log-sum-exp.
static int tile_softmax(const Work *w, const Head *head, const Tile *tile, float *p) {
    const float *lse = (const float *)w->args->lse->data + head->lse + tile->query;
    if (tile_logits(w, head, tile, p) != 0) return -1;
    for (int64_t row = 0; row < tile->queries; row++) {
        float *logits = p + row * tile->keys;
        int64_t seen = seen_by(w, tile, row);
        if (w->mask) mask_row(w, head, tile, row, logits, seen);
        ISA(row_exp)(logits, lse[row], seen);
        memset(logits + seen, 0, (size_t)(tile->keys - seen) * sizeof *logits);
    }
    return 0;
}

// d = gradient of the logits of a tile.
static int tile_gradient(const Work *w, const Head *head, const Tile *tile, const Tiles *tiles) {
    const Tensor *y = w->args->y;
    int64_t offset = head->query + tile->query * w->D;
    const float *dy = (const float *)y->grad->data + offset,
                *value = (const float *)y->data + offset;
    Factor v = rows_at(w, w->args->v, head->key, tile->key);
    if (onednn_product((Factor){dy, w->D, false}, flipped(v), tile->queries, w->width, tile->keys,
                       1, false, tiles->d, tile->keys) != 0)
        return -1;
    for (int64_t row = 0; row < tile->queries; row++) {
        float mean = dot_rows(dy + row * w->D, value + row * w->D, w->width);
        ISA(row_logit_gradient)
        (tiles->d + row * tile->keys, tiles->p + row * tile->keys, mean, w->scale, tile->keys);
    }
    return 0;
}

static int backward_tile(const Work *w, const Head *head, const Tile *tile, const Tiles *tiles,
                         const Targets *to, bool first) {
    if (tile_softmax(w, head, tile, tiles->p) != 0) return -1;
    Factor p = {tiles->p, tile->keys, false}, d = {tiles->d, tile->keys, false};
    Factor dy = rows_at(w, w->args->y->grad, head->query, tile->query);
    int64_t key_row = head->key + tile->key * w->D;
    int result = 0;
    if (to->dv)
        result = onednn_product(flipped(p), dy, tile->keys, tile->queries, w->width, 1,
                                !(first && to->fresh_v), to->dv + key_row, w->D);
    if (result != 0 || (!to->dq && !to->dk)) return result;
    result = tile_gradient(w, head, tile, tiles);
    if (result == 0 && to->dk)
        result = onednn_product(flipped(d), rows_at(w, w->args->q, head->query, tile->query),
                                tile->keys, tile->queries, w->width, 1, !(first && to->fresh_k),
                                to->dk + key_row, w->D);
    if (result == 0 && to->dq)
        result = onednn_product(d, rows_at(w, w->args->k, head->key, tile->key), tile->queries,
                                tile->keys, w->width, 1, true, to->dq + tile->query * to->dq_width,
                                to->dq_width);
    return result;
}

// The keys [begin, end) of one head against all its queries.
static void backward_keys(const Work *w, const Head *head, int64_t begin, int64_t end,
                          const Targets *to, TeamError *error) {
    Tiles tiles = {memory_alloc(tile_bytes(w)), memory_alloc(tile_bytes(w))};
    int result = tiles.p && tiles.d ? 0 : without_memory();
    for (int64_t key = begin; result == 0 && key < end; key += KEY_TILE) {
        bool first = true;
        for (int64_t query = 0; result == 0 && query < w->T; query += QUERY_TILE) {
            Tile tile = {query, at_most(QUERY_TILE, w->T - query), key,
                         at_most(KEY_TILE, end - key)};
            if (is_unseen(w, &tile)) continue;
            result = backward_tile(w, head, &tile, &tiles, to, first);
            first = false;
        }
    }
    memory_free(tiles.p, tile_bytes(w));
    memory_free(tiles.d, tile_bytes(w));
    if (result != 0) team_error_note(error);
}

static Targets targets_of(const attention_args *args) {
    const Tensor *q = args->q, *k = args->k, *v = args->v;
    return (Targets){.dq = q->needs_grad ? q->grad->data : NULL,
                     .dk = k->needs_grad ? k->grad->data : NULL,
                     .dv = v->needs_grad ? v->grad->data : NULL,
                     .fresh_k = !k->has_grad,
                     .fresh_v = !v->has_grad};
}

static void backward_head(const Work *w, int64_t i, TeamError *error) {
    Head head = head_of(w, i);
    Targets to = targets_of(w->args);
    if (to.dq) to.dq += head.query;
    to.dq_width = w->D;
    backward_keys(w, &head, 0, w->S, &to, error);
}

// One task per head: each writes its own slices.
static void backward_heads(const Work *w, TeamError *error) {
    int64_t heads = w->N * w->heads;
    if (heads == 1) {
        backward_head(w, 0, error);
        return;
    }
#pragma omp parallel for schedule(static)
    for (int64_t i = 0; i < heads; i++) backward_head(w, i, error);
}

// Adds the shares' query gradients [shares,T,width] to dq, in order.
static void add_shares(const Work *w, const float *parts, int shares, float *dq) {
#pragma omp parallel for schedule(static)
    for (int64_t t = 0; t < w->T; t++)
        for (int share = 0; share < shares; share++) {
            const float *part = parts + (share * w->T + t) * w->width;
            for (int64_t i = 0; i < w->width; i++) dq[t * w->D + i] += part[i];
        }
}

// Heads one after another, each with its keys in `shares` parts.
static void backward_shares(const Work *w, int shares, TeamError *error) {
    int64_t size = w->T * w->width;
    size_t bytes = (size_t)(shares * size) * sizeof(float);
    float *parts = memory_alloc(bytes);
    if (!parts) {
        error_int("out of memory for %d gradients of the queries", shares);
        team_error_note(error);
        return;
    }
    for (int64_t i = 0; i < w->N * w->heads; i++) {
        Head head = head_of(w, i);
#pragma omp parallel for schedule(static)
        for (int share = 0; share < shares; share++) {
            Targets to = targets_of(w->args);
            if (to.dq) to.dq = parts + share * size;
            to.dq_width = w->width;
            memset(parts + share * size, 0, (size_t)size * sizeof *parts);
            backward_keys(w, &head, w->S * share / shares, w->S * (share + 1) / shares, &to, error);
        }
        if (w->args->q->needs_grad)
            add_shares(w, parts, shares, (float *)w->args->q->grad->data + head.query);
    }
    memory_free(parts, bytes);
}

int ISA(fast_attention_backward)(const attention_args *args) {
    Work w = work_of(args);
    if (!onednn_exists() || tensor_numel(args->y) == 0) return FAST_DECLINES;
    if (begin_tops(&w) != 0) return -1;
    const Tensor *q = args->q;
    if (q->needs_grad && !q->has_grad) memset(q->grad->data, 0, tensor_bytes(q));
    int threads = cpu_threads();
    int64_t heads = w.N * w.heads;
    bool even = heads % threads == 0 || heads >= 4 * threads || w.S < 2 * threads * KEY_TILE / 4;
    TeamError error = {""};
    if (even)
        backward_heads(&w, &error);
    else
        backward_shares(&w, threads, &error);
    end_tops(&w);
    return team_error_raise(&error, "attention");
}
