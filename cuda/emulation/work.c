// SPDX-License-Identifier: MIT
// Recordings of the emulated device: lists of work. See work.h.
#include "cuda/emulation/work.h"

#include "base/error.h"
#include "cuda/runtime.h"

#include <stdlib.h>
#include <string.h>

typedef struct Kept Kept;
struct Kept {
    Kept *next;
    EmulateWork run;
    void *context;
    void (*destroy)(void *context);
};

typedef struct {
    Kept *first, **end;
} Recording;

static Recording *open_one;
static int faults[EMULATE_FAULTS];

bool emulate_records(void) {
    return open_one != NULL;
}

int emulate_keep(EmulateWork run, void *context, void (*destroy)(void *context)) {
    Kept *kept = malloc(sizeof *kept);
    if (!kept || !context) {
        if (context) destroy(context);
        free(kept);
        return error_int("emulation: out of memory for a recording");
    }
    *kept = (Kept){.run = run, .context = context, .destroy = destroy};
    *open_one->end = kept;
    open_one->end = &kept->next;
    return 0;
}

int emulate_work(EmulateWork run, void *context, size_t bytes) {
    if (!emulate_records()) return run(context);
    void *copy = malloc(bytes);
    if (copy) memcpy(copy, context, bytes);
    return emulate_keep(run, copy, free);
}

void emulate_fail(EmulateFault fault, int times) {
    faults[fault] = times;
}

int emulate_fault(EmulateFault fault) {
    if (faults[fault] == 0) return 0;
    faults[fault]--;
    return error_int("emulation: told to fail");
}

int device_record_begin(void) {
    if (open_one) return error_int("emulation: a recording is open already");
    open_one = calloc(1, sizeof *open_one);
    if (!open_one) return error_int("emulation: out of memory for a recording");
    open_one->end = &open_one->first;
    return 0;
}

void *device_record_end(void) {
    void *recording = open_one;
    open_one = NULL;
    if (emulate_fault(EMULATE_KEEP) == 0) return recording;
    device_record_free(recording);
    return NULL;
}

int device_replay(void *recording) {
    if (emulate_fault(EMULATE_REPLAY) != 0) return -1;
    for (const Kept *kept = ((Recording *)recording)->first; kept; kept = kept->next)
        if (kept->run(kept->context) != 0) return -1;
    return 0;
}

void device_record_free(void *recording) {
    Recording *list = recording;
    for (Kept *kept = list ? list->first : NULL, *next; kept; kept = next) {
        next = kept->next;
        kept->destroy(kept->context);
        free(kept);
    }
    free(list);
}
