// SPDX-License-Identifier: MIT
// p2s bench tune --device cuda: every plan that the libraries propose for the products,
// convolutions and attention of a training step, timed; the fastest of each become a table that
// P2S_PLAN_TABLE names.
#include "cli/bench.h"

#include "autograd/backend.h"
#include "base/error.h"
#include "base/file.h"
#include "base/text.h"
#include "cuda/cuda.h"

#include <math.h>
#include <string.h>

typedef struct {
    const BenchOptions *options;
    Text names, table;
    int best;            // of the last problem
    double least, bound; // its seconds; differences from here on are not rounding
    int result;
} Tuning;

// Ends the row of the last problem.
static void settle(Tuning *tuning) {
    if (tuning->names.length > 0)
        text_add(&tuning->table, "%d %s\n", tuning->best, text_string(&tuning->names));
    text_free(&tuning->names);
    tuning->names = (Text){0};
    tuning->best = 0;
    tuning->least = INFINITY;
}

static void see(const PlanTried *tried, void *context) {
    Tuning *tuning = context;
    if (tried->number == 0) {
        settle(tuning);
        text_add(&tuning->names, "%s", tried->problem);
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
    settle(&tuning);
    text_add(&tuning.table, "# p2s bench tune, %s\n", backend_current()->kernels);
    cuda_watch_plans(see, &tuning);
    int result = bench_step_once(options);
    cuda_watch_plans(NULL, NULL);
    settle(&tuning);
    if (tuning.result != 0 || tuning.table.failed) result = -1;
    if (result == 0 && options->out)
        result = file_write(options->out, tuning.table.data, tuning.table.length);
    text_free(&tuning.names);
    text_free(&tuning.table);
    return result;
}
