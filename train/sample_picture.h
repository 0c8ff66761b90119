// SPDX-License-Identifier: MIT
// The picture that shows how training goes: image | prompt | prediction | target, a row per sample.
#ifndef TRAIN_SAMPLE_PICTURE_H
#define TRAIN_SAMPLE_PICTURE_H

#include "train/task.h"

// shown [N,H,W,3] in 0..255 (clamped), prompt [N,H,W,P] in 0..1; NONE leaves a cell empty. At most
// four samples are drawn. Makes the folder of `path`.
int sample_picture(const DeviceBatch *batch, const Tensor *shown, const Tensor *prompt,
                   const char *path);

#endif
