// SPDX-License-Identifier: MIT
// Which instruction set's fast kernels run. See fast.h.
#include "cpu/fast.h"

#include "base/isa.h"

#include <stddef.h>

extern const FastKernels fast_set_portable;
#ifdef P2S_X86
extern const FastKernels fast_set_avx2, fast_set_avx512;
#endif

const FastKernels *fast_kernels(void) {
    if (isa_check()) return NULL;
#ifdef P2S_X86
    if (isa_in_use() == ISA_AVX512) return &fast_set_avx512;
    if (isa_in_use() == ISA_AVX2) return &fast_set_avx2;
#endif
    return &fast_set_portable;
}

const FastKernels *fast_portable_kernels(void) {
    return &fast_set_portable;
}
