// SPDX-License-Identifier: MIT
// The tape: two lists, results in order of making and records in order of running. See tape.h.
//
// A record counts, in every tensor it names, one ref, and one saved where its rule reads the
// values. Memory goes when no scope reaches a tensor and no rule will read it; the struct goes when
// no record names it any more.
//
// Results of norms and gates do not count as read: what they are made from is saved anyway, and
// backward makes them again, to the same bits.
#include "autograd/tape.h"

#include "autograd/backend.h"
#include "autograd/trace.h"
#include "base/error.h"

#include <stdlib.h>
#include <string.h>

enum { RECOMPUTE_MAX_INPUTS = 8 };
enum { RECORD_VIEW = OP_COUNT, RECORD_RECOMPUTE };

typedef struct {
    Tensor *x, *y;
} ViewArgs;

typedef struct {
    Tensor *inputs[RECOMPUTE_MAX_INPUTS];
    Tensor *y;
    RecomputeFn fn;
    void *context;
} RecomputeArgs;

typedef struct {
    int kind;            // an OpKind, or one of the two above
    int inputs, outputs; // the first inputs + outputs fields of args are tensors
    unsigned saves;      // fields that the rule reads
    unsigned again;      // of these the ones that are made again
    void *args;          // a copy, owned
} Record;

typedef struct {
    Tensor **results; // NULL where one has been freed
    size_t result_count, result_room;
    Record *records;
    size_t record_count, record_room;
    bool recording;
    bool touched; // an op saw an input that needs a gradient
} Tape;

static _Thread_local Tape tape;

bool tape_record(bool on) {
    bool was = tape.recording;
    tape.recording = on;
    return was;
}

bool tape_is_recording(void) {
    return tape.recording;
}

size_t tape_length(void) {
    return tape.record_count;
}

// ---- results ------------------------------------------------------------------------------------

// Makes room for one more element; returns the array, or NULL when out of memory.
static void *grow(void *array, size_t count, size_t *room, size_t size) {
    if (count < *room) return array;
    size_t wanted = *room ? 2 * *room : 256;
    void *bigger = realloc(array, wanted * size);
    if (!bigger) return error_null("tape: out of memory");
    *room = wanted;
    return bigger;
}

static Tensor *adopt(Tensor *tensor) {
    if (!tensor) return NULL;
    Tensor **results =
        grow(tape.results, tape.result_count, &tape.result_room, sizeof *tape.results);
    if (!results) {
        tensor_free(tensor);
        return NULL;
    }
    tape.results = results;
    tensor->owned_by_tape = true;
    tensor->slot = tape.result_count;
    tape.results[tape.result_count++] = tensor;
    return tensor;
}

Tensor *tape_result(Dtype dtype, int ndim, const int64_t *shape) {
    return adopt(tensor_new(dtype, ndim, shape));
}

Tensor *tape_result_like(const Tensor *tensor) {
    return tape_result(tensor->dtype, tensor->ndim, tensor->shape);
}

Tensor *tape_result_over(Tensor *tensor, int ndim, const int64_t *shape) {
    if (tape.recording || !tensor->owned_by_tape || tensor->kept || tensor->saved > 0 ||
        tensor_is_shared(tensor))
        return tape_result(tensor->dtype, ndim, shape);
    return adopt(tensor_view(tensor, ndim, shape));
}

Tensor *tape_keep(Tensor *tensor) {
    if (tensor) tensor->kept = true;
    return tensor;
}

void tape_let_go(Tensor *tensor) {
    if (tensor && tensor->owned_by_tape && !tensor->kept && tensor->saved == 0)
        tensor_release(tensor);
}

// Lets go of what nobody can reach or will read.
static void settle(Tensor *tensor) {
    if (!tensor->owned_by_tape || tensor->kept || !tensor->left_scope) return;
    if (tensor->saved == 0) tensor_release(tensor);
    if (tensor->refs > 0) return;
    tape.results[tensor->slot] = NULL;
    tensor_free(tensor);
}

static void drop_record(Record *record) {
    Tensor *const *fields = record->args;
    for (int i = 0; i < record->inputs + record->outputs; i++) {
        Tensor *tensor = fields[i];
        if (tensor == NONE || !tensor) continue;
        tensor->refs--;
        if ((record->saves & ~record->again) >> i & 1) tensor->saved--;
    }
}

void tape_reset(void) {
    for (size_t i = tape.record_count; i-- > 0;) {
        drop_record(&tape.records[i]);
        free(tape.records[i].args);
    }
    for (size_t i = 0; i < tape.result_count; i++) tensor_free(tape.results[i]);
    free(tape.results);
    free(tape.records);
    bool recording = tape.recording;
    tape = (Tape){.recording = recording};
}

// ---- scopes -------------------------------------------------------------------------------------

Scope scope_begin(void) {
    return tape.result_count;
}

static bool is_among(const Tensor *tensor, Tensor *const *list, int count) {
    for (int i = 0; i < count; i++)
        if (list[i] == tensor) return true;
    return false;
}

void scope_end_many(Scope scope, Tensor *const *results, int count) {
    size_t end = tape.result_count, left = scope;
    if (scope > end) return; // the tape was reset meanwhile
    for (size_t i = scope; i < end; i++) {
        Tensor *tensor = tape.results[i];
        if (tensor && !is_among(tensor, results, count)) {
            tensor->left_scope = true;
            settle(tensor);
        }
        tensor = tape.results[i];
        if (!tensor) continue;
        tensor->slot = left;
        tape.results[left++] = tensor;
    }
    tape.result_count = left;
}

Tensor *scope_end(Scope scope, Tensor *result) {
    scope_end_many(scope, &result, 1);
    return result;
}

// ---- recording ----------------------------------------------------------------------------------

static bool is_quick(int kind) {
    return kind == OP_group_norm || kind == OP_layer_norm || kind == OP_geglu;
}

// Whether the record's first output can be made again: everything else is there until it has run.
static bool can_repeat(const Record *record) {
    Tensor *const *fields = record->args;
    bool can = is_quick(record->kind);
    for (int i = 0; i < record->inputs + record->outputs; i++)
        if (i != record->inputs && fields[i]->owned_by_tape) can = can && record->saves >> i & 1;
    return can;
}

static int push(int kind, int inputs, int outputs, unsigned saves, const void *args, size_t size) {
    Record *records =
        grow(tape.records, tape.record_count, &tape.record_room, sizeof *tape.records);
    if (!records) return -1;
    tape.records = records;
    void *copy = malloc(size);
    if (!copy) return error_int("tape: out of memory");
    memcpy(copy, args, size);
    Record *record = &tape.records[tape.record_count++];
    *record = (Record){kind, inputs, outputs, saves, 0, copy};
    Tensor *const *fields = copy;
    for (int i = 0; i < inputs + outputs; i++) {
        Tensor *tensor = fields[i];
        if (tensor == NONE) continue;
        tensor->refs++;
        if (!(saves >> i & 1)) continue;
        if (tensor->maker > 0)
            record->again |= 1u << i;
        else
            tensor->saved++;
    }
    fields[inputs]->needs_grad = true;
    if (can_repeat(record)) fields[inputs]->maker = tape.record_count;
    return 0;
}

static bool any_needs_grad(Tensor *const *inputs, int count) {
    bool any = false;
    for (int i = 0; i < count; i++) any = any || inputs[i]->needs_grad;
    tape.touched = tape.touched || any;
    return any;
}

static unsigned saves_of(OpKind kind, const void *args) {
    switch (kind) {
#define OP(name, inputs, outputs) \
    case OP_##name:               \
        return name##_saves(args);
        OP_LIST(OP)
#undef OP
    default:
        return 0;
    }
}

Tensor *tape_run(OpKind kind, const void *args) {
    Tensor *const *fields = args;
    int inputs = op_inputs(kind), outputs = op_outputs(kind);
    for (int i = 0; i < outputs; i++)
        if (!fields[inputs + i]) return NULL;
    if (trace_forward(kind, args) != 0) return NULL;
    bool needed = any_needs_grad(fields, inputs);
    if (needed && tape.recording &&
        push((int)kind, inputs, outputs, saves_of(kind, args), args, op_args_size(kind)) != 0)
        return NULL;
    return fields[inputs];
}

Tensor *tape_view(Tensor *tensor, int ndim, const int64_t *shape) {
    ViewArgs args = {.x = tensor, .y = adopt(tensor_view(tensor, ndim, shape))};
    if (!args.y) return NULL;
    if (any_needs_grad(&args.x, 1) && tape.recording &&
        push(RECORD_VIEW, 1, 1, 0, &args, sizeof args) != 0)
        return NULL;
    return args.y;
}

Tensor *recompute(RecomputeFn fn, Tensor *const *inputs, int count, void *context) {
    RecomputeArgs args = {.fn = fn, .context = context};
    if (count > RECOMPUTE_MAX_INPUTS)
        return error_null("recompute: %d inputs, at most %d are possible", count,
                          RECOMPUTE_MAX_INPUTS);
    for (int i = 0; i < RECOMPUTE_MAX_INPUTS; i++) args.inputs[i] = i < count ? inputs[i] : NONE;
    if (is_among(NULL, inputs, count)) return NULL;
    bool recording = tape_record(false), touched = tape.touched;
    tape.touched = false;
    Scope scope = scope_begin();
    args.y = scope_end(scope, fn(args.inputs, context));
    any_needs_grad(args.inputs, RECOMPUTE_MAX_INPUTS);
    bool needed = tape.touched;
    tape.touched = needed || touched;
    tape_record(recording);
    if (!args.y || !needed || !recording) return args.y;
    if (is_among(args.y, inputs, count)) return error_null("recompute: fn returned its input");
    unsigned saves = (1u << RECOMPUTE_MAX_INPUTS) - 1;
    if (push(RECORD_RECOMPUTE, RECOMPUTE_MAX_INPUTS, 1, saves, &args, sizeof args) != 0)
        return NULL;
    return args.y;
}

// ---- backward -----------------------------------------------------------------------------------

static int run_to(size_t base);

// The gradient buffer itself moves when the input has none yet: the view is done with it.
static int view_backward(const ViewArgs *args) {
    Tensor *x = args->x, *y = args->y;
    if (!x->has_grad && !x->grad) {
        x->grad = tensor_view(y->grad, x->ndim, x->shape);
        return x->grad ? 0 : -1;
    }
    Tensor *flat = tensor_view(y->grad, x->ndim, x->shape);
    if (!flat) return -1;
    int result =
        x->has_grad ? backend_current()->add_to(x->grad, flat) : tensor_copy(x->grad, flat);
    tensor_free(flat);
    return result;
}

static int recompute_backward(const RecomputeArgs *args) {
    size_t base = tape.record_count;
    Scope scope = scope_begin();
    tape_record(true);
    Tensor *y = scope_end(scope, args->fn(args->inputs, args->context));
    tape_record(false);
    int result = y ? 0 : -1;
    if (y && y->needs_grad) {
        tensor_free(y->grad);
        y->grad = tensor_view(args->y->grad, y->ndim, y->shape);
        y->has_grad = true;
        result = y->grad ? run_to(base) : -1;
    }
    if (result == 0) scope_end(scope, NULL);
    return result;
}

// Makes memory for an input's first gradient. The coloring loss saved it but for a factor, and
// nobody else reads that: it is scaled in place.
static int gradient_new(const Record *record, Tensor *const *fields, int i) {
    Tensor *x = fields[i];
    if (record->kind != OP_coloring_loss || x->grad) return tensor_grad_alloc(x);
    const coloring_loss_args *args = record->args;
    x->grad = tensor_view(args->dprediction, x->ndim, x->shape);
    return x->grad ? 0 : -1;
}

// Kernels write each input's gradient once, so a tensor given twice starts from zero and is added
// to.
static int prepare_gradients(const Record *record, Tensor *const *fields) {
    for (int i = 0; i < record->inputs; i++) {
        if (!fields[i]->needs_grad) continue;
        if (gradient_new(record, fields, i) != 0) return -1;
        if (fields[i]->has_grad || !is_among(fields[i], fields, i)) continue;
        if (tensor_fill(fields[i]->grad, 0) != 0) return -1;
        fields[i]->has_grad = true;
    }
    return 0;
}

// Makes the values of a result again that were let go of.
static int repeat(Tensor *tensor) {
    if (tensor->data) return 0;
    const Record maker = tape.records[tensor->maker - 1];
    Tensor *const *fields = maker.args;
    for (int i = 0; i < maker.inputs; i++)
        if (maker.again >> i & 1 && repeat(fields[i]) != 0) return -1;
    if (tensor_restore(tensor) != 0) return -1;
    return trace_forward((OpKind)maker.kind, maker.args);
}

static const char *record_name(int kind) {
    if (kind == RECORD_RECOMPUTE) return "recompute";
    return kind == RECORD_VIEW ? "reshape" : op_name((OpKind)kind);
}

static int run_rule(const Record *record) {
    Tensor *const *fields = record->args;
    if (!fields[record->inputs]->has_grad) return 0; // nothing depends on it
    for (int i = 0; i < record->inputs; i++)
        if (record->again >> i & 1 && repeat(fields[i]) != 0)
            return error_context("backward of %s", record_name(record->kind));
    if (record->kind == RECORD_RECOMPUTE) return recompute_backward(record->args);
    if (record->kind == RECORD_VIEW) {
        if (view_backward(record->args) != 0)
            return error_context("backward of %s", record_name(record->kind));
    } else if (prepare_gradients(record, fields) != 0 ||
               trace_backward((OpKind)record->kind, record->args) != 0) {
        return error_context("backward of %s", record_name(record->kind));
    }
    for (int i = 0; i < record->inputs; i++)
        if (fields[i]->needs_grad) fields[i]->has_grad = true;
    return 0;
}

// After its rule has run nobody reads a record's outputs: every reader came later in the forward.
static void pass(Record *record) {
    Tensor *const *fields = record->args;
    drop_record(record);
    for (int i = 0; i < record->outputs; i++) {
        Tensor *y = fields[record->inputs + i];
        if (!y->owned_by_tape) continue;
        tensor_free(y->grad);
        y->grad = NULL;
        y->has_grad = false;
        y->maker = 0;
        if (!y->kept) tensor_release(y);
        settle(y);
    }
    for (int i = 0; i < record->inputs; i++) {
        if (fields[i] == NONE || is_among(fields[i], fields, i)) continue; // settled already
        bool read_again = fields[i]->maker > 0 && fields[i]->refs > 1;     // beside by its maker
        if (!read_again) settle(fields[i]);
    }
    free(record->args);
}

static int run_to(size_t base) {
    while (tape.record_count > base) {
        Record record = tape.records[--tape.record_count];
        int result = run_rule(&record);
        pass(&record);
        if (result != 0) return -1;
    }
    return 0;
}

static int backward_begin(Tensor *output, const Tensor *gradient) {
    if (!output || !gradient) return error_int("backward: no tensor");
    if (!output->needs_grad)
        return error_int("backward: no gradient reaches %s", tensor_text(output));
    if (output->owned_by_tape && output->refs == 0)
        return error_int("backward: what made %s was passed by an earlier backward",
                         tensor_text(output));
    output->kept = true;
    int result = tensor_grad_alloc(output);
    if (result == 0) result = tensor_copy(output->grad, gradient);
    output->has_grad = true;
    return result;
}

int tape_backward_from(Tensor *output, const Tensor *gradient) {
    bool recording = tape_record(false);
    int result = backward_begin(output, gradient);
    if (result == 0) result = run_to(0);
    tape_record(recording);
    if (result != 0) tape_reset();
    return result;
}

// The gradient of a loss with respect to itself, owned by the caller.
static Tensor *one_like(const Tensor *loss) {
    if (!loss) return error_null("backward: no loss");
    if (tensor_numel(loss) != 1)
        return error_null("backward: the loss %s is not a single value", tensor_text(loss));
    Tensor *one = tensor_new(loss->dtype, loss->ndim, loss->shape);
    if (!one || tensor_fill(one, 1) == 0) return one;
    tensor_free(one);
    return NULL;
}

int tape_backward(Tensor *loss) {
    Tensor *one = one_like(loss);
    int result = tape_backward_from(loss, one);
    tensor_free(one);
    return result;
}
