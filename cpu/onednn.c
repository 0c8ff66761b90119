// SPDX-License-Identifier: MIT
// oneDNN behind two functions. Primitives are made once per shape, pass and number of threads, and
// kept; they are immutable and their scratch memory is ours, so that threads can share them.
// Operands whose layout in the primitive is not the plain one are reordered on the way in and out.
#include "cpu/onednn.h"

#include "cpu/fast.h"

#ifndef P2S_ONEDNN

bool onednn_exists(void) {
    return false;
}

const char *onednn_limit(void) {
    return NULL;
}

bool onednn_has_conv(ConvPass pass, const ConvShape *shape) {
    (void)pass, (void)shape;
    return false;
}

int onednn_conv(ConvPass pass, const ConvShape *shape, bool add, float *x, float *weight,
                const float *bias, float *y) {
    (void)pass, (void)shape, (void)add, (void)x, (void)weight, (void)bias, (void)y;
    return FAST_DECLINES;
}

int onednn_product(Factor a, Factor b, int64_t M, int64_t K, int64_t P, float scale, bool add,
                   float *c, int64_t c_width) {
    (void)a, (void)b, (void)M, (void)K, (void)P, (void)scale, (void)add, (void)c, (void)c_width;
    return FAST_DECLINES;
}

#else

#include "base/error.h"
#include "base/memory.h"
#include "cpu/cpu.h"
#include "cpu/memory.h"

#include <oneapi/dnnl/dnnl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { TABLE_SIZE = 1024, MAX_ENTRIES = 512 };
enum { X, WEIGHT, Y, OPERANDS };

// ---- what changed between the versions 2 and 3 of the library -----------------------------------

#if DNNL_VERSION_MAJOR >= 3

typedef const_dnnl_memory_desc_t Layout;

static Layout layout_new(const dnnl_dims_t sides, int count, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t layout = NULL;
    dnnl_memory_desc_create_with_tag(&layout, count, sides, dnnl_f32, tag);
    return layout;
}

static void layout_free(Layout layout) {
    if (layout) dnnl_memory_desc_destroy((dnnl_memory_desc_t)layout);
}

static void append_sum(dnnl_post_ops_t ops) {
    dnnl_post_ops_append_sum(ops, 1, 0, dnnl_data_type_undef);
}

#else

typedef const dnnl_memory_desc_t *Layout;

static Layout layout_new(const dnnl_dims_t sides, int count, dnnl_format_tag_t tag) {
    dnnl_memory_desc_t *layout = malloc(sizeof *layout);
    if (layout && dnnl_memory_desc_init_by_tag(layout, count, sides, dnnl_f32, tag) == dnnl_success)
        return layout;
    free(layout);
    return NULL;
}

static void layout_free(Layout layout) {
    free((void *)layout);
}

static void append_sum(dnnl_post_ops_t ops) {
    dnnl_post_ops_append_sum(ops, 1);
}

#endif

// Strides and padding of a convolution, its operands' wished layouts.
typedef struct {
    Layout operands[OPERANDS], bias; // bias NULL: none
    dnnl_dims_t strides, low, high;
    dnnl_primitive_attr_t attributes;
} Wish;

// The primitive descriptor of a pass; `forward` is a hint for the others.
#if DNNL_VERSION_MAJOR >= 3

static dnnl_status_t describe(dnnl_engine_t engine, ConvPass pass, const Wish *wish,
                              dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *made) {
    dnnl_dims_t dilation = {0, 0};
    Layout const *operands = wish->operands;
    if (pass == CONV_FORWARD)
        return dnnl_convolution_forward_primitive_desc_create(
            made, engine, dnnl_forward_training, dnnl_convolution_direct, operands[X],
            operands[WEIGHT], wish->bias, operands[Y], wish->strides, dilation, wish->low,
            wish->high, wish->attributes);
    if (pass == CONV_INPUT_GRADIENT)
        return dnnl_convolution_backward_data_primitive_desc_create(
            made, engine, dnnl_convolution_direct, operands[X], operands[WEIGHT], operands[Y],
            wish->strides, dilation, wish->low, wish->high, forward, wish->attributes);
    return dnnl_convolution_backward_weights_primitive_desc_create(
        made, engine, dnnl_convolution_direct, operands[X], operands[WEIGHT], NULL, operands[Y],
        wish->strides, dilation, wish->low, wish->high, forward, wish->attributes);
}

#else

static dnnl_status_t describe(dnnl_engine_t engine, ConvPass pass, const Wish *wish,
                              dnnl_primitive_desc_t forward, dnnl_primitive_desc_t *made) {
    dnnl_convolution_desc_t desc;
    Layout const *operands = wish->operands;
    dnnl_status_t status;
    if (pass == CONV_FORWARD)
        status = dnnl_convolution_forward_desc_init(
            &desc, dnnl_forward_training, dnnl_convolution_direct, operands[X], operands[WEIGHT],
            wish->bias, operands[Y], wish->strides, wish->low, wish->high);
    else if (pass == CONV_INPUT_GRADIENT)
        status = dnnl_convolution_backward_data_desc_init(
            &desc, dnnl_convolution_direct, operands[X], operands[WEIGHT], operands[Y],
            wish->strides, wish->low, wish->high);
    else
        status = dnnl_convolution_backward_weights_desc_init(
            &desc, dnnl_convolution_direct, operands[X], operands[WEIGHT], NULL, operands[Y],
            wish->strides, wish->low, wish->high);
    return status == dnnl_success
               ? dnnl_primitive_desc_create(made, &desc, wish->attributes, engine, forward)
               : status;
}

#endif

// ---- a convolution, made once -------------------------------------------------------------------

typedef struct {
    int64_t pass, add, bias, threads;
    ConvShape shape; // int64_t only: keys are compared as bytes
} Key;

// operand: x, weight, y in the primitive's layout; where that is not the plain one, or where the
// result must be added, `reorder` brings the operand in or out.
typedef struct Entry {
    struct Entry *next;
    Key key;
    int users;   // calls that run it now
    bool absent; // the library has no such primitive
    dnnl_primitive_desc_t desc;
    dnnl_primitive_t primitive, reorder[OPERANDS];
    Layout plain[OPERANDS], inner[OPERANDS], bias, scratch; // inner and scratch belong to desc
} Entry;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static Entry *table[TABLE_SIZE];
static int entry_count;
static dnnl_engine_t engine;

static int written_by(ConvPass pass) {
    return pass == CONV_FORWARD ? Y : pass == CONV_INPUT_GRADIENT ? X : WEIGHT;
}

static void entry_free(Entry *entry) {
    for (int i = 0; i < OPERANDS; i++) {
        if (entry->reorder[i]) dnnl_primitive_destroy(entry->reorder[i]);
        layout_free(entry->plain[i]);
    }
    layout_free(entry->bias);
    if (entry->primitive) dnnl_primitive_destroy(entry->primitive);
    if (entry->desc) dnnl_primitive_desc_destroy(entry->desc);
    free(entry);
}

// NULL when memory is out.
static dnnl_primitive_attr_t attributes_new(bool sum) {
    dnnl_primitive_attr_t attributes = NULL;
    if (dnnl_primitive_attr_create(&attributes) != dnnl_success) return NULL;
    dnnl_primitive_attr_set_scratchpad_mode(attributes, dnnl_scratchpad_mode_user);
    if (!sum) return attributes;
    dnnl_post_ops_t ops = NULL;
    bool made = dnnl_post_ops_create(&ops) == dnnl_success;
    if (made) {
        append_sum(ops);
        made = dnnl_primitive_attr_set_post_ops(attributes, ops) == dnnl_success; // copies
        dnnl_post_ops_destroy(ops);
    }
    if (made) return attributes;
    dnnl_primitive_attr_destroy(attributes);
    return NULL;
}

static dnnl_status_t reorder_new(Layout from, Layout to, bool sum, dnnl_primitive_t *made) {
    dnnl_primitive_attr_t attributes = attributes_new(sum);
    if (!attributes) return dnnl_out_of_memory;
    dnnl_primitive_desc_t desc = NULL;
    dnnl_status_t status =
        dnnl_reorder_primitive_desc_create(&desc, from, engine, to, engine, attributes);
    if (status == dnnl_success) status = dnnl_primitive_create(made, desc);
    if (desc) dnnl_primitive_desc_destroy(desc);
    dnnl_primitive_attr_destroy(attributes);
    return status;
}

// Images keep their plain layout; weights never do.
static bool wish_layouts(const Key *key, Entry *entry, Wish *wish, Layout any[OPERANDS]) {
    const ConvShape *s = &key->shape;
    bool made = true;
    const dnnl_dims_t sides[OPERANDS] = {
        {s->N, s->Ci, s->H, s->W}, {s->Co, s->Ci, s->kh, s->kw}, {s->N, s->Co, s->Ho, s->Wo}};
    for (int i = 0; i < OPERANDS; i++) {
        entry->plain[i] = layout_new(sides[i], 4, i == WEIGHT ? dnnl_ohwi : dnnl_nhwc);
        any[i] = layout_new(sides[i], 4, dnnl_format_tag_any);
        wish->operands[i] = i == WEIGHT ? any[i] : entry->plain[i];
        made = made && entry->plain[i] && any[i];
    }
    if (key->bias) wish->bias = entry->bias = layout_new((dnnl_dims_t){s->Co}, 1, dnnl_a);
    return made && (!key->bias || entry->bias);
}

static bool add_in_primitive(const Key *key) {
    return key->add && key->pass == CONV_FORWARD;
}

static dnnl_status_t describe_entry(Entry *entry) {
    const Key *key = &entry->key;
    const ConvShape *s = &key->shape;
    ConvPass pass = (ConvPass)key->pass;
    Layout any[OPERANDS];
    Wish wish = {
        .strides = {s->stride, s->stride}, .low = {s->top, s->left}, .high = {s->bottom, s->right}};
    bool made = wish_layouts(key, entry, &wish, any);
    wish.attributes = attributes_new(add_in_primitive(key));
    dnnl_primitive_desc_t forward = NULL;
    dnnl_status_t status = made && wish.attributes ? dnnl_success : dnnl_out_of_memory;
    if (status == dnnl_success && pass != CONV_FORWARD)
        status = describe(engine, CONV_FORWARD, &wish, NULL, &forward);
    if (status == dnnl_success) status = describe(engine, pass, &wish, forward, &entry->desc);
    if (forward) dnnl_primitive_desc_destroy(forward);
    if (wish.attributes) dnnl_primitive_attr_destroy(wish.attributes);
    for (int i = 0; i < OPERANDS; i++) layout_free(any[i]);
    return status == dnnl_success ? dnnl_primitive_create(&entry->primitive, entry->desc) : status;
}

static dnnl_status_t make_reorders(Entry *entry) {
    const Key *key = &entry->key;
    int written = written_by((ConvPass)key->pass);
    dnnl_status_t status = dnnl_success;
    for (int i = 0; status == dnnl_success && i < OPERANDS; i++) {
        bool out = i == written, sum = out && key->add && !add_in_primitive(key);
        Layout inner = entry->inner[i], plain = entry->plain[i];
        if (dnnl_memory_desc_equal(inner, plain) && !sum) continue;
        status = reorder_new(out ? inner : plain, out ? plain : inner, sum, &entry->reorder[i]);
    }
    return status;
}

static dnnl_status_t fill_entry(Entry *entry) {
    static const dnnl_query_t queries[3][OPERANDS] = {
        {dnnl_query_src_md, dnnl_query_weights_md, dnnl_query_dst_md},
        {dnnl_query_diff_src_md, dnnl_query_weights_md, dnnl_query_diff_dst_md},
        {dnnl_query_src_md, dnnl_query_diff_weights_md, dnnl_query_diff_dst_md}};
    dnnl_status_t status = engine ? dnnl_success : dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (status == dnnl_success) status = describe_entry(entry);
    if (status != dnnl_success) return status;
    for (int i = 0; i < OPERANDS; i++)
        entry->inner[i] = dnnl_primitive_desc_query_md(entry->desc, queries[entry->key.pass][i], 0);
    entry->scratch = dnnl_primitive_desc_query_md(entry->desc, dnnl_query_scratchpad_md, 0);
    return make_reorders(entry);
}

// A primitive, or the knowledge that the library has none; NULL and an error when memory is out.
static Entry *entry_new(const Key *key) {
    Entry *entry = array_new(1, sizeof *entry);
    if (!entry) return NULL;
    entry->key = *key;
    dnnl_status_t status = fill_entry(entry);
    entry->absent = status != dnnl_success;
    if (status != dnnl_out_of_memory) return entry;
    entry_free(entry);
    return error_null("oneDNN: out of memory for a primitive");
}

// ---- the table ----------------------------------------------------------------------------------

static uint64_t hash(const Key *key) {
    const int64_t *words = (const int64_t *)key;
    uint64_t sum = 0;
    for (size_t i = 0; i < sizeof *key / sizeof *words; i++)
        sum = (sum ^ (uint64_t)words[i]) * 0x9E3779B97F4A7C15u, sum ^= sum >> 29;
    return sum;
}

static void drop_unused(void) {
    for (int i = 0; i < TABLE_SIZE; i++)
        for (Entry **at = &table[i]; *at;) {
            Entry *entry = *at;
            if (entry->users) {
                at = &entry->next;
                continue;
            }
            *at = entry->next;
            entry_free(entry);
            entry_count--;
        }
}

// The primitive of a key, in use until entry_release, or NULL: `*absent` when there is none, else
// with an error.
static Entry *entry_take(const Key *key, bool *absent) {
    pthread_mutex_lock(&lock);
    Entry **list = &table[hash(key) % TABLE_SIZE], *entry = *list;
    while (entry && memcmp(&entry->key, key, sizeof *key) != 0) entry = entry->next;
    if (!entry) {
        if (entry_count >= MAX_ENTRIES) drop_unused();
        entry = entry_new(key);
        if (entry) {
            entry->next = *list;
            *list = entry;
            entry_count++;
        }
    }
    *absent = entry && entry->absent;
    if (*absent) entry = NULL;
    if (entry) entry->users++;
    pthread_mutex_unlock(&lock);
    return entry;
}

static void entry_release(Entry *entry) {
    pthread_mutex_lock(&lock);
    entry->users--;
    pthread_mutex_unlock(&lock);
}

// ---- running ------------------------------------------------------------------------------------

// What one call makes and gives back: memory objects, and arrays in the primitive's layouts.
typedef struct {
    dnnl_stream_t stream;
    dnnl_memory_t plain[OPERANDS], inner[OPERANDS], bias, scratch;
    void *arrays[OPERANDS], *scratch_array;
} Call;

static size_t layout_bytes(Layout layout) {
    return dnnl_memory_desc_get_size(layout);
}

static bool wrap(dnnl_memory_t *memory, Layout layout, const void *data) {
    return dnnl_memory_create(memory, layout, engine, (void *)data) == dnnl_success;
}

static bool call_begin(Call *call, const Entry *entry, float *const data[OPERANDS],
                       const float *bias) {
    if (dnnl_stream_create(&call->stream, engine, dnnl_stream_default_flags) != dnnl_success)
        return false;
    for (int i = 0; i < OPERANDS; i++) {
        if (!wrap(&call->plain[i], entry->plain[i], data[i])) return false;
        if (!entry->reorder[i]) continue;
        call->arrays[i] = memory_alloc(layout_bytes(entry->inner[i]));
        if (!call->arrays[i] || !wrap(&call->inner[i], entry->inner[i], call->arrays[i]))
            return false;
    }
    if (entry->bias && !wrap(&call->bias, entry->bias, bias)) return false;
    size_t bytes = layout_bytes(entry->scratch);
    if (bytes == 0) return true;
    call->scratch_array = memory_alloc(bytes);
    return call->scratch_array && wrap(&call->scratch, entry->scratch, call->scratch_array);
}

static void call_end(Call *call, const Entry *entry) {
    for (int i = 0; i < OPERANDS; i++) {
        if (call->plain[i]) dnnl_memory_destroy(call->plain[i]);
        if (call->inner[i]) dnnl_memory_destroy(call->inner[i]);
        if (call->arrays[i]) memory_free(call->arrays[i], layout_bytes(entry->inner[i]));
    }
    if (call->bias) dnnl_memory_destroy(call->bias);
    if (call->scratch) dnnl_memory_destroy(call->scratch);
    if (call->scratch_array) memory_free(call->scratch_array, layout_bytes(entry->scratch));
    if (call->stream) dnnl_stream_destroy(call->stream);
}

static bool reorder(const Call *call, const Entry *entry, int i, bool out) {
    dnnl_exec_arg_t args[] = {{DNNL_ARG_FROM, out ? call->inner[i] : call->plain[i]},
                              {DNNL_ARG_TO, out ? call->plain[i] : call->inner[i]}};
    return dnnl_primitive_execute(entry->reorder[i], call->stream, 2, args) == dnnl_success;
}

static bool call_run(const Call *call, const Entry *entry) {
    static const int names[3][OPERANDS] = {
        {DNNL_ARG_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DST},
        {DNNL_ARG_DIFF_SRC, DNNL_ARG_WEIGHTS, DNNL_ARG_DIFF_DST},
        {DNNL_ARG_SRC, DNNL_ARG_DIFF_WEIGHTS, DNNL_ARG_DIFF_DST}};
    ConvPass pass = (ConvPass)entry->key.pass;
    int written = written_by(pass), count = 0;
    dnnl_exec_arg_t args[OPERANDS + 2];
    for (int i = 0; i < OPERANDS; i++) {
        if (i != written && entry->reorder[i] && !reorder(call, entry, i, false)) return false;
        dnnl_memory_t memory = entry->reorder[i] ? call->inner[i] : call->plain[i];
        args[count++] = (dnnl_exec_arg_t){names[pass][i], memory};
    }
    if (call->bias) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_BIAS, call->bias};
    if (call->scratch) args[count++] = (dnnl_exec_arg_t){DNNL_ARG_SCRATCHPAD, call->scratch};
    if (dnnl_primitive_execute(entry->primitive, call->stream, count, args) != dnnl_success)
        return false;
    return !entry->reorder[written] || reorder(call, entry, written, true);
}

static Entry *entry_for(ConvPass pass, const ConvShape *shape, bool add, bool bias, bool *absent) {
    Key key = {.pass = pass, .add = add, .bias = bias, .threads = cpu_threads(), .shape = *shape};
    return entry_take(&key, absent);
}

bool onednn_exists(void) {
    return true;
}

const char *onednn_limit(void) {
    const char *limit = getenv("ONEDNN_MAX_CPU_ISA");
    if (!limit || !*limit) limit = getenv("DNNL_MAX_CPU_ISA");
    if (!limit || !*limit || strcmp(limit, "ALL") == 0 || strcmp(limit, "DEFAULT") == 0)
        return NULL;
    return limit;
}

bool onednn_has_conv(ConvPass pass, const ConvShape *shape) {
    bool absent;
    Entry *entry = entry_for(pass, shape, false, false, &absent);
    if (entry) entry_release(entry);
    if (!entry && !absent) error_take(); // onednn_conv will say so, if it is still so
    return !absent;
}

int onednn_conv(ConvPass pass, const ConvShape *shape, bool add, float *x, float *weight,
                const float *bias, float *y) {
    bool absent;
    Entry *entry = entry_for(pass, shape, add, bias != NULL, &absent);
    if (!entry) return absent ? FAST_DECLINES : error_context("conv2d");
    Call call = {0};
    bool ok = call_begin(&call, entry, (float *[]){x, weight, y}, bias) && call_run(&call, entry);
    call_end(&call, entry);
    entry_release(entry);
    return ok ? 0 : error_int("conv2d: oneDNN failed to run, or memory is out");
}

static int multiply(Factor a, Factor b, int64_t M, int64_t K, int64_t P, float scale, bool add,
                    float *c, int64_t c_width) {
    dnnl_status_t status =
        dnnl_sgemm(a.transposed ? 'T' : 'N', b.transposed ? 'T' : 'N', M, P, K, scale, a.data,
                   a.width, b.data, b.width, add ? 1.0f : 0.0f, c, c_width);
    if (status == dnnl_success) return 0;
    return error_int("oneDNN: the product of [%lld,%lld] and [%lld,%lld] failed (status %d)",
                     (long long)M, (long long)K, (long long)K, (long long)P, (int)status);
}

// Few rows times a large transposed factor: the library is 2 to 4 times faster the other way round
// (24 x 5120 to 1280 with two threads: 11.7 against 2.8 ms).
static bool turns(Factor a, Factor b, int64_t M, int64_t K, int64_t P) {
    return !a.transposed && b.transposed && M > 1 && M <= 128 && K * P >= 1 << 18;
}

// c' = b a', then back.
static int multiply_turned(Factor a, Factor b, int64_t M, int64_t K, int64_t P, float scale,
                           bool add, float *c, int64_t c_width) {
    size_t bytes = (size_t)(M * P) * sizeof(float);
    float *turned = memory_alloc(bytes);
    if (!turned) return error_int("out of memory for a product of %zu bytes", bytes);
    b.transposed = false, a.transposed = true;
    int result = multiply(b, a, P, K, M, scale, false, turned, M);
    for (int64_t i = 0; result == 0 && i < M; i++)
        for (int64_t k = 0; k < P; k++) {
            float *to = c + i * c_width + k;
            *to = (add ? *to : 0.0f) + turned[k * M + i];
        }
    memory_free(turned, bytes);
    return result;
}

int onednn_product(Factor a, Factor b, int64_t M, int64_t K, int64_t P, float scale, bool add,
                   float *c, int64_t c_width) {
    return turns(a, b, M, K, P) ? multiply_turned(a, b, M, K, P, scale, add, c, c_width)
                                : multiply(a, b, M, K, P, scale, add, c, c_width);
}

#endif
