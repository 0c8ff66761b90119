// SPDX-License-Identifier: MIT
// Rank and size of the job, and what its processes tell each other. See job.h.
#include "base/job.h"

#include "base/error.h"
#include "base/job_private.h"
#include "base/memory.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MESSAGE = 4096, PART = 1 << 20, NUMBERS = 8 }; // PART: floats that are summed at a time

static JobPlace place = {.size = 1, .local_size = 1};
static bool begun, agreed;   // agreed: on an error
static double *table;        // [size, NUMBERS], what each process says
static float *given, *taken; // [PART + size]

int job_launched(void) {
    static const char *const sizes[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        const char *text = getenv(sizes[i]);
        if (text && atoi(text) > 0) return atoi(text);
    }
    return getenv("PMIX_RANK") ? 0 : 1;
}

int job_begin(void) {
    if (begun || job_launched() == 1) return 0;
    const int launched = job_launched();
    begun = job_mpi_begin(&place) == 0;
    if (begun && launched > 0 && place.size != launched)
        return error_int("the launcher has started %d processes, MPI knows %d: is the launcher of "
                         "another MPI than the program was built with?",
                         launched, place.size);
    if (!begun || place.size == 1) return begun ? 0 : -1;
    const size_t room = (size_t)place.size + PART;
    table = array_new((size_t)place.size, NUMBERS * sizeof *table);
    given = array_new(room, sizeof *given);
    taken = array_new(room, sizeof *taken);
    return table && given && taken ? 0 : -1;
}

void job_end(bool good) {
    if (!begun) return;
    fflush(NULL);
    if (!good && !agreed && place.size > 1) job_mpi_abort();
    job_mpi_end();
    begun = false;
    place = (JobPlace){.size = 1, .local_size = 1};
    free(table);
    free(given);
    free(taken);
    table = NULL;
    given = taken = NULL;
}

int job_rank(void) {
    return place.rank;
}

int job_size(void) {
    return place.size;
}

int job_local_rank(void) {
    return place.local_rank;
}

int job_local_size(void) {
    return place.local_size;
}

// ---- agreeing -----------------------------------------------------------------------------------

// The lowest rank whose flag is set; `size` for none.
static int first_with(bool flag) {
    const double mine = flag;
    int first = 0;
    job_mpi_gather(&mine, table, sizeof mine);
    while (first < place.size && table[first] == 0) first++;
    return first;
}

int job_agree(int result) {
    char message[MESSAGE] = "";
    if (place.size == 1) return result;
    const int failed = first_with(result < 0);
    if (failed == place.size) return result;
    const char *text = error_take();
    if (place.rank == failed) snprintf(message, sizeof message, "%s", text);
    job_mpi_share(message, sizeof message, failed);
    agreed = true;
    if (place.rank > 0) return -1;
    error_int("%s", message);
    return failed == 0 ? -1 : error_context("rank %d of %d", failed, place.size);
}

unsigned job_any(unsigned flags) {
    const double mine = flags;
    if (place.size == 1) return flags;
    job_mpi_gather(&mine, table, sizeof mine);
    for (int rank = 0; rank < place.size; rank++) flags |= (unsigned)table[rank];
    return flags;
}

void job_share(void *bytes, size_t size) {
    if (place.size > 1) job_mpi_share(bytes, size, 0);
}

int job_same(const char *what, const char *text) {
    char first[MESSAGE];
    if (place.size == 1) return 0;
    snprintf(first, sizeof first, "%s", text);
    job_share(first, sizeof first);
    const bool same = strncmp(first, text, sizeof first - 1) == 0;
    return job_agree(same ? 0
                          : error_int("%s differs from rank 0's: \"%.1500s\", there \"%.1500s\"",
                                      what, text, first));
}

// ---- sums ---------------------------------------------------------------------------------------

void job_total(double *numbers, size_t count) {
    for (size_t at = 0, n; place.size > 1 && at < count; at += n) {
        double mine[NUMBERS] = {0};
        n = count - at < NUMBERS ? count - at : NUMBERS;
        memcpy(mine, numbers + at, n * sizeof *mine);
        job_mpi_gather(mine, table, sizeof mine);
        for (size_t i = 0; i < n; i++) {
            numbers[at + i] = 0;
            for (int rank = 0; rank < place.size; rank++)
                numbers[at + i] += table[NUMBERS * rank + (int)i];
        }
    }
}

// The first `count` floats of given. Each process sums a part of them, which all then receive.
static void sum_given(size_t count) {
    const size_t size = (size_t)place.size, each = (count + size - 1) / size;
    job_mpi_exchange(given, taken, each * sizeof *given);
    for (size_t i = 0; i < each; i++) {
        double sum = 0;
        for (size_t rank = 0; rank < size; rank++) sum += (double)taken[rank * each + i];
        taken[i] = (float)sum;
    }
    job_mpi_gather(taken, given, each * sizeof *taken);
}

// A place in a list of spans.
typedef struct {
    size_t span, at;
} SpanPlace;

// Copies the next values of the spans to given, or back from there: as many as are left, at most
// PART. Returns how many, and moves the place behind them.
static size_t carry(const JobSpan *spans, size_t count, SpanPlace *from, bool back) {
    size_t done = 0;
    while (from->span < count && done < PART) {
        const JobSpan *span = &spans[from->span];
        size_t n = span->count - from->at;
        if (n > PART - done) n = PART - done;
        if (back)
            memcpy(span->values + from->at, given + done, n * sizeof *given);
        else
            memcpy(given + done, span->values + from->at, n * sizeof *given);
        done += n;
        from->at += n;
        if (from->at == span->count) *from = (SpanPlace){.span = from->span + 1};
    }
    return done;
}

void job_sum(const JobSpan *spans, size_t count) {
    SpanPlace there = {0}, back = {0};
    size_t n;
    while (place.size > 1 && (n = carry(spans, count, &there, false)) > 0) {
        sum_given(n);
        carry(spans, count, &back, true);
    }
}
