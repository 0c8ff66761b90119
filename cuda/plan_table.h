// SPDX-License-Identifier: MIT
// Which of the plans that a library proposes a problem takes. Training never times anything: the
// choice is the library's first, unless the table names another. A table is a text of lines
// `NUMBER NAME`, NUMBER from 0, NAME a problem in words (cudnn_plans.h, cublaslt.c), as `p2s bench
// tune --device cuda --out FILE` writes it; a line that begins with # is a comment.
#ifndef CUDA_PLAN_TABLE_H
#define CUDA_PLAN_TABLE_H

#include <stdint.h>

enum { PLAN_TABLE_CHOICES = 64 }; // numbers are below

// Reads a table, in place of what was read before. -1 and an error that names file and line; then
// the table is empty.
int plan_table_read(const char *path);
// The number of the plan for a problem; 0 when the table does not name it.
int plan_table_choice(const char *name);
// Of all rows and their order; 0 for the empty table. Runs with different hashes may differ in
// their last bits.
uint64_t plan_table_hash(void);

#endif
