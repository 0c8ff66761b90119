// SPDX-License-Identifier: MIT
// The processor's instruction set. See isa.h.
#include "base/isa.h"

#include "base/error.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static const char *forced; // NULL: nothing, or a set that is there
static Isa in_use;

static Isa best(void) {
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return ISA_PORTABLE;
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return ISA_AVX512;
    return ISA_AVX2;
#else
    return ISA_PORTABLE;
#endif
}

static void choose(void) {
    static const char *const names[] = {"portable", "avx2", "avx512"};
    in_use = best();
    forced = getenv("P2S_ISA");
    if (forced && !*forced) forced = NULL;
    for (int i = 0; forced && i <= (int)in_use; i++)
        if (strcmp(forced, names[i]) == 0) {
            in_use = (Isa)i;
            forced = NULL;
        }
    if (forced) in_use = ISA_PORTABLE;
}

Isa isa_in_use(void) {
    pthread_once(&once, choose);
    return in_use;
}

int isa_check(void) {
    pthread_once(&once, choose);
    if (!forced) return 0;
    return error_int("P2S_ISA=%s: expected portable, avx2 or avx512, and a processor that has it",
                     forced);
}
