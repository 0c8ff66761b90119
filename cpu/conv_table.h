// SPDX-License-Identifier: MIT
// The table of ways that a machine's own measurement has written (P2S_CHOICES).
#ifndef CPU_CONV_TABLE_H
#define CPU_CONV_TABLE_H

#include "cpu/conv_way.h"

#include <stddef.h>

const char *conv_pass_name(ConvPass pass);

// By field: the bytes between fields are undefined.
bool conv_case_same(const ConvCase *a, const ConvCase *b);

// Reads a table; its lines count from then on. Fails on a line that is none, or names a way that
// cannot run here. Once, before kernels run.
int conv_table_read(const char *path);

// The way that the table names; WAY_COUNT where it says nothing.
ConvWay conv_table_find(const ConvCase *key);

// A number that follows from every byte of the file; 0 without a table.
uint64_t conv_table_digest(void);

// The line of a table, with its end; what snprintf returns.
int conv_table_format(char *text, size_t room, const ConvCase *key, ConvWay way);

#endif
