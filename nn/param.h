// SPDX-License-Identifier: MIT
// Parameters of a network: dotted names as in checkpoints, shapes in memory and in files, how each
// one starts, and whether it is trained. A network declares its parameters without memory; they
// get it when they are initialised or loaded (weights.h).
#ifndef NN_PARAM_H
#define NN_PARAM_H

#include "autograd/tensor.h"

typedef enum { PARAM_CONV, PARAM_LINEAR, PARAM_VECTOR } ParamKind;

// How values start: uniform in +-1/sqrt(fan_in) for weights and biases of products (the usual
// Kaiming form with a = sqrt 5), constants for norms and closed gates.
typedef enum { INIT_UNIFORM, INIT_ONES, INIT_ZEROS } ParamInit;

enum { PARAM_FILE_DIMS = 4 };

typedef struct {
    char *name;     // "down_blocks.0.resnets.1.norm1.weight"
    Tensor *tensor; // memory shape: conv [Co,kh,kw,Ci], linear [out,in], vector [C]
    ParamKind kind;
    ParamInit init;
    int64_t fan_in;                      // for INIT_UNIFORM
    int64_t file_shape[PARAM_FILE_DIMS]; // conv [Co,Ci,kh,kw]; linear [out,in] or [out,in,1,1]
    int file_ndim;
    bool accepts_1x1; // a file may also hold this linear weight as [out,in,1,1]
} Param;

typedef struct {
    char *title; // "unet", for messages
    Dtype dtype; // of all tensors: F32, or F64 for gradient checks
    Param *items;
    size_t count, room;
    bool failed; // a declaration failed; the error is set
} ParamSet;

// Empties and names a set. params_done frees names and tensors; takes a zeroed set.
int params_begin(ParamSet *set, const char *title, Dtype dtype);
void params_done(ParamSet *set);

// Declare one parameter, without memory. They return its tensor, owned by the set, or NULL after a
// failure, which the set remembers, so that a network declares everything and checks once. A name
// that exists is an error.
Tensor *params_conv(ParamSet *set, const char *name, int64_t out, int64_t in, int64_t kernel,
                    ParamInit init);
Tensor *params_linear(ParamSet *set, const char *name, int64_t out, int64_t in, ParamInit init);
Tensor *params_vector(ParamSet *set, const char *name, int64_t size, ParamInit init,
                      int64_t fan_in);

// The most recently declared parameter, to adjust its file form; NULL when there is none.
Param *params_last(ParamSet *set);

// The parameter of that name, NULL (without an error) when there is none.
Param *params_find(const ParamSet *set, const char *name);

// Number of elements of all parameters; of those that are trained.
int64_t params_elements(const ParamSet *set);
int64_t params_trained_elements(const ParamSet *set);

// Gives every parameter memory, zeroed; fills every parameter with its starting values. The values
// of a parameter depend on (seed, its name) only.
int params_materialize(ParamSet *set);
int params_init(ParamSet *set, uint64_t seed); // on a back end of shapes: memory only

// Trains or freezes all parameters whose name is `prefix` or begins with `prefix` and a dot; ""
// means all. Returns how many that were.
size_t params_train(ParamSet *set, const char *prefix);
size_t params_freeze(ParamSet *set, const char *prefix);

// Forgets all gradients' values.
void params_clear_grad(ParamSet *set);

// The tensors that are trained, in order of declaration; *count may be 0. The array is the
// caller's, freed with free(). NULL and an error when memory is out.
Tensor **params_trained(const ParamSet *set, size_t *count);

// Copies values by name from `from` to every parameter of `to` that exists there too. An error when
// shapes differ. Returns how many were copied, -1 on failure.
int64_t params_copy(ParamSet *to, const ParamSet *from);

#endif
