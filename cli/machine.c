// SPDX-License-Identifier: MIT
// See machine.h.
#include "cli/machine.h"

#include "autograd/tape.h"
#include "base/error.h"
#include "base/memory.h"
#include "base/clock.h"
#include "cpu/cpu.h"

#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#if defined(__x86_64__)
#include <immintrin.h>

enum { CHAINS = 12 }; // independent sums, enough to hide the latency of a multiply-add

__attribute__((target("avx512f"))) static float fma_avx512(int64_t rounds) {
    const __m512 a = _mm512_set1_ps(0.999f), b = _mm512_set1_ps(1e-3f);
    __m512 sums[CHAINS];
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm512_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) sums[i] = _mm512_fmadd_ps(sums[i], a, b);
    float total = 0;
    for (int i = 0; i < CHAINS; i++) total += _mm512_reduce_add_ps(sums[i]);
    return total;
}

__attribute__((target("avx2,fma"))) static float fma_avx2(int64_t rounds) {
    const __m256 a = _mm256_set1_ps(0.999f), b = _mm256_set1_ps(1e-3f);
    __m256 sums[CHAINS];
    for (int i = 0; i < CHAINS; i++) sums[i] = _mm256_set1_ps((float)i);
    for (int64_t r = 0; r < rounds; r++)
#pragma GCC unroll 12
        for (int i = 0; i < CHAINS; i++) sums[i] = _mm256_fmadd_ps(sums[i], a, b);
    float total = 0, values[8];
    for (int i = 0; i < CHAINS; i++) {
        _mm256_storeu_ps(values, sums[i]);
        total += values[0];
    }
    return total;
}

static double fma_gflops(void) {
    const int64_t rounds = 1000000;
    const bool wide = __builtin_cpu_supports("avx512f");
    if (!wide && !(__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma"))) return 0;
    const double flops = 2.0 * (wide ? 16 : 8) * CHAINS * (double)rounds * cpu_threads();
    double best = INFINITY;
    float sink = 0;
    for (int round = 0; round < 16; round++) {
        double start = clock_seconds();
#pragma omp parallel reduction(+ : sink)
        sink += wide ? fma_avx512(rounds) : fma_avx2(rounds);
        best = fmin(best, clock_seconds() - start);
    }
    // The sum is looked at so that the loops cannot be left out.
    return isfinite(sink) ? flops / best / 1e9 : 0;
}
#else
static double fma_gflops(void) {
    return 0;
}
#endif

static double matmul_gflops(void) {
    enum { SIDE = 1536 };
    Tensor *a = tensor_new(SHAPE(F32, 1, SIDE, SIDE)), *b = tensor_new(SHAPE(F32, 1, SIDE, SIDE));
    double best = INFINITY;
    bool ok = a && b && tensor_fill(a, 0.5) == 0 && tensor_fill(b, 0.25) == 0;
    for (int round = 0; ok && round < 10; round++) {
        double start = clock_seconds();
        ok = op_matmul(a, b, false, false) != NULL;
        best = fmin(best, clock_seconds() - start);
        tape_reset();
    }
    tensor_free(a);
    tensor_free(b);
    return ok ? 2.0 * SIDE * SIDE * SIDE / best / 1e9 : -1;
}

static double copy_gbps(void) {
    const int64_t bytes = INT64_C(256) << 20, piece = INT64_C(1) << 20;
    char *from = array_new((size_t)bytes, 1), *to = array_new((size_t)bytes, 1);
    double best = INFINITY;
    for (int round = 0; from && to && round < 4; round++) {
        double start = clock_seconds();
#pragma omp parallel for schedule(static)
        for (int64_t i = 0; i < bytes; i += piece) memcpy(to + i, from + i, (size_t)piece);
        best = fmin(best, clock_seconds() - start);
        from[0] = to[bytes - 1]; // the copies are used
    }
    const bool ok = from && to;
    free(from);
    free(to);
    return ok ? 2.0 * (double)bytes / best / 1e9 : -1;
}

int machine_peak(MachinePeak *peak) {
    *peak = (MachinePeak){fma_gflops(), matmul_gflops(), copy_gbps()};
    return peak->matmul_gflops < 0 || peak->copy_gbps < 0 ? -1 : 0;
}

double machine_gflops(const MachinePeak *peak) {
    return fmax(peak->fma_gflops, peak->matmul_gflops);
}

// A value of /proc/self/status in bytes, 0 when there is none.
static int64_t status_bytes(const char *key) {
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    long long kilobytes = 0;
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, key, strlen(key)) == 0) kilobytes = strtoll(line + strlen(key), NULL, 10);
    if (file) fclose(file);
    return kilobytes * 1024;
}

int64_t machine_peak_rss(void) {
    const int64_t bytes = status_bytes("VmHWM:");
    struct rusage usage;
    if (bytes > 0) return bytes;
    return getrusage(RUSAGE_SELF, &usage) == 0 ? (int64_t)usage.ru_maxrss * 1024 : 0;
}

void machine_reset_peak_rss(void) {
    FILE *file = fopen("/proc/self/clear_refs", "w");
    if (!file) return;
    fputs("5", file);
    fclose(file);
}

int64_t machine_memory(void) {
    const long pages = sysconf(_SC_PHYS_PAGES), size = sysconf(_SC_PAGESIZE);
    return pages > 0 && size > 0 ? (int64_t)pages * size : 0;
}

const char *machine_processor(void) {
    static char name[128];
    FILE *file = fopen("/proc/cpuinfo", "r");
    char line[256];
    while (file && !name[0] && fgets(line, sizeof line, file)) {
        const char *colon = strncmp(line, "model name", 10) == 0 ? strchr(line, ':') : NULL;
        if (colon) snprintf(name, sizeof name, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
    }
    if (file) fclose(file);
    return name;
}
