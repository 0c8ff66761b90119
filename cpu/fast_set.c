// SPDX-License-Identifier: MIT
// The fast kernels of one instruction set, as a table.
#include "cpu/fast_kernel.h"

#define TEXT_OF(set) #set
#define TEXT(set) TEXT_OF(set)

extern const FastKernels ISA(fast_set);

const FastKernels ISA(fast_set) = {
    .name = TEXT(P2S_ISA),
    .lanes = LANES,
#define FAST(name) \
    .name##_forward = ISA(fast_##name##_forward), .name##_backward = ISA(fast_##name##_backward),
    FAST_LIST(FAST)
#undef FAST
        .sum_of_squares = ISA(fast_sum_of_squares),
    .adamw = ISA(fast_adamw),
};
