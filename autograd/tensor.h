// SPDX-License-Identifier: MIT
// Tensors: a shape, a type, and memory of one back end. Row-major, last index fastest, contiguous.
//
// Dimension letters, used in every comment of the project:
//   N batch   H height   W width   C channels   T tokens   S key tokens   D width of a token
// Images are [N,H,W,C] on every device; tokens [N,H*W,C] are the same bytes. Convolution weights
// are [Cout,kh,kw,Cin], linear weights [out,in]. A view is a reshape; anything else copies.
//
// Who owns what: tensors made by an op belong to the tape (tape.h). Tensors made by tensor_new and
// its kin belong to the caller, who frees them with tensor_free.
#ifndef AUTOGRAD_TENSOR_H
#define AUTOGRAD_TENSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { TENSOR_MAX_DIMS = 5 };

// BF16 exists in files and on devices that compute in it; F64 is for gradient checks.
typedef enum { F32, F64, BF16, I32, U8, DTYPE_COUNT } Dtype;

// How the bytes lie. PLAIN is row-major; other values are private to a back end, which gives PLAIN
// to whoever reads the data.
enum { LAYOUT_PLAIN = 0 };

typedef struct Backend Backend;
typedef struct Storage Storage; // counted memory of a back end; shared by views

typedef struct Tensor {
    void *data; // memory of the back end; NULL once released
    int64_t shape[TENSOR_MAX_DIMS];
    int ndim;
    Dtype dtype;
    int layout;
    Storage *storage;
    struct Tensor *grad; // same shape and type; NULL until there is one
    bool needs_grad;     // a gradient must reach this tensor
    bool has_grad;       // grad holds values (a kernel adds to them, otherwise it writes)
    bool owned_by_tape;
    bool left_scope; // no caller can reach it any more; only recorded rules do
    bool kept;       // tape_keep: values survive scopes and backward
    int saved;       // recorded rules that will read data
    int refs;        // recorded rules that name this tensor
    size_t maker;    // 1 + the record that can make its values again; 0: none
    size_t slot;     // position among the tape's results
    char name[96];   // for messages; "" when it has none
} Tensor;

// An input left out on purpose. NULL always means that something failed.
extern Tensor tensor_none;
#define NONE (&tensor_none)

size_t dtype_size(Dtype dtype);
const char *dtype_name(Dtype dtype);

// A new tensor of the current back end (backend.h), owned by the caller; values are undefined.
// Fails (NULL) when out of memory, when a side is below 0, or when the size overflows.
Tensor *tensor_new(Dtype dtype, int ndim, const int64_t *shape);
Tensor *tensor_zeros(Dtype dtype, int ndim, const int64_t *shape);

// The same with the shape written out: tensor_new(SHAPE(F32, 2, 3)).
#define SHAPE(dtype, ...)                                                           \
    dtype, (int)(sizeof((int64_t[]){__VA_ARGS__}) / sizeof(int64_t)), (int64_t[]) { \
        __VA_ARGS__                                                                 \
    }

// A tensor without memory: for declaring parameters before they are loaded. tensor_materialize
// gives it memory of the current back end, zeroed.
Tensor *tensor_declare(Dtype dtype, int ndim, const int64_t *shape);
int tensor_materialize(Tensor *tensor);

// A tensor over memory that someone else holds (a mapped weight file), on a back end whose memory
// is the host's. `release(owner)` is called when the last view is gone; it may be NULL.
Tensor *tensor_borrow(Dtype dtype, int ndim, const int64_t *shape, void *data,
                      void (*release)(void *owner), void *owner);

// Copies host memory in (`values` holds numel elements of the tensor's own type) or out.
int tensor_write(Tensor *tensor, const void *values);
int tensor_read(const Tensor *tensor, void *values);

// The same from and to float or double, converting to and from the tensor's type; to BF16 numbers
// are rounded to the nearest, ties to even.
int tensor_write_float(Tensor *tensor, const float *values);
int tensor_read_float(const Tensor *tensor, float *values);
int tensor_write_double(Tensor *tensor, const double *values);
int tensor_read_double(const Tensor *tensor, double *values);

// A bf16 number as its 16 bits: rounds to nearest, ties to even; a NaN stays one.
uint16_t float_to_bf16(float value);
float bf16_to_float(uint16_t bits);

// The single value of a one-element F32 or F64 tensor. NaN and an error otherwise.
double tensor_item(const Tensor *tensor);

// Fills with a constant; copies the values of another tensor of the same shape and type.
int tensor_fill(Tensor *tensor, double value);
int tensor_copy(Tensor *to, const Tensor *from);

// Frees a tensor that the caller owns, with its gradient. Takes NULL and NONE.
void tensor_free(Tensor *tensor);

// Forgets the values of the gradient; its memory stays for the next step.
void tensor_clear_grad(Tensor *tensor);

int64_t tensor_numel(const Tensor *tensor);
size_t tensor_bytes(const Tensor *tensor);
bool tensor_same_shape(const Tensor *a, const Tensor *b);
bool tensor_is_float(const Tensor *tensor);
int64_t tensor_side(const Tensor *tensor, int dim); // one side; negative counts from the end
Tensor *tensor_named(Tensor *tensor, const char *format, ...) __attribute__((format(printf, 2, 3)));

// "name [2,3,4] f32", for messages. One of eight buffers of the thread, reused in turn.
const char *tensor_text(const Tensor *tensor);

// For the tape and for weight files: another tensor over the same memory (counted), same number of
// elements. Owned by the caller.
Tensor *tensor_view(Tensor *tensor, int ndim, const int64_t *shape);
// Whether another tensor lies over the same memory.
bool tensor_is_shared(const Tensor *tensor);
// Drops the memory, keeps the struct; takes memory again, with undefined values.
void tensor_release(Tensor *tensor);
int tensor_restore(Tensor *tensor);
// Makes sure that tensor->grad exists (values undefined, has_grad unchanged).
int tensor_grad_alloc(Tensor *tensor);

#ifdef __cplusplus
}
#endif
#endif
