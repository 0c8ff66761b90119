// SPDX-License-Identifier: MIT
// Which instruction set's fast kernels run. See fast.h.
#include "cpu/fast.h"

#include "base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

extern const FastKernels fast_set_portable;
#ifdef P2S_X86
extern const FastKernels fast_set_avx2, fast_set_avx512;
#endif

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const FastKernels *chosen;
static const char *forced;

// The set of a name if the processor has it; the best one for NULL.
static const FastKernels *find(const char *name) {
#ifdef P2S_X86
    __builtin_cpu_init();
    bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
    bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
                  __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
    if (avx512 && (!name || strcmp(name, "avx512") == 0)) return &fast_set_avx512;
    if (avx2 && (!name || strcmp(name, "avx2") == 0)) return &fast_set_avx2;
#endif
    return !name || strcmp(name, "portable") == 0 ? &fast_set_portable : NULL;
}

static void choose(void) {
    forced = getenv("P2S_ISA");
    if (forced && !*forced) forced = NULL;
    chosen = find(forced);
}

const FastKernels *fast_kernels(void) {
    pthread_once(&once, choose);
    return chosen ? chosen
                  : error_null("P2S_ISA=%s: expected portable, avx2 or avx512, and a processor "
                               "that has it",
                               forced);
}

const FastKernels *fast_portable_kernels(void) {
    return &fast_set_portable;
}
