// SPDX-License-Identifier: MIT
// `p2s run`: one component at a time on tensors of a file, for who compares another implementation
// with ours.
//
// A component is a row of a group's table, beside its function in cli/run_<group>.c. Its rows of
// tensors say what a file holds; sizes are names or numbers, and equal names are equal sizes. The
// command checks the file against them before the function runs, so that functions only ask for
// what they declared. Tensors in files are NCHW and in the checkpoint's layout; images become
// [N,H,W,C] on the way in and NCHW again on the way out.
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include "autograd/tensor.h"
#include "base/config.h"
#include "nn/param.h"
#include "nn/safetensors.h"

typedef enum {
    RUN_FLOAT,   // F64, F32, F16 or BF16 in the file; F32 in memory
    RUN_IMAGE,   // the same, four sides, NCHW in the file
    RUN_INTEGER, // I64, I32 or U8 in the file; I32 in memory
    RUN_BYTE     // U8
} RunType;

// One tensor of a file. A name that ends in ".*" stands for any number of them.
typedef struct {
    const char *name;
    RunType type;
    const char *shape; // "N,4,h,w"; "..." for any
    bool optional;     // of inputs: may be missing
    const char *help;
} RunTensor;

enum { RUN_MAX_TENSORS = 12 };

typedef struct Run Run;

typedef struct {
    const char *name; // first, so that the nearest one can be found
    const char *help; // one line
    bool needs_model;
    bool gradients; // "grad.OUTPUT" may be given; RUN_FLOAT and RUN_IMAGE take part
    RunTensor inputs[RUN_MAX_TENSORS], outputs[RUN_MAX_TENSORS]; // ended by a row without name
    const ConfigTable *keys;                                     // NULL: none
    size_t keys_size;                                            // of the struct that the keys fill
    // 0, or -1 with an error. Ends with run_backward if the component has gradients.
    int (*run)(Run *run, const void *keys);
} Component;

typedef struct {
    const Component *components;
    size_t count;
} ComponentGroup;

// The groups: cli/run_<name>.c defines components_<name>.
// clang-format off
#define COMPONENT_GROUPS(GROUP) \
    GROUP(network)             \
    GROUP(block)               \
    GROUP(loss)                \
    GROUP(step)                \
    GROUP(text)                \
    GROUP(image)               \
    GROUP(mask)                \
    GROUP(prompt)              \
    GROUP(predict)
// clang-format on

#define GROUP(name) extern const ComponentGroup components_##name;
COMPONENT_GROUPS(GROUP)
#undef GROUP

// The folder of --model, NULL when it was not given.
const char *run_model(const Run *run);

// Whether gradients are asked for: parameters must then be trained before they are loaded.
bool run_wants_gradients(const Run *run);

// Whether an optional tensor is there.
bool run_has(const Run *run, const char *name);

// A tensor of the input file as it lies there; NULL and an error when there is none.
const SafeTensor *run_stored(Run *run, const char *name);

// The names in the file that a row "STEM.*" stands for, in order: index 0, 1, ... NULL at the end.
const SafeTensor *run_stored_at(Run *run, const char *row, size_t index);

// A tensor of the input file in memory, owned by the run; needs a gradient if that is asked for.
// The second form: NONE when it is missing.
Tensor *run_tensor(Run *run, const char *name);
Tensor *run_optional(Run *run, const char *name);

// Loads parameters from the input file, where they are called "param.NAME", as sets.
int run_load_params(Run *run, ParamSet *set);

// Writes an output of a row; `tensor` is a result of the tape or lives until the run ends. NULL is
// -1, so that a forward pass is checked here. With "grad.NAME" in the input file it takes part in
// run_backward.
int run_output(Run *run, const char *name, Tensor *tensor);

// Writes values of the host, which are copied.
int run_output_values(Run *run, const char *name, SafeType type, int ndim, const int64_t *shape,
                      const void *values);

// Does nothing unless gradients are asked for. Otherwise runs backward from all outputs and writes
// grad.INPUT, and grad.param.NAME for every trained parameter of the sets; with more than one set
// NAME begins with the set's title and a dot.
int run_backward(Run *run, ParamSet *const *sets, int count);

// Writes every trained parameter of a set as "param.NAME", for components that change them; NAME
// begins with `title` and a dot unless that is "".
int run_output_params(Run *run, const ParamSet *set, const char *title);

#endif
