// SPDX-License-Identifier: MIT
// The scheduler of emulated threads. See emulate.cuh. This file is compiled without TSan's
// instrumentation: what it does between fibers is not the kernel's doing.
#include "cuda/emulation/emulate.cuh"

#include "base/error.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

enum { LANES = 32, MOST_THREADS = 1024, MOST_WARPS = MOST_THREADS / LANES, MOST_SHARED = 32 };
// Stacks begin at different offsets in their pages, which the processor's caches tell apart.
enum { STACK_BYTES = 1 << 18, STACK_SHIFT = 64 * 5, STACK_SHIFTS = 1 << 12 };

__thread EmulateIndex emulate_thread, emulate_block, emulate_block_size, emulate_grid_size;

// ---- switching stacks ---------------------------------------------------------------------------

#if defined(__x86_64__) && !defined(P2S_EMULATE_UCONTEXT)
typedef struct {
    void *stack, *frame, *next; // what rsp, rbp and rip become
} Place;

static void make_place(Place *place, char *stack, size_t bytes, void (*entry)(void)) {
    void **top = (void **)(stack + bytes - 64); // 16-aligned
    *--top = NULL;                              // a return address for entry: none
    *place = {top, NULL, (void *)entry};
}

// In line and by jumps: a call that returns elsewhere is a misprediction for the processor, twice.
static inline __attribute__((always_inline)) void switch_place(Place *from, Place *to) {
    asm volatile("mov %%rsp,(%0)\n mov %%rbp,8(%0)\n lea 1f(%%rip),%%rax\n mov %%rax,16(%0)\n"
                 "mov (%1),%%rsp\n mov 8(%1),%%rbp\n jmp *16(%1)\n 1:\n"
                 : "+D"(from), "+S"(to)
                 :
                 : "rax", "rbx", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15",
                   "xmm0", "xmm1", "xmm2", "xmm3", "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9",
                   "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15", "cc", "memory");
}
#else
#include <ucontext.h>
typedef ucontext_t Place;

static void make_place(Place *place, char *stack, size_t bytes, void (*entry)(void)) {
    getcontext(place);
    place->uc_stack.ss_sp = stack;
    place->uc_stack.ss_size = bytes;
    place->uc_link = NULL;
    makecontext(place, entry, 0);
}
static void switch_place(Place *from, Place *to) {
    swapcontext(from, to);
}
#endif

// ---- state --------------------------------------------------------------------------------------

typedef enum { READY, AT_BARRIER, IN_WARP, DONE, STATES } State;

typedef struct {
    Place place;
    char *stack;
    const char *file; // where it waits
    int line, flip;
    unsigned mask;
    uint64_t value;
    EmulateIndex index;
    void *asan, *tsan;
} Fiber;

typedef struct {
    const void *site;
    void *memory;
} SharedBlock;

// One launch at a time per thread of the host.
typedef struct {
    Fiber fibers[MOST_THREADS];
    unsigned char states[MOST_THREADS];
    int in[STATES], waiting[MOST_WARPS]; // fibers in a state; of a warp, for each other
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
    char barrier_sync[2], warp_sync[MOST_WARPS][2], begin_sync, end_sync;
    unsigned barriers, exchanges[MOST_WARPS];
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

static void set_state(int index, State state) {
    machine->in[machine->states[index]]--;
    machine->states[index] = (unsigned char)state;
    machine->in[state]++;
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
        set_state(machine->running, DONE);
        to_scheduler(self);
    }
}

static void make_fibers(int count) {
    for (; machine->made < count; machine->made++) {
        Fiber *fiber = &machine->fibers[machine->made];
        fiber->stack = (char *)malloc(STACK_BYTES);
        if (!fiber->stack) stop(fiber, "no memory for its stack");
        make_place(&fiber->place, fiber->stack,
                   STACK_BYTES - (size_t)machine->made * STACK_SHIFT % STACK_SHIFTS, fiber_main);
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
    set_state(machine->running, AT_BARRIER);
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
    set_state(index, IN_WARP);
    machine->waiting[warp]++;
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

static void wake_warp(int warp, int count) {
    uint64_t values[LANES];
    int first = warp * LANES;
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
    machine->waiting[warp] = 0;
    for (int i = 0; i < count; i++) {
        int from = i ^ lanes[i].flip;
        lanes[i].value = from < count ? values[from] : values[i];
        set_state(first + i, READY);
    }
}

// Until each lane has ended, is at a barrier or waits for one that is.
static void run_warp(int warp) {
    int first = warp * LANES, count = machine->count - first;
    if (count > LANES) count = LANES;
    for (;;) {
        for (int i = first; i < first + count; i++)
            if (machine->states[i] == READY) resume(i);
        if (machine->waiting[warp] < count) return;
        wake_warp(warp, count);
    }
}

static const Fiber *first_in(State state) {
    for (int i = 0; i < machine->count; i++)
        if (machine->states[i] == state) return &machine->fibers[i];
    return &machine->fibers[0];
}

static void wake_barrier(void) {
    const Fiber *first = first_in(AT_BARRIER);
    for (int i = 0; i < machine->count; i++) {
        const Fiber *fiber = &machine->fibers[i];
        if (fiber->file != first->file || fiber->line != first->line)
            stop(fiber, "waits at another barrier than the rest of its block");
        set_state(i, READY);
    }
    machine->barriers++;
}

// Runs what is ready; then frees who waits at the barrier, or says who waits for ever.
static void run_block(void) {
    for (;;) {
        for (int warp = 0; warp * LANES < machine->count; warp++) run_warp(warp);
        if (machine->in[DONE] == machine->count) return;
        if (machine->in[AT_BARRIER] == machine->count)
            wake_barrier();
        else if (machine->in[DONE] > 0 && machine->in[AT_BARRIER] > 0)
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
                machine->states[i] = READY;
                machine->fibers[i].file = NULL;
                machine->fibers[i].index = {x, y, z};
            }
    memset(machine->in, 0, sizeof machine->in);
    memset(machine->waiting, 0, sizeof machine->waiting);
    machine->in[READY] = machine->count;
    release(&machine->begin_sync);
}

// Appends a kernel that runs for the first time to the file that P2S_EMULATE_LIST names, by which
// scripts/check_kernels.sh sees that all have run.
static void list(const char *kernel) {
    enum { MOST = 512 };
    static const char *seen[MOST];
    static int count;
    static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    const char *path = getenv("P2S_EMULATE_LIST");
    if (!path) return;
    pthread_mutex_lock(&lock);
    int i = 0;
    while (i < count && seen[i] != kernel) i++;
    FILE *file = i == count ? fopen(path, "a") : NULL;
    if (file) {
        fprintf(file, "%s\n", kernel);
        fclose(file);
        if (count < MOST) seen[count++] = kernel;
    }
    pthread_mutex_unlock(&lock);
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
    list(kernel);
    machine->kernel = kernel;
    machine->body = body;
    machine->context = context;
    machine->count = (int)threads;
    emulate_block_size = {block.x, block.y, block.z};
    emulate_grid_size = {grid.x, grid.y, grid.z};
    make_fibers(machine->count);
    for (unsigned z = 0; z < grid.z; z++)
        for (unsigned y = 0; y < grid.y; y++)
            for (unsigned x = 0; x < grid.x; x++) {
                emulate_block = {x, y, z};
                start_block(block);
                run_block();
                acquire(&machine->end_sync);
                drop_shared();
            }
    return 0;
}
