// SPDX-License-Identifier: MIT
// Steps that the device records and repeats, on the emulated CUDA back end, whose recordings are
// lists of launches with their arguments. Promises: bit for bit the same numbers and weights as
// without recording; after warm-up a step takes no memory and waits for nothing; a number that is
// not finite stops the run as on the CPU, and changes no weight; what the device refuses is done
// plainly. A program without a framework, so that it also runs under TSan.
#include "cpu/cpu.h"
#include "cuda/cuda.h"
#include "cuda/emulation/work.h"
#include "cuda/plan_table.h"
#include "cuda/rounded.h"
#include "tests/emulated/runs.h"
#include "train/optimizer.h"

#include <unistd.h>

// Step 1 is watched, 2 does its work plainly, 3 records it; `after` begins with step 2.
enum { STEPS = 5, WARM = 2 };

static const Backend *cuda;
static Backend watched; // cuda's, with functions of ours in between
static BackendStats after[STEPS + 1];
static int fetches;
static double bad_number; // the update whose learning rate is made infinite; 0: none

// ---- in between ---------------------------------------------------------------------------------

// Called once a step, when all its work has been given to the device.
static int count_fetch(int slot, const void *from, size_t bytes) {
    if (fetches < STEPS) after[fetches++] = cuda->stats();
    return cuda->fetch_begin(slot, from, bytes);
}

static int spoil_rate(void *to, const void *host, size_t bytes) {
    StepGiven given;
    if (bytes != sizeof given) return cuda->write(to, host, bytes);
    memcpy(&given, host, sizeof given);
    if (bad_number > 0 && given.number == bad_number) given.lr = INFINITY;
    return cuda->write(to, &given, sizeof given);
}

static const Backend *watch(bool records) {
    watched = *cuda;
    watched.fetch_begin = count_fetch;
    watched.write = spoil_rate;
    if (!records) watched.record_begin = NULL;
    fetches = 0;
    bad_number = 0;
    return &watched;
}

static int fail(const char *name, const char *what) {
    printf("FAIL %s: %s\n", name, what);
    return -1;
}

// ---- the same bits ------------------------------------------------------------------------------

static bool same_file(const char *a, const char *b, const char *inside) {
    const char *runs[] = {a, b};
    char path[200], *bytes[2];
    size_t sizes[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s/checkpoints/latest/%s", folder, runs[i], inside);
        bytes[i] = file_read(path, (size_t)1 << 30, &sizes[i]);
    }
    bool same =
        bytes[0] && bytes[1] && sizes[0] == sizes[1] && memcmp(bytes[0], bytes[1], sizes[0]) == 0;
    free(bytes[0]);
    free(bytes[1]);
    return same;
}

static bool same_numbers(const char *a, const char *b) {
    static const char *const keys[] = {"loss", "lr", "grad_norm"};
    for (int step = 1; step <= STEPS; step++)
        for (size_t k = 0; k < sizeof keys / sizeof *keys; k++)
            if (!(run_number(a, keys[k], step) == run_number(b, keys[k], step))) return false;
    return true;
}

// What the steps after warm-up took of the device, by its counters.
static int check_counters(const char *name, int64_t replays) {
    const BackendStats *warm = &after[WARM - 1], *last = &after[fetches - 1];
    int64_t repeated = last->replays - warm->replays;
    if (fetches <= WARM) return fail(name, "no step went without the host");
    if (last->allocations != warm->allocations) return fail(name, "a warm step takes memory");
    if (last->waits != warm->waits) return fail(name, "a warm step waits for the device");
    if (repeated != replays * (fetches - WARM)) return fail(name, "not all work was replayed");
    return 0;
}

// `replays`: pieces of work of a step; 0: the counters are not looked at.
static int compare(const char *task, const char *name, const char *const *more, int64_t replays) {
    char recorded[64], plain[64];
    const char *part = strcmp(task, "gen2seg") == 0 ? "unet" : "controlnet";
    char weights[64];
    snprintf(recorded, sizeof recorded, "%s-recorded", name);
    snprintf(plain, sizeof plain, "%s-plain", name);
    snprintf(weights, sizeof weights, "%s/diffusion_pytorch_model.safetensors", part);
    int64_t before = cuda->stats().replays;
    if (run_train(watch(true), task, recorded, more) != 0) return -1;
    int64_t repeated = cuda->stats().replays - before;
    if (repeated == 0) return fail(name, "nothing was recorded");
    if (replays > 0 && check_counters(name, replays) != 0) return -1;
    if (run_train(watch(false), task, plain, more) != 0) return -1;
    if (!same_numbers(recorded, plain)) return fail(name, "the numbers differ");
    if (!same_file(recorded, plain, weights) ||
        !same_file(recorded, plain, "optimizer.safetensors"))
        return fail(name, "the weights or moments differ");
    printf("ok   %s: %d steps, %lld pieces of work replayed, the same bits\n", name, STEPS,
           (long long)repeated);
    return 0;
}

// ---- numbers that are not finite ----------------------------------------------------------------

static int check_message(const char *name, const char *const *words) {
    const char *message = error_take();
    for (; *words; words++)
        if (!message || !strstr(message, *words)) {
            printf("FAIL %s: no \"%s\" in \"%s\"\n", name, *words, message ? message : "");
            return -1;
        }
    return 0;
}

static int check_latest(const char *name, const char *expected) {
    char path[160], target[64] = "";
    snprintf(path, sizeof path, "%s/%s/checkpoints/latest", folder, name);
    if (readlink(path, target, sizeof target - 1) < 0) return fail(name, "no checkpoint is left");
    return strcmp(target, expected) == 0 ? 0 : fail(name, target);
}

// The learning rate of an update that is replayed becomes infinite: the step after it finds a loss
// that is no number, and says so as if it had been watched.
static int stop_in_a_replay(void) {
    const char *const more[] = {"train.batch=1", "train.steps=7", "train.checkpoint_every=2", NULL};
    const Backend *backend = watch(true);
    bad_number = 5;
    if (run_train(backend, "gen2seg", "stop", more) == 0) return fail("stop", "the run went on");
    if (check_message("stop", (const char *const[]){"step 6 (scenes-", "the loss is nan", NULL}))
        return -1;
    if (check_latest("stop", "step-4") != 0) return -1;
    printf("ok   stop: a number that is not finite ends a recorded run, and latest stays\n");
    return 0;
}

// A parameter of two numbers and its optimizer.
typedef struct {
    ParamSet set, *sets[1];
    Optimizer optimizer;
    Tensor *weight;
} Gate;

static const TrainConfig adamw_config = {.beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8};

static int gate_begin(Gate *gate) {
    *gate = (Gate){.sets = {&gate->set}};
    backend_use(cuda);
    int result = params_begin(&gate->set, "net", F32);
    if (result == 0 && !params_vector(&gate->set, "gate", 2, INIT_ONES, 1)) result = -1;
    if (result == 0) result = params_init(&gate->set, 1);
    params_train(&gate->set, "");
    if (result == 0) gate->weight = gate->set.items[0].tensor;
    return result == 0 ? optimizer_begin(&gate->optimizer, gate->sets, 1) : -1;
}

static void gate_done(Gate *gate) {
    optimizer_done(&gate->optimizer);
    params_done(&gate->set);
}

static int gate_slope(Gate *gate, const float *values) {
    gate->weight->has_grad = true;
    return tensor_grad_alloc(gate->weight) == 0 ? tensor_write(gate->weight->grad, values) : -1;
}

// Once a gradient was not finite no update changes anything until the flag is taken away.
static int no_update_after_stop(void) {
    TrainConfig config = adamw_config;
    const float bad[2] = {1, INFINITY}, good[2] = {1, 2};
    float values[3][2];
    StepFound found = {0};
    Gate gate;
    int result = gate_begin(&gate);
    config.clip = 1;
    for (int i = 0; result == 0 && i < 3; i++) {
        result = gate_slope(&gate, i == 0 ? bad : good);
        if (result == 0 && i == 2) result = tensor_fill(gate.optimizer.found, 0);
        if (result == 0) result = optimizer_give(&gate.optimizer, 0.5);
        if (result == 0) result = optimizer_launch(&gate.optimizer, &config);
        if (result == 0) result = tensor_read(gate.weight, values[i]);
    }
    if (result == 0) result = tensor_read(gate.optimizer.found, &found);
    gate_done(&gate);
    if (result != 0) return -1;
    if (values[0][0] != 1 || values[1][0] != 1) return fail("flag", "weights were changed");
    if (values[2][0] == 1 || found.square != 5) return fail("flag", "the next good step is lost");
    printf("ok   flag: no update while a number is not finite\n");
    return 0;
}

// ---- values -------------------------------------------------------------------------------------

static int fills(void) {
    static const Dtype types[] = {F32, BF16};
    float values[301];
    backend_use(cuda);
    for (int i = 0; i < 2; i++) {
        Tensor *tensor = tensor_new(SHAPE(types[i], 301));
        int result = tensor ? tensor_fill(tensor, -2.5) : -1;
        if (result == 0) result = tensor_read_float(tensor, values);
        tensor_free(tensor);
        if (result != 0) return -1;
        for (int k = 0; k < 301; k++)
            if (values[k] != -2.5f) return fail("fill", dtype_name(types[i]));
    }
    printf("ok   fill: every element, in both types\n");
    return 0;
}

// ---- bf16 copies of weights ---------------------------------------------------------------------

static bool follows(const Tensor *weight) {
    float values[2];
    uint16_t copy[2];
    if (tensor_read(weight, values) != 0) return false;
    if (cuda->read(copy, rounded_find(weight->data), sizeof copy) != 0) return false;
    return copy[0] == float_to_bf16(values[0]) && copy[1] == float_to_bf16(values[1]);
}

static int copies_follow(void) {
    const float slope[2] = {1, -2}, values[2] = {0.3f, 7};
    Gate gate;
    int result = gate_begin(&gate), bad = 0;
    Tensor *weight = gate.weight;
    if (result == 0 && !rounded_values(weight)) result = -1;
    if (result == 0) result = gate_slope(&gate, slope);
    if (result == 0) result = optimizer_give(&gate.optimizer, 0.25);
    if (result == 0) result = optimizer_launch(&gate.optimizer, &adamw_config);
    if (result == 0) bad += !follows(weight);
    if (result == 0) result = tensor_write(weight, values);
    if (result == 0) bad += !follows(weight);
    if (result == 0) result = tensor_fill(weight, 5);
    if (result == 0) bad += !follows(weight);
    if (result == 0) result = tensor_copy(weight, weight->grad);
    if (result == 0) bad += !follows(weight);
    const void *memory = weight ? weight->data : NULL;
    gate_done(&gate);
    if (result != 0) return -1;
    if (bad > 0) return fail("copies", "one was not renewed");
    if (rounded_find(memory)) return fail("copies", "one stayed when its weight went");
    printf("ok   copies: in bf16, they follow their weights\n");
    return 0;
}

// ---- what goes wrong ----------------------------------------------------------------------------

// What train/step.c does with work that repeats: here to += one.
static int turn(const RecordKey *key, Tensor *to, const Tensor *one) {
    RecordState state = cuda->record_begin(key);
    if (state == RECORD_REPLAYED || state == RECORD_FAILED) return state == RECORD_FAILED ? -1 : 0;
    int result = cuda->add_to(to, one);
    if (state == RECORD_PLAIN) return result;
    result = cuda->record_end(result == 0);
    return result > 0 ? cuda->add_to(to, one) : result;
}

// Five turns, of which the second records, while the device fails `times` at a fault: all are done,
// and so many of them by replays.
static int turns_with(EmulateFault fault, int times, int64_t expected) {
    const RecordKey key = {{99}};
    int64_t before = cuda->stats().replays;
    float sum = 0;
    backend_use(cuda);
    Tensor *to = tensor_zeros(SHAPE(F32, 1)), *one = tensor_zeros(SHAPE(F32, 1));
    int result = to && one ? tensor_fill(one, 1) : -1;
    emulate_fail(fault, times);
    for (int i = 0; result == 0 && i < 5; i++) result = turn(&key, to, one);
    emulate_fail(fault, 0);
    if (result == 0) result = tensor_read(to, &sum);
    cuda->record_forget();
    tensor_free(to);
    tensor_free(one);
    if (result != 0) return -1;
    if (sum != 5) return fail("refused", "work was lost or done twice");
    return cuda->stats().replays - before == expected ? 0 : fail("refused", "other replays");
}

static int goes_on_plainly(void) {
    static const EmulateFault faults[] = {EMULATE_KEEP, EMULATE_REPLAY};
    for (int i = 0; i < 2; i++)
        if (turns_with(faults[i], 1, 3) != 0 || turns_with(faults[i], 2, 0) != 0) return -1;
    printf("ok   refused: a device that cannot keep or replay a recording works plainly\n");
    return 0;
}

// An upload that fails leaves no list behind that passes for the device's.
static int list_is_sent_again(void) {
    const float slope[2] = {3, 4};
    float values[2] = {1, 1};
    StepFound found = {0};
    int failures = 0;
    Gate gate;
    int result = gate_begin(&gate);
    if (result == 0) result = gate_slope(&gate, slope);
    if (result == 0) result = optimizer_give(&gate.optimizer, 0.5);
    for (int i = 0; result == 0 && i < 2; i++) { // the norm's list, then the update's
        emulate_fail(EMULATE_UPLOAD, 1);
        failures += optimizer_launch(&gate.optimizer, &adamw_config) != 0;
        emulate_fail(EMULATE_UPLOAD, 0);
        error_take();
    }
    if (result == 0) result = optimizer_launch(&gate.optimizer, &adamw_config);
    if (result == 0) result = tensor_read(gate.weight, values);
    if (result == 0) result = tensor_read(gate.optimizer.found, &found);
    gate_done(&gate);
    if (result != 0) return -1;
    if (failures != 2) return fail("list", "a failed upload was not noticed");
    if (found.square != 25 || values[0] == 1) return fail("list", "it was not sent again");
    printf("ok   list: of tensors, sent again after a failure\n");
    return 0;
}

// Recorded work names the list of its optimizer, which another one replaces.
static int list_is_not_named_longer(void) {
    const RecordKey key = {{98}};
    const float slope[2] = {1, 1};
    RecordState states[3] = {RECORD_FAILED, RECORD_FAILED, RECORD_FAILED};
    Gate first, second;
    int result = gate_begin(&first) | gate_begin(&second);
    if (result == 0) result = gate_slope(&first, slope) | gate_slope(&second, slope);
    if (result == 0)
        result = optimizer_give(&first.optimizer, 0.5) | optimizer_give(&second.optimizer, 0.5);
    if (result == 0) result = optimizer_launch(&first.optimizer, &adamw_config);
    for (int i = 0; result == 0 && i < 3; i++) {
        states[i] = cuda->record_begin(&key);
        if (i < 2) result = optimizer_launch(&first.optimizer, &adamw_config);
        if (result == 0 && states[i] == RECORD_OPEN) result = cuda->record_end(true);
        if (result == 0 && i == 1) result = optimizer_launch(&second.optimizer, &adamw_config);
    }
    cuda->record_forget();
    gate_done(&first);
    gate_done(&second);
    if (result != 0) return -1;
    if (states[1] != RECORD_OPEN) return fail("list", "an update was not recorded");
    if (states[2] != RECORD_PLAIN) return fail("list", "a replay reads a list that is gone");
    printf("ok   list: recorded work goes with the list that it names\n");
    return 0;
}

// A run goes on only with what it began with (train/checkpoint.c).
static int kernels_are_named(void) {
    char path[160], before[600];
    snprintf(path, sizeof path, "%s/plans", folder);
    snprintf(before, sizeof before, "%s", cuda->kernels ? cuda->kernels : "");
    FILE *file = fopen(path, "w");
    if (!file) return fail("kernels", "no file");
    fputs("1 convolve\n", file);
    fclose(file);
    if (plan_table_read(path) != 0) return -1;
    const char *other = cuda_backend(cpu_backend())->kernels;
    bool differ = before[0] && strcmp(before, other) != 0;
    file = fopen(path, "w"); // the empty table
    if (file) fclose(file);
    if (plan_table_read(path) != 0 || !cuda_backend(cpu_backend())) return -1;
    if (!differ) return fail("kernels", "another table of plans is not told apart");
    printf("ok   kernels: %s\n", cuda->kernels);
    return 0;
}

// ---- all ----------------------------------------------------------------------------------------

// The sanitizers, under which all is slow, see the case that does the most.
#ifdef P2S_SANITIZED
enum { SLOW = 1 };
#else
enum { SLOW = 0 };
#endif

static int check_all(void) {
#define SETTINGS "train.batch=1", "train.steps=5", "train.schedule=cosine"
    static const char *const once[] = {SETTINGS, NULL};
    static const char *const parts[] = {SETTINGS, "train.accumulate=2", NULL};
    static const char *const mixed[] = {
        SETTINGS,
        "train.accumulate=2",
        "train.precision=bf16",
        "train.sample_every=4",
        "train.checkpoint_every=3",
        "data.sets=scenes:count=4:height=16:width=16,scenes:count=4:height=16:width=24",
        NULL};
    if (fills() != 0 || no_update_after_stop() != 0 || copies_follow() != 0 ||
        goes_on_plainly() != 0 || list_is_sent_again() != 0 || list_is_not_named_longer() != 0 ||
        kernels_are_named() != 0)
        return -1;
    if (compare("prompt2seg", "prompt2seg-parts", parts, 3) != 0) return -1;
    if (SLOW) return 0;
    if (compare("prompt2seg", "prompt2seg", once, 2) != 0 ||
        compare("gen2seg", "gen2seg", once, 2) != 0 ||
        compare("gen2seg", "gen2seg-parts", parts, 3) != 0 ||
        compare("gen2seg", "gen2seg-mixed", mixed, 0) != 0)
        return -1;
    return stop_in_a_replay();
}

int main(void) {
    if (!run_folder_begin()) return 1;
    cpu_set_threads(1);
    cuda = cuda_backend(cpu_backend());
    int result = cuda && check_all() == 0 ? 0 : 1;
    if (error_is_set()) fprintf(stderr, "emulated record: %s\n", error_take());
    folder_remove(folder);
    return result;
}
