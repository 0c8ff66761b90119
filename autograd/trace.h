// SPDX-License-Identifier: MIT
// Looking into a run from outside: the environment variable TRACE, a list of words with commas.
//
//   op    time of every op, forward and backward, as a table on stderr when the program ends
//   nan   stops at the first op whose result holds a value that is not finite, and names it
//
// Read once. Without it an op pays one comparison. What a device replays (record_begin, backend.h)
// runs no op and is not seen; with nan the host reads every result, so that nothing is recorded.
#ifndef AUTOGRAD_TRACE_H
#define AUTOGRAD_TRACE_H

#include "autograd/ops.h"

// Runs an op's kernel on the current back end, traced as TRACE says. 0, or -1 with an error: of the
// kernel, of an unknown word in TRACE, or of the first value that is not finite.
int trace_forward(OpKind kind, const void *args);
int trace_backward(OpKind kind, const void *args);

// Switches the search of TRACE=nan on or off for what follows; returns what it was.
bool trace_nan(bool on);

// Writes the table of times so far to stderr and starts anew. Nothing without TRACE=op.
void trace_report(void);

#endif
