// SPDX-License-Identifier: MIT
// TRACE: times of ops and the search for the first value that is not finite. See trace.h.
// Threads add to one table under a lock.
#include "autograd/trace.h"

#include "autograd/backend.h"
#include "base/clock.h"
#include "base/error.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef int (*Runner)(const Backend *backend, OpKind kind, const void *args);

typedef struct {
    int op, backward;
    int64_t count;
    double seconds;
} Row;

static const char *const words[] = {"op", "nan"};
enum { TRACE_OP = 1, TRACE_NAN = 2, WORDS = 2 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static unsigned flags;
static char unknown[32];
static Row rows[OP_COUNT][2];

// ---- the variable -------------------------------------------------------------------------------

static void read_word(const char *word, int length) {
    for (int i = 0; i < WORDS; i++)
        if ((int)strlen(words[i]) == length && strncmp(words[i], word, (size_t)length) == 0) {
            flags |= 1u << i;
            return;
        }
    if (length > 0 && !unknown[0]) snprintf(unknown, sizeof unknown, "%.*s", length, word);
}

static void read_variable(void) {
    const char *text = getenv("TRACE");
    while (text && *text) {
        int length = (int)strcspn(text, ",");
        read_word(text, length);
        text += length + (text[length] == ',');
    }
    if (flags & TRACE_OP) atexit(trace_report);
}

// ---- times --------------------------------------------------------------------------------------

static void count_call(OpKind kind, bool backward, double seconds) {
    pthread_mutex_lock(&lock);
    rows[kind][backward].count++;
    rows[kind][backward].seconds += seconds;
    pthread_mutex_unlock(&lock);
}

static int by_time(const void *left, const void *right) {
    double a = ((const Row *)left)->seconds, b = ((const Row *)right)->seconds;
    return (a < b) - (a > b);
}

void trace_report(void) {
    Row sorted[2 * OP_COUNT];
    double total = 0;
    int used = 0;
    pthread_mutex_lock(&lock);
    for (int i = 0; i < 2 * OP_COUNT; i++) {
        Row row = rows[i / 2][i % 2];
        if (row.count == 0) continue;
        row.op = i / 2, row.backward = i % 2;
        total += row.seconds;
        sorted[used++] = row;
    }
    memset(rows, 0, sizeof rows);
    pthread_mutex_unlock(&lock);
    if (used == 0) return;
    qsort(sorted, (size_t)used, sizeof *sorted, by_time);
    fprintf(stderr, "%-16s %-9s %9s %12s %10s %7s\n", "op", "pass", "calls", "ms", "ms/call",
            "share");
    for (int i = 0; i < used; i++) {
        const Row *row = &sorted[i];
        fprintf(stderr, "%-16s %-9s %9lld %12.2f %10.4f %6.1f%%\n", op_name((OpKind)row->op),
                row->backward ? "backward" : "forward", (long long)row->count, 1e3 * row->seconds,
                1e3 * row->seconds / (double)row->count,
                total > 0 ? 100 * row->seconds / total : 0.0);
    }
    fprintf(stderr, "%-16s %-9s %9s %12.2f\n", "all ops", "", "", 1e3 * total);
}

// ---- values that are not finite -----------------------------------------------------------------

static double element(const void *values, Dtype dtype, int64_t i) {
    if (dtype == F64) return ((const double *)values)[i];
    return dtype == BF16 ? bf16_to_float(((const uint16_t *)values)[i])
                         : ((const float *)values)[i];
}

// How many elements are not finite; `first` is the index of the first of them. -1 and an error when
// a device's memory cannot be copied here.
static int64_t count_bad(const Tensor *tensor, int64_t *first) {
    bool here = backend_current()->host_memory;
    void *copy = here ? NULL : malloc(tensor_bytes(tensor) + 1);
    if (!here && !copy) return error_int("TRACE=nan: out of memory");
    int64_t bad = here || tensor_read(tensor, copy) == 0 ? 0 : -1;
    for (int64_t i = bad == 0 ? tensor_numel(tensor) : 0; i-- > 0;) {
        if (isfinite(element(here ? tensor->data : copy, tensor->dtype, i))) continue;
        bad++;
        *first = i;
    }
    free(copy);
    return bad;
}

static bool is_readable(const Tensor *tensor) {
    return tensor && tensor != NONE && tensor->data && tensor_is_float(tensor) &&
           !backend_current()->shapes_only;
}

// What can be said of an input's values, once the result has been written.
static void describe_values(const Tensor *input, const Tensor *result, char *text, size_t room) {
    int64_t first = 0;
    if (input->data && input->data == result->data)
        snprintf(text, room, " (overwritten)");
    else if (is_readable(input))
        snprintf(text, room, " (%lld not finite)", (long long)count_bad(input, &first));
}

static int find_bad(OpKind kind, Tensor *const *fields, const Tensor *result, const char *what) {
    int64_t first = 0, bad = is_readable(result) ? count_bad(result, &first) : 0;
    if (bad <= 0) return (int)bad;
    char inputs[400] = "";
    for (int i = 0; i < op_inputs(kind); i++) {
        if (fields[i] == NONE) continue;
        size_t used = strlen(inputs);
        used += (size_t)snprintf(inputs + used, sizeof inputs - used, "%s%s", used ? ", " : "",
                                 tensor_text(fields[i]));
        if (used >= sizeof inputs) break;
        describe_values(fields[i], result, inputs + used, sizeof inputs - used);
    }
    return error_int("%s of %s: %lld of %lld values are not finite, the first at %lld; "
                     "inputs %s",
                     what, op_name(kind), (long long)bad, (long long)tensor_numel(result),
                     (long long)first, inputs);
}

static int check_finite(OpKind kind, const void *args, bool backward) {
    Tensor *const *fields = args;
    int inputs = op_inputs(kind);
    if (!backward) return find_bad(kind, fields, fields[inputs], "forward");
    for (int i = 0; i < inputs; i++) {
        char what[48];
        snprintf(what, sizeof what, "gradient of input %d", i);
        if (fields[i]->needs_grad && find_bad(kind, fields, fields[i]->grad, what) != 0) return -1;
    }
    return 0;
}

// ---- running ------------------------------------------------------------------------------------

static int run(OpKind kind, const void *args, bool backward) {
    Runner runner = backward ? backend_backward : backend_forward;
    pthread_once(&once, read_variable);
    if (!flags && !unknown[0]) return runner(backend_current(), kind, args);
    if (unknown[0])
        return error_int("TRACE: no word \"%s\"; there are: %s, %s", unknown, words[0], words[1]);
    double start = clock_seconds();
    int result = runner(backend_current(), kind, args);
    if (flags & TRACE_OP) count_call(kind, backward, clock_seconds() - start);
    if (result == 0 && flags & TRACE_NAN) result = check_finite(kind, args, backward);
    return result;
}

bool trace_nan(bool on) {
    pthread_once(&once, read_variable);
    bool was = flags & TRACE_NAN;
    flags = on ? flags | TRACE_NAN : flags & ~(unsigned)TRACE_NAN;
    return was;
}

int trace_forward(OpKind kind, const void *args) {
    return run(kind, args, false);
}

int trace_backward(OpKind kind, const void *args) {
    return run(kind, args, true);
}
