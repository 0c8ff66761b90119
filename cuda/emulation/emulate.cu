// SPDX-License-Identifier: MIT
// The scheduler of emulated threads. See emulate.cuh. This file is compiled without TSan's
// instrumentation: what it does between fibers is not the kernel's doing.
#include "cuda/emulation/emulate.cuh"

#include "base/error.h"

#include <stdio.h>
#include <stdlib.h>

#if defined(__SANITIZE_ADDRESS__)
#define EMULATE_ASAN
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define EMULATE_ASAN
#endif
#endif
#ifdef EMULATE_ASAN
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef P2S_EMULATE_TSAN
#include <sanitizer/tsan_interface.h>
extern "C" void __tsan_acquire(void *address);
extern "C" void __tsan_release(void *address);
extern "C" void AnnotateIgnoreWritesBegin(const char *file, int line);
extern "C" void AnnotateIgnoreWritesEnd(const char *file, int line);
#endif

enum { LANES = 32, MOST_THREADS = 1024, MOST_SHARED = 32, STACK_BYTES = 1 << 18 };

thread_local dim3 emulate_thread, emulate_block, emulate_block_size, emulate_grid_size;

// ---- switching stacks ---------------------------------------------------------------------------

#if defined(__x86_64__) && !defined(P2S_EMULATE_UCONTEXT)
typedef void *Place; // a stack pointer; the callee-saved registers lie above it
extern "C" void emulate_switch(Place *from, Place to);
asm(".text\n.globl emulate_switch\n.hidden emulate_switch\n.type emulate_switch,@function\n"
    "emulate_switch:\n"
    "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
    "mov %rsp,(%rdi)\nmov %rsi,%rsp\n"
    "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n"
    ".size emulate_switch,.-emulate_switch\n");

static void make_place(Place *place, char *stack, void (*entry)(void)) {
    void **top = (void **)(stack + STACK_BYTES - 64); // 16-aligned
    *--top = NULL;                                    // a return address for entry: none
    *--top = (void *)entry;
    for (int i = 0; i < 6; i++) *--top = NULL;
    *place = top;
}
static void switch_place(Place *from, Place *to) {
    emulate_switch(from, *to);
}
#else
#include <ucontext.h>
typedef ucontext_t Place;

static void make_place(Place *place, char *stack, void (*entry)(void)) {
    getcontext(place);
    place->uc_stack.ss_sp = stack;
    place->uc_stack.ss_size = STACK_BYTES;
    place->uc_link = NULL;
    makecontext(place, entry, 0);
}
static void switch_place(Place *from, Place *to) {
    swapcontext(from, to);
}
#endif

// ---- state --------------------------------------------------------------------------------------

typedef enum { READY, AT_BARRIER, IN_WARP, DONE } State;

typedef struct {
    Place place;
    char *stack;
    State state;
    const char *file; // where it waits
    int line, flip;
    unsigned mask;
    uint64_t value;
    dim3 index;
    void *asan, *tsan;
} Fiber;

typedef struct {
    const void *site;
    void *memory;
} SharedBlock;

// One launch at a time per thread of the host.
typedef struct {
    Fiber fibers[MOST_THREADS];
    int made, count, running;
    Place scheduler;
    void *scheduler_tsan, *scheduler_asan;
    const void *scheduler_stack;
    size_t scheduler_stack_bytes;
    SharedBlock shared[MOST_SHARED];
    int shared_count;
    const char *kernel;
    EmulateBody body;
    void *context;
    char barrier_sync[2], warp_sync[MOST_THREADS / LANES][2], begin_sync, end_sync;
    unsigned barriers, exchanges[MOST_THREADS / LANES];
} Machine;

static thread_local Machine *machine;

static void stop(const Fiber *fiber, const char *what) {
    fprintf(stderr, "emulation: kernel %s, block (%u,%u,%u), thread (%u,%u,%u): %s",
            machine->kernel, emulate_block.x, emulate_block.y, emulate_block.z, fiber->index.x,
            fiber->index.y, fiber->index.z, what);
    if (fiber->file) fprintf(stderr, " (at %s:%d)", fiber->file, fiber->line);
    fprintf(stderr, "\n");
    abort(); // the other fibers stand in the middle of the kernel
}

static void acquire(void *address) {
#ifdef P2S_EMULATE_TSAN
    __tsan_acquire(address);
#endif
    (void)address;
}

static void release(void *address) {
#ifdef P2S_EMULATE_TSAN
    __tsan_release(address);
#endif
    (void)address;
}

// ---- fibers -------------------------------------------------------------------------------------

static void to_scheduler(Fiber *self) {
#ifdef EMULATE_ASAN
    __sanitizer_start_switch_fiber(&self->asan, machine->scheduler_stack,
                                   machine->scheduler_stack_bytes);
#endif
#ifdef P2S_EMULATE_TSAN
    __tsan_switch_to_fiber(machine->scheduler_tsan, __tsan_switch_to_fiber_no_sync);
#endif
    switch_place(&self->place, &machine->scheduler);
#ifdef EMULATE_ASAN
    __sanitizer_finish_switch_fiber(self->asan, &machine->scheduler_stack,
                                    &machine->scheduler_stack_bytes);
#endif
}

static void resume(int index) {
    Fiber *fiber = &machine->fibers[index];
    machine->running = index;
    emulate_thread = fiber->index;
#ifdef EMULATE_ASAN
    __sanitizer_start_switch_fiber(&machine->scheduler_asan, fiber->stack, STACK_BYTES);
#endif
#ifdef P2S_EMULATE_TSAN
    __tsan_switch_to_fiber(fiber->tsan, __tsan_switch_to_fiber_no_sync);
#endif
    switch_place(&machine->scheduler, &fiber->place);
#ifdef EMULATE_ASAN
    __sanitizer_finish_switch_fiber(machine->scheduler_asan, NULL, NULL);
#endif
}

// A fiber runs one CUDA thread after another, for ever.
static void fiber_main(void) {
    Fiber *self = &machine->fibers[machine->running];
#ifdef EMULATE_ASAN
    __sanitizer_finish_switch_fiber(NULL, &machine->scheduler_stack,
                                    &machine->scheduler_stack_bytes);
#endif
    for (;;) {
        acquire(&machine->begin_sync);
        machine->body(machine->context);
        release(&machine->end_sync);
        self->state = DONE;
        to_scheduler(self);
    }
}

static void make_fibers(int count) {
    for (; machine->made < count; machine->made++) {
        Fiber *fiber = &machine->fibers[machine->made];
        fiber->stack = (char *)malloc(STACK_BYTES);
        if (!fiber->stack) stop(fiber, "no memory for its stack");
        make_place(&fiber->place, fiber->stack, fiber_main);
#ifdef P2S_EMULATE_TSAN
        fiber->tsan = __tsan_create_fiber(0);
#endif
    }
}

static Fiber *current(void) {
    return &machine->fibers[machine->running];
}

void emulate_barrier(const char *file, int line) {
    Fiber *self = current();
    unsigned turn = machine->barriers % 2;
    release(&machine->barrier_sync[turn]);
    self->state = AT_BARRIER;
    self->file = file;
    self->line = line;
    to_scheduler(self);
    acquire(&machine->barrier_sync[turn]);
}

uint64_t emulate_exchange(unsigned mask, uint64_t value, int flip, const char *file, int line) {
    Fiber *self = current();
    int index = machine->running, warp = index / LANES;
    unsigned turn = machine->exchanges[warp] % 2;
    release(&machine->warp_sync[warp][turn]);
    self->state = IN_WARP;
    self->file = file;
    self->line = line;
    self->mask = mask;
    self->value = value;
    self->flip = flip;
    to_scheduler(self);
    acquire(&machine->warp_sync[warp][turn]);
    return self->value;
}

// ---- shared memory ------------------------------------------------------------------------------

// TSan must not take the filling for a write of the thread that comes first: neither allocation nor
// memset may be seen.
static void *filled(size_t bytes) {
#ifdef P2S_EMULATE_TSAN
    AnnotateIgnoreWritesBegin(__FILE__, __LINE__);
#endif
    volatile unsigned char *memory = (volatile unsigned char *)malloc(bytes);
    for (size_t i = 0; memory && i < bytes; i++) memory[i] = 0xff;
#ifdef P2S_EMULATE_TSAN
    AnnotateIgnoreWritesEnd(__FILE__, __LINE__);
#endif
    return (void *)memory;
}

void *emulate_shared(const void *site, size_t bytes) {
    for (int i = 0; i < machine->shared_count; i++)
        if (machine->shared[i].site == site) return machine->shared[i].memory;
    if (machine->shared_count == MOST_SHARED) stop(current(), "too many shared arrays");
    void *memory = filled(bytes);
    if (!memory) stop(current(), "no memory for a shared array");
    machine->shared[machine->shared_count++] = {site, memory};
    return memory;
}

static void drop_shared(void) {
    for (int i = 0; i < machine->shared_count; i++) free(machine->shared[i].memory);
    machine->shared_count = 0;
}

// ---- scheduling ---------------------------------------------------------------------------------

static void wake_warp(int warp) {
    uint64_t values[LANES];
    int first = warp * LANES, count = machine->count - first;
    if (count > LANES) count = LANES;
    Fiber *lanes = &machine->fibers[first];
    for (int i = 0; i < count; i++) {
        values[i] = lanes[i].value;
        if (lanes[i].line != lanes[0].line || lanes[i].mask != lanes[0].mask)
            stop(&lanes[i], "its warp waits elsewhere or with another mask");
        if ((lanes[i].mask & ~(count == LANES ? ~0u : (1u << count) - 1)) != 0 ||
            !(lanes[i].mask >> i & 1))
            stop(&lanes[i], "the mask of a shuffle does not name the lanes that take part");
    }
    machine->exchanges[warp]++;
    for (int i = 0; i < count; i++) {
        int from = i ^ lanes[i].flip;
        lanes[i].value = from < count ? values[from] : values[i];
        lanes[i].state = READY;
    }
}

static int count_in(State state, int first, int last) {
    int found = 0;
    for (int i = first; i < last; i++) found += machine->fibers[i].state == state;
    return found;
}

static bool wake_warps(void) {
    bool any = false;
    for (int first = 0; first < machine->count; first += LANES) {
        int last = first + LANES < machine->count ? first + LANES : machine->count;
        if (count_in(IN_WARP, first, last) < last - first) continue;
        wake_warp(first / LANES);
        any = true;
    }
    return any;
}

static const Fiber *first_in(State state) {
    for (int i = 0; i < machine->count; i++)
        if (machine->fibers[i].state == state) return &machine->fibers[i];
    return &machine->fibers[0];
}

static void wake_barrier(void) {
    const Fiber *first = first_in(AT_BARRIER);
    for (int i = 0; i < machine->count; i++) {
        Fiber *fiber = &machine->fibers[i];
        if (fiber->file != first->file || fiber->line != first->line)
            stop(fiber, "waits at another barrier than the rest of its block");
        fiber->state = READY;
    }
    machine->barriers++;
}

// Runs what is ready; then frees who waits for each other, or says who waits for ever.
static void run_block(void) {
    for (;;) {
        for (int i = 0; i < machine->count; i++)
            if (machine->fibers[i].state == READY) resume(i);
        if (count_in(READY, 0, machine->count) > 0 || wake_warps()) continue;
        if (count_in(DONE, 0, machine->count) == machine->count) return;
        if (count_in(AT_BARRIER, 0, machine->count) == machine->count)
            wake_barrier();
        else if (count_in(DONE, 0, machine->count) > 0 && count_in(AT_BARRIER, 0, machine->count))
            stop(first_in(DONE), "has left while others wait at a barrier");
        else
            stop(first_in(IN_WARP), "waits for lanes that never come");
    }
}

static void start_block(dim3 size) {
    int i = 0;
    for (unsigned z = 0; z < size.z; z++)
        for (unsigned y = 0; y < size.y; y++)
            for (unsigned x = 0; x < size.x; x++, i++) {
                machine->fibers[i].state = READY;
                machine->fibers[i].file = NULL;
                machine->fibers[i].index = dim3(x, y, z);
            }
    release(&machine->begin_sync);
}

int emulate_launch(const char *kernel, dim3 grid, dim3 block, EmulateBody body, void *context) {
    uint64_t threads = (uint64_t)block.x * block.y * block.z;
    if (threads == 0 || threads > MOST_THREADS || grid.x == 0 || grid.y == 0 || grid.z == 0 ||
        grid.x > 2147483647u || grid.y > 65535 || grid.z > 65535)
        return error_int("launch of %s: invalid grid (%u,%u,%u) of blocks (%u,%u,%u)", kernel,
                         grid.x, grid.y, grid.z, block.x, block.y, block.z);
    if (!machine) machine = (Machine *)calloc(1, sizeof *machine);
    if (!machine) return error_int("launch of %s: out of memory", kernel);
#ifdef P2S_EMULATE_TSAN
    machine->scheduler_tsan = __tsan_get_current_fiber();
#endif
    machine->kernel = kernel;
    machine->body = body;
    machine->context = context;
    machine->count = (int)threads;
    emulate_block_size = block;
    emulate_grid_size = grid;
    make_fibers(machine->count);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                emulate_block = dim3(x, y, z);
                start_block(block);
                run_block();
                acquire(&machine->end_sync);
                drop_shared();
            }
    return 0;
}
