// SPDX-License-Identifier: MIT
// Digests of the weights that a run does not change. Checkpoints hold links to one file of them, so
// that who edits that file in place would change every checkpoint: resuming finds it.
#ifndef TRAIN_FROZEN_H
#define TRAIN_FROZEN_H

#include "nn/model.h"

#include <jansson.h>

// {"vae/diffusion_pytorch_model.safetensors": "crc32c:1a2b3c4d", ...} of the model's parts without
// trained parameters in `folder`, which model_save has written; taken from `known` (may be NULL)
// where that has them. NULL and an error when a file cannot be read.
json_t *frozen_digests(const Model *model, const char *folder, const json_t *known);

// Whether the files of `folder` still have these digests. An error that names the first that has
// not.
int frozen_verify(const char *folder, const json_t *digests);

#endif
