// SPDX-License-Identifier: MIT
// What the files of `p2s run` share: the state of one run, and its steps in order.
#ifndef CLI_RUN_PRIVATE_H
#define CLI_RUN_PRIVATE_H

#include "cli/run.h"

enum { RUN_MAX_SYMBOLS = 16, RUN_SYMBOL_SIZE = 8 };

// A tensor that was read from the input file.
typedef struct {
    char *name;
    RunType type;
    Tensor *tensor;
} RunInput;

// A size that has a name in the shapes of a component's rows.
typedef struct {
    char name[RUN_SYMBOL_SIZE];
    int64_t size;
    const char *tensor; // the first that had it
} RunSymbol;

struct Run {
    const Component *component;
    const char *model;
    SafeFile *in;
    bool gradients;
    bool backward_done;
    RunInput *inputs;
    size_t input_count, input_room;
    SafeEntry *outputs; // names and values are owned
    size_t output_count, output_room;
    Tensor *loss; // sum of products of outputs with their gradients
    RunSymbol symbols[RUN_MAX_SYMBOLS];
    int symbol_count;
};

// Opens and checks the input file against the component's rows.
int run_begin(Run *run, const Component *component, const char *model, const char *path);
// Writes all outputs.
int run_end(Run *run, const char *path);
void run_done(Run *run);

// run_check.c: every tensor of the file is one that the component knows, of the right type and
// shape, and none is missing.
int run_check(Run *run);
// The row of a name, NULL when there is none.
const RunTensor *run_row(const RunTensor *rows, const char *name);

#endif
