// SPDX-License-Identifier: MIT
// p2s bench tune --device cuda: the first plans that the libraries propose for the products,
// convolutions and attention of a training step, timed; the fastest of each become a table that
// P2S_PLAN_TABLE names.
#include "cli/bench.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cuda/cuda.h"

#include <string.h>

// A gain below this share is noise.
static const double GAIN = 0.03;

typedef struct {
    const BenchOptions *options;
    Text problem, table;
    int best;     // of the problem
    double least; // seconds that a better one must be below
    double bound; // differences from here on are not rounding
    int result;
} Tuning;

// Ends the row of the problem, and writes the rows so far: a tuning that is cut off has them.
static void settle(Tuning *tuning) {
    const char *path = tuning->options->out;
    if (tuning->problem.length == 0) return;
    text_add(&tuning->table, "%d %s\n", tuning->best, text_string(&tuning->problem));
    text_free(&tuning->problem);
    tuning->problem = (Text){0};
    if (tuning->table.failed ||
        (path && file_write(path, tuning->table.data, tuning->table.length) != 0))
        tuning->result = -1;
}

static void see(const PlanTried *tried, void *context) {
    Tuning *tuning = context;
    if (tried->number == 0) {
        settle(tuning);
        text_add(&tuning->problem, "%s", tried->problem);
        tuning->best = 0;
        tuning->least = (1 - GAIN) * tried->seconds;
    }
    const bool agrees = tried->difference < tuning->bound;
    if (agrees && tried->seconds < tuning->least) {
        tuning->least = tried->seconds;
        tuning->best = tried->number;
    }
    json_t *row = json_pack("{s:s,s:s,s:i,s:f,s:f,s:i}", "case", "plan", "problem", tried->problem,
                            "number", tried->number, "seconds", tried->seconds, "difference",
                            tried->difference, "agrees", (int)agrees);
    if (bench_say(tuning->options, row) != 0) tuning->result = -1;
}

int bench_plans(const BenchOptions *options) {
    // Results of bf16 differ by a rounding to 8 bits in most values, those of tf32 by sums of
    // products with 10 bits, those of f32 by the order of up to a million additions.
    const bool f32 = strcmp(options->type, "f32") == 0;
    Tuning tuning = {.options = options, .bound = f32 ? 1e-4 : 1e-2};
    text_add(&tuning.table, "# p2s bench tune, %s\n", backend_current()->kernels);
    cuda_watch_plans(see, &tuning);
    int result = bench_step_once(options);
    cuda_watch_plans(NULL, NULL);
    settle(&tuning);
    text_free(&tuning.problem);
    text_free(&tuning.table);
    return tuning.result != 0 ? -1 : result;
}
