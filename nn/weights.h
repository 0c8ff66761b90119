// SPDX-License-Identifier: MIT
// Parameters from and to safetensors files. The only place that translates layouts: convolution
// weights are [Co,Ci,kh,kw] in files and [Co,kh,kw,Ci] in memory.
#ifndef NN_WEIGHTS_H
#define NN_WEIGHTS_H

#include "nn/param.h"
#include "nn/safetensors.h"

// Loads every parameter of the set. Names and shapes must agree as sets: all that are missing,
// unexpected or of another shape are counted and the first few named. Old names of the VAE's
// attention (query, key, value, proj_attn) are understood; position_ids (I64), which old text
// encoders hold, are passed over. Frozen f32 parameters whose bytes are the same in both layouts
// are borrowed from the mapped file where the back end can read it there.
// Parameters of an F32 set may be stored as F64, F32, F16 or BF16.
int weights_load(ParamSet *set, const char *path);

// The same from the tensors of open files, taken together, whose names begin with `prefix`; the
// rest of a name is the parameter's.
int weights_load_from(ParamSet *set, SafeFile *const *files, size_t count, const char *prefix);

// The same from a folder of a model, in the first of these forms that is there (diffusers writes
// them all; `stem` is "diffusion_pytorch_model"): one file, an index with shards, and both again as
// the fp16 variant. weights_in_folder tells whether any is there.
//   STEM.safetensors   STEM.safetensors.index.json   STEM.fp16.safetensors
//   STEM.safetensors.index.fp16.json
int weights_load_folder(ParamSet *set, const char *folder, const char *stem);
bool weights_in_folder(const char *folder, const char *stem);

// Writes every parameter as F32, or as `type` (F16, BF16), in the file's layout.
int weights_save(const ParamSet *set, const char *path);
int weights_save_as(const ParamSet *set, const char *path, SafeType type);

// [count,rows,columns] to [count,columns,rows]: files hold channels before the window or the
// pixels, memory behind them.
void transpose_each(int64_t count, int64_t rows, int64_t columns, const float *from, float *to);

// The values of a parameter, or of a tensor of its shape (its gradient), in the file's layout.
int weights_in_file_layout(const Param *param, const Tensor *tensor, float *values);

// The other way: fills a tensor of the parameter's shape. An error when shape or type do not fit.
int weights_from_file_layout(const Param *param, const SafeTensor *stored, Tensor *tensor);

#endif
