// SPDX-License-Identifier: MIT
// The tape: what was computed, so that it can be differentiated backwards.
//
// There is one tape per thread. While it records, every op that a gradient must pass stores a copy
// of its args struct. tape_backward runs them in reverse, frees what it has passed, and leaves the
// gradients in the leaf tensors (parameters and whatever the caller marked with needs_grad).
//
// All results of ops belong to the tape. A scope bounds their life without any bookkeeping by the
// caller: at scope_end the memory of everything made inside, except what is returned and what a
// recorded rule will read, is released. So a forward pass without recording keeps only the tensors
// in flight, and a recorded pass keeps only what its rules name.
#ifndef AUTOGRAD_TAPE_H
#define AUTOGRAD_TAPE_H

#include "autograd/ops.h"

// Switches recording; returns what it was. A new thread's tape does not record.
bool tape_record(bool on);
bool tape_is_recording(void);

// Gradients of `loss` (one element) with respect to every leaf that needs one; added to gradients
// that leaves already hold. Forgets the records it has run, so that a second pass through them is
// refused: one backward per forward. On any failure the tape is reset.
int tape_backward(Tensor *loss);

// The same from a tensor with a given gradient (same shape and type), for vector-Jacobian products.
int tape_backward_from(Tensor *output, const Tensor *gradient);

// Exempts a result's values from being freed by scopes and by backward, until tape_reset.
// Returns its argument; NULL passes through.
Tensor *tape_keep(Tensor *tensor);

// Frees a result's values at once, before its scope ends, unless it is kept or a rule reads them.
// Not for what a function was given that recompute may call.
void tape_let_go(Tensor *tensor);

// Frees all results and forgets all records. Call between steps and after a failed one.
void tape_reset(void);

// Number of recorded rules.
size_t tape_length(void);

typedef size_t Scope;
Scope scope_begin(void);
// Ends the scope; `result` (may be NULL after a failure) moves to the scope outside. Returns it.
// After a tape_reset inside the scope there is nothing to end.
Tensor *scope_end(Scope scope, Tensor *result);
// The same for several results.
void scope_end_many(Scope scope, Tensor *const *results, int count);

// Gradient checkpointing: runs fn(inputs, context) keeping only its inputs and its result; backward
// runs it again. Leaves used inside that are not inputs (parameters) receive their gradients too.
// fn must be a pure function of its arguments, and its result one tensor; at most 8 inputs.
// Without recording it is a plain call inside a scope. `context` must live until backward.
typedef Tensor *(*RecomputeFn)(Tensor *const *inputs, void *context);
Tensor *recompute(RecomputeFn fn, Tensor *const *inputs, int count, void *context);

// For op fronts: runs the forward kernel and records. `args` is the op's args struct, outputs made.
// Returns the first output; NULL on failure.
Tensor *tape_run(OpKind kind, const void *args);
#define RUN(name, args) tape_run(OP_##name, &(args))

// For op fronts: a new result, owned by the tape. tape_view shares memory and passes the gradient
// through (reshape).
Tensor *tape_result(Dtype dtype, int ndim, const int64_t *shape);
Tensor *tape_result_like(const Tensor *tensor);
// A result of its type in the memory of `tensor`, which has at least as many elements and whose
// values the caller gives up: only if it is a result that no rule reads, nobody keeps and no other
// tensor shares, and while nothing is recorded. Otherwise new memory.
Tensor *tape_result_over(Tensor *tensor, int ndim, const int64_t *shape);
Tensor *tape_view(Tensor *tensor, int ndim, const int64_t *shape);

#endif
