// SPDX-License-Identifier: MIT
// What this machine reaches, and what this process uses.
#ifndef CLI_MACHINE_H
#define CLI_MACHINE_H

#include <stdint.h>

typedef struct {
    double fma_gflops;    // multiply-adds in registers, f32, all threads; 0 where not measured
    double matmul_gflops; // product of two 1536 x 1536 matrices on the current back end
    double copy_gbps;     // bytes read and written by copying 256 MB, all threads
} MachinePeak;

// Measures for about a second. -1 and an error when memory is out.
int machine_peak(MachinePeak *peak);

// The larger of both arithmetic rates: what shares refer to.
double machine_gflops(const MachinePeak *peak);

// Largest resident memory of this process so far, in bytes; sets it back to what is resident now,
// where the system can do that (Linux).
int64_t machine_peak_rss(void);
void machine_reset_peak_rss(void);

// Memory of the machine in bytes; 0 when unknown. The processor's name, "" when unknown.
int64_t machine_memory(void);
const char *machine_processor(void);

#endif
