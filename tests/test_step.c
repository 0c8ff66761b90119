// SPDX-License-Identifier: MIT
// The memory of a step: gradients and activations take turns where nothing is recorded, and the
// plan that is printed before a run is what the steps then hold.
#include "tests/train_runs.h"

#include "autograd/tape.h"
#include "train/plan.h"
#include "train/step.h"

TestSuite(step, .init = begin, .fini = end, .timeout = 240);

enum { SIDE = 16 };

typedef struct {
    TrainConfig config;
    TaskContext context;
    Optimizer optimizer;
    Step step;
    Batch *host;
} Bench;

static void bench_begin(Bench *bench, const char *const *settings) {
    *bench = (Bench){0};
    configure(&bench->config, "run", settings);
    ModelOptions options = task_model_options(&bench->config);
    bench->context =
        (TaskContext){.config = &bench->config, .model = model_init("miniature", &options)};
    cr_assert_not_null(bench->context.model, "%s", error_message());
    ParamSet *sets[TASK_SETS];
    int count = task_sets(bench->context.model, sets);
    cr_assert_eq(optimizer_begin(&bench->optimizer, sets, count), 0, "%s", error_message());
    step_begin(&bench->step, task_find(&bench->config), &bench->context, &bench->optimizer);
    bench->host = batch_new((int)bench->config.batch, SIDE, SIDE);
    cr_assert_not_null(bench->host);
    for (int64_t i = 0; i < bench->config.batch * SIDE * SIDE; i++)
        bench->host->labels[i] = (int32_t)(i / SIDE % SIDE / (SIDE / 3 + 1));
    for (int64_t b = 0; b < bench->config.batch; b++) bench->host->instances[b] = 2;
}

static void bench_end(Bench *bench) {
    step_done(&bench->step);
    batch_free(bench->host);
    optimizer_done(&bench->optimizer);
    model_free(bench->context.model);
    config_free(&train_table, &bench->config);
}

static void one_step(Bench *bench) {
    const int64_t parts = bench->config.accumulate;
    DeviceBatch *batch = step_batch(&bench->step, bench->host);
    cr_assert_not_null(batch, "%s", error_message());
    cr_assert_eq(optimizer_give(&bench->optimizer, 1e-4), 0);
    for (int64_t part = 0; part < parts; part++)
        cr_assert_eq(step_micro(&bench->step, batch, part, parts), 0, "%s", error_message());
    for (int64_t i = 0; i < bench->optimizer.count; i++)
        cr_assert_not_null(bench->optimizer.params[i]->grad);
    cr_assert_eq(step_update(&bench->step), 0, "%s", error_message());
    bench->optimizer.step++;
}

static const char *const alone[] = {"train.batch=1", "data.height=16", "data.width=16", NULL};

static RecordState not_recorded(const RecordKey *key) {
    (void)key;
    return RECORD_PLAIN;
}

Test(step, gradients_go_with_the_update_and_stay_where_work_is_recorded) {
    for (int recorded = 0; recorded < 2; recorded++) {
        Backend backend = *cpu_backend();
        if (recorded) backend.record_begin = not_recorded;
        backend_use(&backend);
        Bench bench;
        bench_begin(&bench, alone);
        const size_t before = backend.stats().live;
        for (int i = recorded; i < 2; i++) one_step(&bench);
        for (int64_t i = 0; i < bench.optimizer.count; i++)
            cr_expect_eq(bench.optimizer.params[i]->grad != NULL, recorded, "%s",
                         bench.optimizer.names[i]);
        const size_t gained = backend.stats().live - before;
        cr_expect_eq(gained > (1 << 20), recorded, "%zu bytes", gained);
        bench_end(&bench);
    }
}

// The kernels that are definitions need no memory beside their tensors'.
Test(step, holds_what_its_plan_said) {
    const char *const parts[] = {"train.batch=1", "data.height=16", "data.width=16",
                                 "train.accumulate=2", NULL};
    const char *const *const settings[] = {alone, parts};
    size_t peaks[2];
    backend_use(cpu_reference_backend());
    for (int i = 0; i < 2; i++) {
        Bench bench;
        TrainPlan plan;
        bench_begin(&bench, settings[i]);
        cr_assert_eq(train_plan(&bench.config, "miniature", START_RANDOM, &plan), 0, "%s",
                     error_message());
        for (int step = i; step < 2; step++) { // two passes each
            backend_current()->reset_stats();
            one_step(&bench);
        }
        const size_t peak = backend_current()->stats().peak;
        cr_expect_eq(peak, plan.peak, "%zu bytes, planned %zu", peak, plan.peak);
        peaks[i] = plan.peak;
        bench_end(&bench);
    }
    cr_expect_lt(peaks[0], peaks[1]);
}
