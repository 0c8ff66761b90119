// SPDX-License-Identifier: MIT
// Runs CUDA kernels on the host, for tests. Every CUDA thread is a fiber; the fibers of a block run
// in turn, each until it waits; blocks run one after another. Found are: accesses outside of global
// or shared memory and uninitialised reads (ASan, NaN patterns), threads that leave before a
// barrier, wait at different ones or give masks that do not match, deadlocks; and under TSan, where
// fibers are switched without synchronising, missing barriers. Not found are races between blocks.
#ifndef CUDA_EMULATION_EMULATE_CUH
#define CUDA_EMULATION_EMULATE_CUH

#include "cuda/emulation/work.h"

#include <stddef.h>
#include <stdint.h>
#include <tuple>

#define __global__
#define __device__
#define __host__
#define __forceinline__ inline

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x_ = 1, unsigned y_ = 1, unsigned z_ = 1) : x(x_), y(y_), z(z_) {}
};

// Where the running fiber is. Without a constructor, so that no access asks whether it has run.
struct EmulateIndex {
    unsigned x, y, z;
};
extern __thread EmulateIndex emulate_thread, emulate_block, emulate_block_size, emulate_grid_size;
#define threadIdx emulate_thread
#define blockIdx emulate_block
#define blockDim emulate_block_size
#define gridDim emulate_grid_size

typedef void (*EmulateBody)(void *context);
// Runs body(context) once for each thread of the grid; 0, or -1 and an error.
int emulate_launch(const char *kernel, dim3 grid, dim3 block, EmulateBody body, void *context);
void emulate_barrier(const char *file, int line);
// The block's memory for one declaration, which `site` names; filled with 0xff when a block begins.
void *emulate_shared(const void *site, size_t bytes);
// Each lane of `mask` gives a value and gets that of lane `lane ^ flip`.
uint64_t emulate_exchange(unsigned mask, uint64_t value, int flip, const char *file, int line);

// ---- what kernel.cuh asks for -------------------------------------------------------------------

// A launch with its arguments, as they are when it is given to the stream.
template <typename... P> struct EmulateLaunch {
    const char *name;
    dim3 grid, block;
    void (*kernel)(P...);
    std::tuple<P...> arguments;

    static void call(void *launch) {
        std::apply(((EmulateLaunch *)launch)->kernel, ((EmulateLaunch *)launch)->arguments);
    }
    static int run(void *context) {
        EmulateLaunch *launch = (EmulateLaunch *)context;
        return emulate_launch(launch->name, launch->grid, launch->block, call, launch);
    }
    static void destroy(void *context) { delete (EmulateLaunch *)context; }
};
template <typename... P, typename... A>
static int emulate_run(const char *name, dim3 grid, dim3 block, void (*kernel)(P...),
                       const A &...arguments) {
    EmulateLaunch<P...> launch = {name, grid, block, kernel, std::tuple<P...>((P)arguments...)};
    if (!emulate_records()) return EmulateLaunch<P...>::run(&launch);
    return emulate_keep(EmulateLaunch<P...>::run, new EmulateLaunch<P...>(launch),
                        EmulateLaunch<P...>::destroy);
}
#define LAUNCH(kernel, grid, block, ...) emulate_run(#kernel, grid, block, kernel, __VA_ARGS__)

#define SHARED(T, name, count)         \
    static const char name##_site = 0; \
    T *name = (T *)emulate_shared(&name##_site, (size_t)(count) * sizeof(T))
#define __syncthreads() emulate_barrier(__FILE__, __LINE__)

template <typename T>
static T emulate_flip(unsigned mask, T x, int flip, const char *file, int line) {
    union {
        T value;
        uint64_t bits;
    } cell;
    cell.bits = 0;
    cell.value = x;
    cell.bits = emulate_exchange(mask, cell.bits, flip, file, line);
    return cell.value;
}
#define __shfl_xor_sync(mask, x, flip) emulate_flip(mask, x, flip, __FILE__, __LINE__)

template <typename T> static T atomicAdd(T *to, T value) {
    return __atomic_fetch_add(to, value, __ATOMIC_RELAXED);
}
template <typename T> static T atomicMax(T *to, T value) {
    T old = __atomic_load_n(to, __ATOMIC_RELAXED);
    if (value > old) __atomic_store_n(to, value, __ATOMIC_RELAXED);
    return old;
}
template <typename T> static T atomicCAS(T *to, T expected, T value) {
    __atomic_compare_exchange_n(to, &expected, value, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
    return expected;
}

static inline float emulate_float_from_bits(uint32_t bits) {
    union {
        uint32_t bits;
        float value;
    } cell;
    cell.bits = bits;
    return cell.value;
}
static inline uint32_t emulate_bits_from_float(float value) {
    union {
        float value;
        uint32_t bits;
    } cell;
    cell.value = value;
    return cell.bits;
}

#endif
