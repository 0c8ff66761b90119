// SPDX-License-Identifier: MIT
// Which vector instructions may be used: the best set that the processor has, or the one that the
// environment variable P2S_ISA=portable|avx2|avx512 forces.
#ifndef BASE_ISA_H
#define BASE_ISA_H

typedef enum { ISA_PORTABLE, ISA_AVX2, ISA_AVX512 } Isa; // each includes those before it

// The same during a whole run. ISA_PORTABLE where P2S_ISA names no set or one that is not there.
Isa isa_in_use(void);

// Fails when P2S_ISA names no set, or one that this program or this processor lacks.
int isa_check(void);

#endif
